from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webapp", "0011_uploads"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="user",
            index=models.Index(condition=models.Q(("is_guest", True)), fields=["date_joined"], name="user_guests"),
        ),
    ]
