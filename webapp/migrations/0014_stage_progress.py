from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webapp", "0013_draft"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="stage_progress",
            field=models.FloatField(blank=True, null=True),
        ),
    ]
