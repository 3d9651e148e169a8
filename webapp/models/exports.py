"""Files that are rendered for download."""

import uuid
from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils import timezone

from webapp.models.songs import Job, State


class Export(models.Model):
    """A file rendered for download: a mix, one stem, or all stems in an archive.

    process, heartbeat_at: the web process that renders the file, and its last sign of life.
    lowered_db: attenuation applied to keep a mix from clipping.
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
        return Path(settings.MEDIA_ROOT) / "jobs" / str(self.job_id) / "exports" / str(self.pk)

    @property
    def path(self) -> Path:
        """The rendered file, complete once the export is done."""
        return self.folder / f"file{Path(self.filename).suffix}"
