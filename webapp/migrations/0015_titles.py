from typing import Any

from django.db import migrations, models


def take_artists(apps: Any, _: Any) -> None:
    """From the tags of what was decoded before."""
    tagged = apps.get_model("webapp", "Job").objects.exclude(tags={})
    for track, tags in tagged.values_list("track", "tags"):
        apps.get_model("webapp", "Track").objects.filter(pk=track).update(artist=tags.get("artist", ""))


class Migration(migrations.Migration):
    dependencies = [
        ("webapp", "0014_stage_progress"),
    ]

    operations = [
        # Any title from before may be a person's.
        migrations.AddField(
            model_name="track",
            name="named",
            field=models.BooleanField(default=True),
        ),
        migrations.AlterField(
            model_name="track",
            name="named",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="track",
            name="artist",
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.RunPython(take_artists, migrations.RunPython.noop),
    ]
