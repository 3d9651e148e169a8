"""How workers take songs from the queue, and what becomes of them. No HTTP here.

The row is the truth and every change of state is one conditional UPDATE, so that two workers, a worker and a person, or
a worker that counts as dead cannot both have their way. A message in the queue only says "look at the rows": losing
or doubling one does no harm.
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
from webapp.models import LIVE, Cause, EventKind, Job, State, Stem, Track, Worker
from webapp.songs.flags import flag
from webapp.songs.history import change, record
from webapp.songs.transitions import FRESH, IDLE, UNDO, clear, end
from webapp.storage.base import store

log = logging.getLogger(__name__)

MAX_LOSSES = 3
SPARE = timedelta(minutes=1)  # beyond UNDO: clocks of several machines differ
STALLED_AFTER = timedelta(minutes=15)  # far above the slowest single step: decoding a three-hour song

LOST = (
    f"The worker stopped unexpectedly {MAX_LOSSES} times while it separated this song. The file may be the cause: "
    "export it again as WAV or FLAC and upload that. If it happens again, ask whoever runs this site to look at the "
    "worker's log."
)
STALLED = (
    f"Nothing moved for {STALLED_AFTER.seconds // 60} minutes, so the work was stopped. Please try again; if "
    "it happens again, ask whoever runs this site to look at the worker's log."
)
ACTIONS: dict[str, tuple[State, ...]] = {
    "cancel": LIVE,
    "retry": (State.FAILED, State.CANCELLED),
    "reselect": (State.DONE,),
    "delete": tuple(State),
}


class JobLost(Exception):
    """The job is no longer this worker's: cancelled, deleted, or given to another. Stop working on it."""


def actions_of(job: Job) -> list[str]:
    """What its owner can do with a job now. Where the file itself is the cause, another try would fail as well."""
    hopeless = job.state == State.FAILED and job.cause == Cause.FILE
    return [name for name, states in ACTIONS.items() if job.state in states and not (name == "retry" and hopeless)]


def claim_next(worker: str) -> Job | None:
    """The job that has waited longest, now this worker's; None if nothing waits."""
    while (first := _waiting().values_list("pk", flat=True).first()) is not None:
        if job := claim(first, worker):
            return job
    return None


def claim(pk: UUID, worker: str) -> Job | None:
    """Make a queued job this worker's. None if it is not queued any more: somebody was faster."""
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
        # One of the two finds the row: what was finished before stays in sight.
        told: dict[str, Any] = {"kind": EventKind.STARTED, "detail": {"worker": worker}}
        if not (
            change(waiting.filter(finished=None), **told, **FRESH, **claim) or change(waiting, **told, **IDLE, **claim)
        ):
            return None
        job = Job.objects.select_related("track").get(pk=pk)
        if job.finished is None:
            job.stems.all().delete()
    clear(pk)  # what an interrupted attempt left behind
    return job


def progress(job: Job, stems: Iterable[str] = (), **fields: Any) -> None:
    """Note how far the worker is and which stems there are. Raises JobLost when the job is no longer its."""
    with transaction.atomic():
        now = timezone.now()
        if not _held(job).update(**fields, heartbeat_at=now, updated_at=now):
            raise JobLost(str(job.pk))
        Stem.objects.bulk_create([Stem(job=job, name=name) for name in stems], ignore_conflicts=True)


def learn(track: Track, tags: Mapping[str, str]) -> None:
    """Take artist and title from the file's tags; a title that a person gave stays."""
    with transaction.atomic():
        Track.objects.filter(pk=track.pk).update(artist=tags.get("artist", ""))
        if "title" in tags:
            Track.objects.filter(pk=track.pk, named=False).update(title=tags["title"])
        track.jobs.update(updated_at=timezone.now())
    track.refresh_from_db(fields=["title", "artist"])


def finish(job: Job, report: dict[str, Any], files: dict[str, Path], **fields: Any) -> None:
    """Done. files: path of each stem, inside the media folder. Raises JobLost."""
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
    """What was asked for, within the limits of this site."""
    wish = job.options | {"stems": tuple(job.options.get("stems", ()))}
    return Options(**wish, max_seconds=settings.MAX_SECONDS)


