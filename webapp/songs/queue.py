"""The queue as workers use it: claim a job, report progress, finish or fail it, and requeue lost ones.

The rows are authoritative, and every change of state is one conditional UPDATE. Of two workers, of a worker and a
person, or of a worker and its successor, only one can therefore succeed. A message in the queue only means "look at the
rows"; losing or repeating one does no harm.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from pipeline.options import Options
from webapp.accounts.quotas import charge
from webapp.celery import app
from webapp.models import Cause, EventKind, Job, State, Stem, Track, Worker
from webapp.songs.flags import flag
from webapp.songs.history import change, record
from webapp.songs.transitions import FRESH, IDLE, UNDO, clear, end
from webapp.storage.base import store

log = logging.getLogger(__name__)

MAX_LOSSES = 3
SPARE = timedelta(minutes=1)  # beyond UNDO, because the clocks of several machines differ
STALLED_AFTER = timedelta(minutes=15)  # far longer than the slowest step, decoding a three-hour song

LOST = (
    f"The worker stopped unexpectedly {MAX_LOSSES} times while it separated this song. The file may be the cause: "
    "export it again as WAV or FLAC and upload that. If it happens again, ask whoever runs this site to look at the "
    "worker's log."
)
STALLED = (
    f"Nothing moved for {STALLED_AFTER.seconds // 60} minutes, so the work was stopped. Please try again; if "
    "it happens again, ask whoever runs this site to look at the worker's log."
)


class JobLost(Exception):
    """The job no longer belongs to this worker: it was cancelled, deleted or requeued. The worker must stop."""


def claim_next(worker: str) -> Job | None:
    """Claim the job that has waited longest. Returns None if the queue is empty."""
    while (first := _waiting().values_list("pk", flat=True).first()) is not None:
        if job := claim(first, worker):
            return job
    return None


def claim(pk: UUID, worker: str) -> Job | None:
    """Claim a queued job. Returns None if another worker was faster, or the job is no longer queued."""
    heartbeat(worker)
    now = timezone.now()
    with transaction.atomic():
        waiting = _waiting().filter(pk=pk)
        claim: dict[str, Any] = {
            "state": State.RUNNING,
            "worker": worker,
            "attempts": F("attempts") + 1,
            "claimed_at": now,
            "heartbeat_at": now,
        }
        # Only one of the two finds the row. The second keeps what an earlier attempt finished.
        event: dict[str, Any] = {"kind": EventKind.STARTED, "detail": {"worker": worker}}
        if not (
            change(waiting.filter(finished=None), **event, **FRESH, **claim)
            or change(waiting, **event, **IDLE, **claim)
        ):
            return None
        job = Job.objects.select_related("track").get(pk=pk)
        if job.finished is None:
            job.stems.all().delete()
    clear(pk)  # files of interrupted attempts
    return job


def progress(job: Job, stems: Iterable[str] = (), **fields: Any) -> None:
    """Store progress and the stems that exist so far. Raises JobLost if the job no longer belongs to the worker."""
    with transaction.atomic():
        now = timezone.now()
        if not _claimed(job).update(**fields, heartbeat_at=now, updated_at=now):
            raise JobLost(str(job.pk))
        Stem.objects.bulk_create([Stem(job=job, name=name) for name in stems], ignore_conflicts=True)


def store_tags(track: Track, tags: Mapping[str, str]) -> None:
    """Take artist and title from the file's tags, but keep a title that a person chose."""
    with transaction.atomic():
        Track.objects.filter(pk=track.pk).update(artist=tags.get("artist", ""))
        if "title" in tags:
            Track.objects.filter(pk=track.pk, named=False).update(title=tags["title"])
        track.jobs.update(updated_at=timezone.now())
    track.refresh_from_db(fields=["title", "artist"])


def finish(job: Job, report: dict[str, Any], files: dict[str, Path], **fields: Any) -> None:
    """Finish a job. files: path of each stem, below the media folder. Raises JobLost."""
    end = {"state": State.DONE, "report": report, "seconds_left": None, "finished_at": timezone.now()}
    with transaction.atomic():
        progress(job, files, **(fields | end | {"finished": job.attempts}))
        record([job.pk], EventKind.DONE)
        if job.finished is None:
            charge(job)
        flag(job, report, fields.get("detected", {}))
        job.stems.exclude(name__in=files).delete()
        for name, path in files.items():
            job.stems.filter(name=name).update(file=str(path.relative_to(settings.MEDIA_ROOT)))
        Worker.objects.filter(name=job.worker).update(provider=report.get("provider", ""))
    clear(job.pk)


