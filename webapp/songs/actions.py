"""What people do with songs: add, enqueue, cancel, retry, reselect stems, rename, delete, restore."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from pipeline.options import Options
from webapp.models import LIVE, EventKind, Export, Job, State, Stem, Track, User
from webapp.songs.history import change, record
from webapp.songs.queue import wake
from webapp.songs.transitions import ACTIONS, FRESH, IDLE, UNDO, clear, end

JOB_OPTIONS = ("stems", "preset", "format", "bits", "sample_rate", "bleed")  # the fields of Options that a job stores


def add_track(owner: User, upload: File[bytes], filename: str, title: str = "") -> Track:
    """Store an upload as a track. Without a title it is named after its file until its tags are read."""
    from_file = " ".join(Path(filename).stem.replace("_", " ").split())[:255] or "Untitled"
    track = Track(owner=owner, title=title or from_file, named=bool(title), filename=filename[:255], size=upload.size)
    track.file.save(filename, upload, save=False)
    track.save(force_insert=True)
    return track


def enqueue(track: Track, options: Options | None = None, by: User | None = None, rerun_of: Job | None = None) -> Job:
    """Queue a separation of a track. rerun_of: the job that a reviewer runs again with other settings."""
    given = {} if options is None else options.as_dict()
    stored = {name: value for name, value in given.items() if name in JOB_OPTIONS}
    with transaction.atomic():
        job = Job.objects.create(track=track, options=stored, rerun_of=rerun_of)
        record([job.pk], EventKind.CREATED, by)
        transaction.on_commit(wake)
    return job


def upload_and_enqueue(
    owner: User, upload: File[bytes], filename: str, options: Options | None = None, title: str = ""
) -> Job:
    """Store an upload as a track and queue its separation."""
    with transaction.atomic():
        return enqueue(add_track(owner, upload, filename, title), options, owner)


def enqueue_demo(owner: User) -> Job:
    """Queue the demo song. Raises FileNotFoundError if it is not installed."""
    with Path(settings.DEMO_SONG).open("rb") as song:
        return upload_and_enqueue(owner, File(song, name="Demo song.flac"), "Demo song.flac")


def cancel(job: Job, by: User | None = None) -> bool:
    """Cancel a queued or running job, and keep an earlier result. Returns False if the job has ended."""
    live = Job.objects.filter(pk=job.pk, state__in=ACTIONS["cancel"])
    with transaction.atomic():
        if not end(live, EventKind.CANCELLED, by=by):
            return False
        transaction.on_commit(lambda: clear(job.pk))
    return True


def retry(job: Job, by: User | None = None) -> bool:
    """Queue a failed or cancelled job again, at the end of the queue. Returns False if it is neither."""
    over = Job.objects.filter(pk=job.pk, state__in=ACTIONS["retry"])
    return _queue(over, EventKind.RETRIED, by, **FRESH)


def reselect_stems(job: Job, stems: Iterable[str], by: User | None = None) -> bool:
    """Queue a finished job again for other stems, which usually takes seconds. Returns False if it is not finished.

    The present stems stay available until the new ones are ready.
    """
    done = Job.objects.filter(pk=job.pk, state__in=ACTIONS["reselect"])
    options = job.options | {"stems": list(stems)}
    return _queue(done, EventKind.RESELECTED, by, {"stems": options["stems"]}, **IDLE, options=options)


def _queue(
    rows: QuerySet[Job], kind: EventKind, by: User | None, detail: dict[str, Any] | None = None, **fields: Any
) -> bool:
    queued = fields | {"state": State.QUEUED, "losses": 0, "queued_at": timezone.now()}
    with transaction.atomic():
        changed = change(rows, kind, by, detail, **queued)
        if changed:
            transaction.on_commit(wake)
    return bool(changed)


def rename(track: Track, title: str, by: User | None = None) -> None:
    """Change a song's title, also in files that are downloaded from now on."""
    with transaction.atomic():
        Track.objects.filter(pk=track.pk).update(title=title, named=True)
        change(Job.objects.filter(track=track), EventKind.RENAMED, by, {"title": title})


def delete(job: Job, by: User | None = None) -> None:
    """Hide a job and its reruns, and stop them. It can be restored during UNDO; then `queue.purge` removes it."""
    visible = _with_reruns(job).filter(deleted_at=None)
    live = visible.filter(state__in=LIVE)
    hidden: dict[str, Any] = {"deleted_at": timezone.now()}
    with transaction.atomic():
        Stem.objects.filter(job__in=live, job__finished=None).delete()
        # A live job goes back to the queue, where it is passed over until it is restored.
        change(live.filter(finished=None), EventKind.DELETED, by, **FRESH, **hidden, state=State.QUEUED)
        change(live, EventKind.DELETED, by, **IDLE, **hidden, state=State.QUEUED)
        change(visible, EventKind.DELETED, by, **hidden)
        Export.objects.filter(job=job, state__in=LIVE).delete()
        transaction.on_commit(lambda: clear(job.pk))


def delete_track(track: Track, by: User | None = None) -> None:
    """Delete a track's jobs; purging the last one removes the upload. Without jobs the track is removed at once."""
    for job in track.jobs.filter(deleted_at=None):
        delete(job, by)
    if not track.jobs.exists():
        track.delete()


def restore(job: Job, by: User | None = None) -> bool:
    """Restore a deleted job. Returns False if it is not deleted, or was deleted longer ago than UNDO."""
    hidden = _with_reruns(job).filter(deleted_at__gt=timezone.now() - UNDO)
    with transaction.atomic():
        changed = change(hidden, EventKind.RESTORED, by, deleted_at=None)
        if changed:
            transaction.on_commit(wake)
    return bool(changed)


def _with_reruns(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(Q(pk=job.pk) | Q(rerun_of=job.pk))