def fail(job: Job, message: str, cause: Cause = Cause.OTHER) -> None:
    """Over, with a reason that a musician understands. What was written is removed. Raises JobLost."""
    with transaction.atomic():
        if not end(_held(job), EventKind.FAILED, error=message, cause=cause):
            raise JobLost(str(job.pk))
    clear(job.pk)


def release(worker: str) -> int:
    """Put a worker's jobs back, in their old places, because it is told to stop. How many there were."""
    held = Job.objects.filter(state=State.RUNNING, worker=worker)
    return _put_back(held, "The worker was stopped.")


def discard_output(job: Job) -> None:
    """Remove what a worker wrote for a job that was taken from it. A later attempt's files stay."""
    store().discard(job.directory)
    if not Job.objects.filter(pk=job.pk).exists():
        store().discard(job.folder)


def heartbeat(worker: str) -> None:
    """Show that the worker lives."""
    Worker.objects.update_or_create(name=worker, defaults={"heartbeat_at": timezone.now()})


def deregister(worker: str) -> None:
    """Forget a worker that stops in good order, so that nobody waits for it."""
    Worker.objects.filter(name=worker).delete()


def requeue_stale() -> int:
    """Put back the jobs of dead workers; give up on a job that has killed several. How many were put back."""
    orphans = Job.objects.filter(state=State.RUNNING).exclude(worker__in=Worker.objects.alive().values("name"))
    hopeless = orphans.filter(losses__gte=MAX_LOSSES - 1)
    end(hopeless, EventKind.FAILED, error=LOST, cause=Cause.LOST, losses=F("losses") + 1)
    return _put_back(orphans, "The worker died.", losses=F("losses") + 1)


def fail_stalled(worker: str) -> bool:
    """Fail a living worker's job that has not moved for a long time. True if there was one: the worker hangs."""
    stalled = Job.objects.filter(state=State.RUNNING, worker=worker, heartbeat_at__lt=timezone.now() - STALLED_AFTER)
    return bool(end(stalled, EventKind.FAILED, error=STALLED, cause=Cause.STALLED))


def forget_workers() -> None:
    """Drop rows of workers gone for a day."""
    Worker.objects.filter(heartbeat_at__lt=timezone.now() - timedelta(days=1)).delete()


def purge() -> None:
    """Remove jobs deleted longer ago than anybody may bring them back, with their files, and tracks with their last."""
    for job in Job.objects.filter(deleted_at__lt=timezone.now() - UNDO - SPARE):
        with transaction.atomic():
            track = Track.objects.select_for_update().filter(pk=job.track_id).first()
            job.delete()
            if track and not track.jobs.exists():
                track.delete()


def wake_if_idle(worker: str) -> None:
    """Send the hint again if jobs wait while this worker has none: their messages were lost."""
    if _waiting().exists() and not Job.objects.filter(state=State.RUNNING, worker=worker).exists():
        wake()


def wake() -> None:
    """Hint to the workers that a job waits. Failing does no harm: idle workers repeat the hint at every beat."""
    try:
        app.send_task("webapp.tasks.separate", retry=False)
    except Exception as error:  # each kind of queue has errors of its own
        log.warning("The message queue does not answer (%s). Jobs start when it does.", error)


def _waiting() -> QuerySet[Job]:
    """Jobs that may start, in order."""
    queued = Job.objects.filter(state=State.QUEUED, deleted_at=None).order_by("queued_at", "pk")
    return queued.exclude(track__in=Track.objects.filter(owner__on_hold=True))  # no join: `change` locks job rows only


def _held(job: Job) -> QuerySet[Job]:
    """The row, as long as it is still this claim's."""
    return Job.objects.filter(pk=job.pk, state=State.RUNNING, worker=job.worker, attempts=job.attempts)


def _put_back(rows: QuerySet[Job], reason: str, **fields: Any) -> int:
    """The place in the queue and the finished segments stay, so that people can go on listening meanwhile."""
    queued = fields | {"state": State.QUEUED, "seconds_left": None}
    return change(rows, EventKind.REQUEUED, detail={"reason": reason}, **queued)
