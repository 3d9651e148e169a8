"""Every action on a job, as verbs. No HTTP here.

The row is the truth and every change of state is one conditional UPDATE, so that two workers, a worker and a
person, or a worker that everyone took for dead cannot both have their way. A message in the queue only says
"look at the rows": losing or doubling one does no harm.
"""

import logging
import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone

from pipeline.options import Options
from webapp.celery import app
from webapp.models import Job, State, Stem, Track, User, Worker

log = logging.getLogger(__name__)

MAX_LOSSES = 3
STALLED_AFTER = timedelta(minutes=15)  # far above the slowest single step: decoding a three-hour song

LOST = (
    f"The worker stopped {MAX_LOSSES} times while it separated this song, perhaps because the computer ran "
    "out of memory. Try a shorter song, or ask whoever runs this site to look at the worker's log."
)
STALLED = (
    f"Nothing moved for {STALLED_AFTER.seconds // 60} minutes, so the work was stopped. Please try again; if "
    "it happens again, ask whoever runs this site to look at the worker's log."
)

FRESH: dict[str, Any] = {
    "stage": "",
    "blocks_done": 0,
    "blocks_total": 0,
    "seconds_left": None,
    "samples": None,
    "segments_done": 0,
    "error": "",
    "heard": {},
    "report": {},
    "finished_at": None,
}


class JobLost(Exception):
    """The job is no longer this worker's: cancelled, deleted, or given to another. Stop working on it."""


# -- what people do ------------------------------------------------------------------------------------------


def create(owner: User, upload: File[bytes], filename: str, options: Options | None = None) -> Job:
    """Keep an upload as a track and queue its separation."""
    title = Path(filename).stem[:255] or "Untitled"
    wish = {} if options is None else {"stems": list(options.stems), "format": options.format, "bleed": options.bleed}
    with transaction.atomic():
        track = Track(owner=owner, title=title, filename=filename[:255], size=upload.size)
        track.file.save(filename, upload, save=False)
        track.save(force_insert=True)
        job = Job.objects.create(track=track, options=wish)
        transaction.on_commit(wake)
    return job


def create_demo(owner: User) -> Job:
    """Queue the demo song. Raises FileNotFoundError where it was never installed."""
    with Path(settings.DEMO_SONG).open("rb") as song:
        return create(owner, File(song, name="Demo song.flac"), "Demo song.flac")


def cancel(job: Job) -> bool:
    """Stop a job that waits or runs. False if it was already over."""
    live = Job.objects.filter(pk=job.pk, state__in=[State.QUEUED, State.RUNNING])
    with transaction.atomic():
        if not _change(live, FRESH, state=State.CANCELLED, finished_at=timezone.now()):
            return False
        job.stems.all().delete()
        transaction.on_commit(lambda: _clear(job))
    return True


def retry(job: Job) -> bool:
    """Queue a failed or cancelled job again, at the end. False if it is neither."""
    over = Job.objects.filter(pk=job.pk, state__in=[State.FAILED, State.CANCELLED])
    with transaction.atomic():
        changed = _change(over, FRESH, state=State.QUEUED, losses=0, queued_at=timezone.now())
        if changed:
            transaction.on_commit(wake)
    return bool(changed)


def choose(job: Job, stems: Iterable[str]) -> bool:
    """Queue a finished job again for another choice of stems, which takes seconds. False if it isn't finished."""
    done = Job.objects.filter(pk=job.pk, state=State.DONE)
    wish = job.options | {"stems": list(stems)}
    with transaction.atomic():
        changed = _change(
            done, FRESH, state=State.QUEUED, options=wish, finished=F("attempts"), losses=0, queued_at=timezone.now()
        )
        if changed:
            transaction.on_commit(wake)
    return bool(changed)


def delete(job: Job) -> None:
    """Remove a job with its files, and the track with its last job. A worker busy on it will notice."""
    with transaction.atomic():
        track = Track.objects.select_for_update().filter(pk=job.track_id).first()
        Job.objects.filter(pk=job.pk).delete()
        if track and not track.jobs.exists():
            track.delete()


# -- what a worker does --------------------------------------------------------------------------------------


def claim_next(worker: str) -> Job | None:
    """The job that has waited longest, now this worker's; None if nothing waits."""
    while (first := _waiting().values_list("pk", flat=True).first()) is not None:
        if job := claim(first, worker):
            return job
    return None


def claim(pk: UUID, worker: str) -> Job | None:
    """Make a queued job this worker's. None if it is not queued any more: somebody was faster."""
    beat(worker)
    now = timezone.now()
    with transaction.atomic():
        claimed = _change(
            Job.objects.filter(pk=pk, state=State.QUEUED),
            FRESH,
            state=State.RUNNING,
            worker=worker,
            attempts=F("attempts") + 1,
            claimed_at=now,
            beat_at=now,
        )
        if not claimed:
            return None
        job = Job.objects.select_related("track").get(pk=pk)
        job.stems.all().delete()
    _clear(job)  # what an interrupted attempt left behind
    return job


