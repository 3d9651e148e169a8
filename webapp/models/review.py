"""Automatic flags that ask for a review."""

from django.db import models

from webapp.models.songs import Job


class Flag(models.Model):
    """A possible problem with a finished job, found in its own report. `detail` describes it in a sentence."""

    class Kind(models.TextChoices):
        NULL = "null", "stems don't add up"
        CLIPPED = "clipped", "clipped"
        SILENT = "silent", "silent vocals"
        UNSURE = "unsure", "unsure which instruments play"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="flags")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    detail = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "job"], name="flag_once_per_job")]

    def __str__(self) -> str:
        return self.get_kind_display()