def options_of(job: Job) -> Options:
    """Return the options of a job, within the limits of this site."""
    stored = job.options | {"stems": tuple(job.options.get("stems", ()))}
    return Options(**stored, max_seconds=settings.MAX_SECONDS)


def fail(job: Job, message: str, cause: Cause = Cause.OTHER) -> None:
    """Fail a job with a message for its owner, and remove its output. Raises JobLost."""
    with transaction.atomic():
        if not end(_claimed(job), EventKind.FAILED, error=message, cause=cause):
            raise JobLost(str(job.pk))
    clear(job.pk)


def release(worker: str) -> int:
    """Requeue the jobs of a worker that stops, in their old places. Returns their number."""
    running = Job.objects.filter(state=State.RUNNING, worker=worker)
    return _requeue(running, "The worker was stopped.")


def discard_output(job: Job) -> None:
    """Remove the output of a lost attempt. The files of later attempts stay."""
    store().discard(job.directory)
    if not Job.objects.filter(pk=job.pk).exists():
        store().discard(job.folder)


def heartbeat(worker: str) -> None:
    """Store a worker's sign of life."""
    Worker.objects.update_or_create(name=worker, defaults={"heartbeat_at": timezone.now()})


def deregister(worker: str) -> None:
    """Remove a worker that stops in an orderly way, so that no job waits for it."""
    Worker.objects.filter(name=worker).delete()


def requeue_stale() -> int:
    """Requeue the jobs of dead workers, but fail a job that has lost MAX_LOSSES. Returns the number requeued."""
    orphans = Job.objects.filter(state=State.RUNNING).exclude(worker__in=Worker.objects.alive().values("name"))
    hopeless = orphans.filter(losses__gte=MAX_LOSSES - 1)
    end(hopeless, EventKind.FAILED, error=LOST, cause=Cause.LOST, losses=F("losses") + 1)
    return _requeue(orphans, "The worker died.", losses=F("losses") + 1)


def fail_stalled(worker: str) -> bool:
    """Fail a worker's job that has made no progress for STALLED_AFTER. Returns True if there was one."""
    stalled = Job.objects.filter(state=State.RUNNING, worker=worker, heartbeat_at__lt=timezone.now() - STALLED_AFTER)
    return bool(end(stalled, EventKind.FAILED, error=STALLED, cause=Cause.STALLED))


def delete_old_workers() -> None:
    """Delete workers without a heartbeat for a day."""
    Worker.objects.filter(heartbeat_at__lt=timezone.now() - timedelta(days=1)).delete()


def purge() -> None:
    """Remove deleted jobs that can no longer be restored, with their files, and tracks that have no job left."""
    for job in Job.objects.filter(deleted_at__lt=timezone.now() - UNDO - SPARE):
        with transaction.atomic():
            track = Track.objects.select_for_update().filter(pk=job.track_id).first()
            job.delete()
            if track and not track.jobs.exists():
                track.delete()


def wake_if_idle(worker: str) -> None:
    """Send the hint again if jobs wait while this worker is idle, because their messages were lost."""
    if _waiting().exists() and not Job.objects.filter(state=State.RUNNING, worker=worker).exists():
        wake()


def wake() -> None:
    """Send the workers a hint that a job waits. Failure does no harm: idle workers repeat it at every heartbeat."""
    try:
        app.send_task("webapp.tasks.separate", retry=False)
    except Exception as error:  # each kind of message queue has errors of its own
        log.warning("The message queue does not answer (%s). Jobs start when it does.", error)


def _waiting() -> QuerySet[Job]:
    """Return the jobs that may start, in the order of the queue."""
    queued = Job.objects.filter(state=State.QUEUED, deleted_at=None).order_by("queued_at", "pk")
    return queued.exclude(track__in=Track.objects.filter(owner__on_hold=True))  # no join: `change` locks job rows only


def _claimed(job: Job) -> QuerySet[Job]:
    """Match the job only while this claim is valid."""
    return Job.objects.filter(pk=job.pk, state=State.RUNNING, worker=job.worker, attempts=job.attempts)


def _requeue(rows: QuerySet[Job], reason: str, **fields: Any) -> int:
    """Requeue jobs in their old places. Finished segments stay, so that people can go on listening."""
    queued = fields | {"state": State.QUEUED, "seconds_left": None}
    return change(rows, EventKind.REQUEUED, detail={"reason": reason}, **queued)