def progress(job: Job, stems: Iterable[str] = (), **fields: Any) -> None:
    """Note how far the worker is and which stems there are. Raises JobLost when the job is no longer its."""
    with transaction.atomic():
        if not _change(_held(job), fields, beat_at=timezone.now()):
            raise JobLost(str(job.pk))
        Stem.objects.bulk_create([Stem(job=job, name=name) for name in stems], ignore_conflicts=True)


def finish(job: Job, report: dict[str, Any], files: dict[str, Path], **fields: Any) -> None:
    """Done. files: path of each stem, inside the media folder. Raises JobLost."""
    end = {"state": State.DONE, "report": report, "seconds_left": None, "finished_at": timezone.now()}
    with transaction.atomic():
        progress(job, files, **(fields | end))
        job.stems.exclude(name__in=files).delete()
        for name, path in files.items():
            job.stems.filter(name=name).update(file=str(path.relative_to(settings.MEDIA_ROOT)))
        Worker.objects.filter(name=job.worker).update(provider=report.get("provider", ""))
        if earlier := job.finished_directory:
            transaction.on_commit(lambda: _remove(earlier))


def options_of(job: Job) -> Options:
    """What was asked for, within the limits of this site."""
    wish = job.options | {"stems": tuple(job.options.get("stems", ()))}
    return Options(**wish, max_seconds=settings.MAX_SECONDS)


def fail(job: Job, message: str) -> None:
    """Over, with a reason that a musician understands. What was written is removed. Raises JobLost."""
    with transaction.atomic():
        if not _change(_held(job), FRESH, state=State.FAILED, error=message, finished_at=timezone.now()):
            raise JobLost(str(job.pk))
        job.stems.all().delete()
    _clear(job)


def release(worker: str) -> int:
    """Put a worker's jobs back, in their old places, because it is told to stop. How many there were."""
    held = Job.objects.filter(state=State.RUNNING, worker=worker)
    return _change(held, {}, state=State.QUEUED, seconds_left=None)


def abandon(job: Job) -> None:
    """Remove what a worker wrote for a job that was taken from it. A later attempt's files stay."""
    _remove(job.directory)
    if not Job.objects.filter(pk=job.pk).exists():
        _remove(job.folder)


# -- what keeps the queue moving -----------------------------------------------------------------------------


def beat(worker: str) -> None:
    """Show that the worker lives."""
    Worker.objects.update_or_create(name=worker, defaults={"beat_at": timezone.now()})


def dismiss(worker: str) -> None:
    """Forget a worker that stops in good order, so that nobody waits for it."""
    Worker.objects.filter(name=worker).delete()


def requeue_stale() -> int:
    """Put back the jobs of dead workers; give up on a job that has killed several. How many were put back."""
    orphans = Job.objects.filter(state=State.RUNNING).exclude(worker__in=Worker.objects.alive().values("name"))
    hopeless = orphans.filter(losses__gte=MAX_LOSSES - 1)
    _change(hopeless, FRESH, state=State.FAILED, error=LOST, losses=F("losses") + 1, finished_at=timezone.now())
    # The place in the queue and the finished segments stay, so that people can go on listening meanwhile.
    return _change(orphans, {}, state=State.QUEUED, losses=F("losses") + 1, seconds_left=None)


def fail_stalled(worker: str) -> bool:
    """Fail a living worker's job that has not moved for a long time. True if there was one: the worker hangs."""
    stalled = Job.objects.filter(state=State.RUNNING, worker=worker, beat_at__lt=timezone.now() - STALLED_AFTER)
    return bool(_change(stalled, FRESH, state=State.FAILED, error=STALLED, finished_at=timezone.now()))


def forget_workers() -> None:
    """Drop rows of workers gone for a day."""
    Worker.objects.filter(beat_at__lt=timezone.now() - timedelta(days=1)).delete()


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


# -- underneath ----------------------------------------------------------------------------------------------


def _waiting() -> QuerySet[Job]:
    return Job.objects.filter(state=State.QUEUED).order_by("queued_at", "pk")


def _held(job: Job) -> QuerySet[Job]:
    """The row, as long as it is still this claim's."""
    return Job.objects.filter(pk=job.pk, state=State.RUNNING, worker=job.worker, attempts=job.attempts)


def _change(rows: QuerySet[Job], fields: dict[str, Any], **more: Any) -> int:
    return rows.update(**(fields | more | {"updated_at": timezone.now()}))


def _clear(job: Job) -> None:
    """Remove what was written for a job, but not the work that another choice of stems is made from."""
    if job.finished_directory is None:
        _remove(job.folder)
    for attempt in set(job.folder.glob("*")) - {job.finished_directory}:
        _remove(attempt)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@receiver(post_delete, sender=Job)
def _remove_job_files(instance: Job, **_: Any) -> None:
    """Whoever deletes a row, directly or by cascade, deletes its files: once that is certain."""
    folder = instance.folder
    transaction.on_commit(lambda: _remove(folder))


@receiver(post_delete, sender=Track)
def _remove_track_file(instance: Track, **_: Any) -> None:
    file = instance.file
    transaction.on_commit(lambda: file.storage.delete(file.name) if file.name else None)
