"""Files rendered for download."""

import uuid
from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils import timezone

from webapp.models.songs import Job, State


class Export(models.Model):
    """A file made for somebody to take along: a mix, stems, all in an archive.

    heartbeat_at is the last sign of life of the web process that makes it. lowered_db: by how much it was lowered so
    as not to clip.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="exports")
    filename = models.CharField(max_length=255)
    process = models.CharField(max_length=255)
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    progress = models.FloatField(default=0.0)
    error = models.TextField(blank=True)
    size = models.PositiveBigIntegerField(null=True, blank=True)
    lowered_db = models.FloatField(default=0.0)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    heartbeat_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.filename

    @property
    def folder(self) -> Path:
        """All files of the export."""
        return Path(settings.MEDIA_ROOT) / "jobs" / str(self.job_id) / "exports" / str(self.pk)

    @property
    def path(self) -> Path:
        """The file, whole once the export is done."""
        return self.folder / f"file{Path(self.filename).suffix}"
