from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webapp", "0012_guests"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="draft_done",
            field=models.PositiveIntegerField(default=0),
        ),
    ]
