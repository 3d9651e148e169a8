"""Deletes files with their rows, whether a row is deleted directly or by cascade, once the transaction is committed."""

from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver

from webapp.models import Export, Job, Track, Upload
from webapp.storage.base import store


@receiver(post_delete, sender=Job)
def _remove_job_files(instance: Job, **_: Any) -> None:
    folder = instance.folder
    transaction.on_commit(lambda: store().discard(folder))


@receiver(post_delete, sender=Export)
def _remove_export_files(instance: Export, **_: Any) -> None:
    folder = instance.folder
    transaction.on_commit(lambda: store().discard(folder))


@receiver(post_delete, sender=Track)
def _remove_track_file(instance: Track, **_: Any) -> None:
    file = instance.file
    transaction.on_commit(lambda: file.storage.delete(file.name) if file.name else None)


@receiver(post_delete, sender=Upload)
def _remove_unfinished_file(instance: Upload, **_: Any) -> None:
    path = instance.path
    transaction.on_commit(lambda: path.unlink(missing_ok=True))
