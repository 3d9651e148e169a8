"""Resumable uploads in progress."""

import uuid
from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils import timezone

from webapp.models.accounts import User


class Upload(models.Model):
    """A resumable upload.

    offset, length: bytes received so far, and in total.
    options: the options of the job that is queued once the upload is complete.
    metadata: the Upload-Metadata header as the client sent it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="uploads")
    filename = models.CharField(max_length=255)
    title = models.CharField(max_length=255, blank=True)
    length = models.PositiveBigIntegerField()
    offset = models.PositiveBigIntegerField(default=0)
    options = models.JSONField(default=dict)
    metadata = models.TextField(blank=True)
    job = models.ForeignKey("Job", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.filename

    @property
    def path(self) -> Path:
        """The bytes received so far."""
        return Path(settings.FILE_UPLOAD_TEMP_DIR) / f"{self.pk}.part"
