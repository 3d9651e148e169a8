"""What speaks against the result of a job."""

from django.db import models

from webapp.models.songs import Job


class Flag(models.Model):
    """Something about a finished job that a person should listen to, as its own report shows; detail says what."""

    class Kind(models.TextChoices):
        """What may be wrong."""

        NULL = "null", "stems don't add up"
        CLIPPED = "clipped", "clipped"
        SILENT = "silent", "silent vocals"
        UNSURE = "unsure", "unsure what is heard"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="flags")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    detail = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "job"], name="flag_once_per_job")]

    def __str__(self) -> str:
        return self.get_kind_display()
