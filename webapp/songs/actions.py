"""What people do with songs: add, enqueue, cancel, retry, rename, delete, restore."""

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
from webapp.songs.queue import ACTIONS, wake
from webapp.songs.transitions import FRESH, IDLE, UNDO, clear, end

JOB_OPTIONS = ("stems", "preset", "format", "bits", "sample_rate", "bleed")  # of Options, that a job remembers


def add_track(owner: User, upload: File[bytes], filename: str, title: str = "") -> Track:
    """Keep an upload as a track; without a title it is called as its file is, until its tags are known."""
    from_file = " ".join(Path(filename).stem.replace("_", " ").split())[:255] or "Untitled"
    track = Track(owner=owner, title=title or from_file, named=bool(title), filename=filename[:255], size=upload.size)
    track.file.save(filename, upload, save=False)
    track.save(force_insert=True)
    return track


def enqueue(track: Track, options: Options | None = None, by: User | None = None, rerun_of: Job | None = None) -> Job:
    """Queue a separation of a track; rerun_of: with other settings than that job."""
    wish = {} if options is None else {name: value for name, value in options.as_dict().items() if name in JOB_OPTIONS}
    with transaction.atomic():
        job = Job.objects.create(track=track, options=wish, rerun_of=rerun_of)
        record([job.pk], EventKind.CREATED, by)
        transaction.on_commit(wake)
    return job


def upload_and_enqueue(
    owner: User, upload: File[bytes], filename: str, options: Options | None = None, title: str = ""
) -> Job:
    """Keep an upload as a track and queue its separation."""
    with transaction.atomic():
        return enqueue(add_track(owner, upload, filename, title), options, owner)


def enqueue_demo(owner: User) -> Job:
    """Queue the demo song. Raises FileNotFoundError where it was never installed."""
    with Path(settings.DEMO_SONG).open("rb") as song:
        return upload_and_enqueue(owner, File(song, name="Demo song.flac"), "Demo song.flac")


def cancel(job: Job, by: User | None = None) -> bool:
    """Stop a job that waits or runs; what it had finished before stays. False if it was already over."""
    live = Job.objects.filter(pk=job.pk, state__in=LIVE)
    with transaction.atomic():
        if not end(live, EventKind.CANCELLED, by=by):
            return False
        transaction.on_commit(lambda: clear(job.pk))
    return True


def retry(job: Job, by: User | None = None) -> bool:
    """Queue a failed or cancelled job again, at the end, whatever the cause. False if it is neither."""
    over = Job.objects.filter(pk=job.pk, state__in=ACTIONS["retry"])
    return _queue(over, EventKind.RETRIED, by, **FRESH)


def reselect_stems(job: Job, stems: Iterable[str], by: User | None = None) -> bool:
    """Queue a finished job again for another choice of stems, which mostly takes seconds. False if it isn't finished.

    Until then people go on with the stems they have.
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
    """Give the song another title, on all that is taken along from now on too."""
    with transaction.atomic():
        Track.objects.filter(pk=track.pk).update(title=title, named=True)
        change(Job.objects.filter(track=track), EventKind.RENAMED, by, {"title": title})


def delete(job: Job, by: User | None = None) -> None:
    """Hide a job with its trials, which stop. For UNDO it can be brought back, then `purge` removes it."""
    kept = _with_reruns(job).filter(deleted_at=None)
    live = kept.filter(state__in=LIVE)
    gone: dict[str, Any] = {"deleted_at": timezone.now()}
    with transaction.atomic():
        Stem.objects.filter(job__in=live, job__finished=None).delete()
        # A live one goes back to the queue, where it is passed over until it is brought back.
        change(live.filter(finished=None), EventKind.DELETED, by, **FRESH, **gone, state=State.QUEUED)
        change(live, EventKind.DELETED, by, **IDLE, **gone, state=State.QUEUED)
        change(kept, EventKind.DELETED, by, **gone)
        Export.objects.filter(job=job, state__in=LIVE).delete()
        transaction.on_commit(lambda: clear(job.pk))


def delete_track(track: Track, by: User | None = None) -> None:
    """Delete a track's jobs, and with the last of them the upload; at once, if there never was one."""
    for job in track.jobs.filter(deleted_at=None):
        delete(job, by)
    if not track.jobs.exists():
        track.delete()


def restore(job: Job, by: User | None = None) -> bool:
    """Bring a deleted job back. False if it isn't deleted, or too long ago."""
    hidden = _with_reruns(job).filter(deleted_at__gt=timezone.now() - UNDO)
    with transaction.atomic():
        changed = change(hidden, EventKind.RESTORED, by, deleted_at=None)
        if changed:
            transaction.on_commit(wake)
    return bool(changed)


def _with_reruns(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(Q(pk=job.pk) | Q(rerun_of=job.pk))
