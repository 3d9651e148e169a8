"""Every action on a job, as verbs. No HTTP here.

The row is the truth and every change of state is one conditional UPDATE, so that two workers, a worker and a
person, or a worker that everyone took for dead cannot both have their way. A message in the queue only says
"look at the rows": losing or doubling one does no harm.
"""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from pipeline.options import Options
from webapp.celery import app
from webapp.history import change, note
from webapp.models import LIVE, Cause, Export, Happened, Job, State, Stem, Track, User, Worker
from webapp.quotas import charge
from webapp.review import flag
from webapp.storage import store

log = logging.getLogger(__name__)

MAX_LOSSES = 3
UNDO = timedelta(minutes=10)  # how long a deleted job can be brought back
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

WISHES = ("stems", "preset", "format", "bits", "sample_rate", "bleed")  # of Options, that a job remembers
ACTIONS: dict[str, tuple[State, ...]] = {
    "cancel": LIVE,
    "retry": (State.FAILED, State.CANCELLED),
    "reselect": (State.DONE,),
    "delete": tuple(State),
}
IDLE: dict[str, Any] = {
    "stage": "",
    "stage_progress": None,
    "blocks_done": 0,
    "blocks_total": 0,
    "seconds_left": None,
    "error": "",
    "cause": "",
    "finished_at": None,
}
FRESH: dict[str, Any] = IDLE | {
    "samples": None,
    "size": 0,
    "original_done": 0,
    "draft_done": 0,
    "segments_done": 0,
    "tags": {},
    "heard": {},
    "report": {},
}


class JobLost(Exception):
    """The job is no longer this worker's: cancelled, deleted, or given to another. Stop working on it."""


# -- what people do ------------------------------------------------------------------------------------------


def add(owner: User, upload: File[bytes], filename: str, title: str = "") -> Track:
    """Keep an upload as a track; without a title it is called as its file is, until its tags are known."""
    from_file = " ".join(Path(filename).stem.replace("_", " ").split())[:255] or "Untitled"
    track = Track(owner=owner, title=title or from_file, named=bool(title), filename=filename[:255], size=upload.size)
    track.file.save(filename, upload, save=False)
    track.save(force_insert=True)
    return track


def start(track: Track, options: Options | None = None, by: User | None = None, trial_of: Job | None = None) -> Job:
    """Queue a separation of a track; trial_of: with other settings than that job."""
    wish = {} if options is None else {name: value for name, value in options.as_dict().items() if name in WISHES}
    with transaction.atomic():
        job = Job.objects.create(track=track, options=wish, trial_of=trial_of)
        note([job.pk], Happened.CREATED, by)
        transaction.on_commit(wake)
    return job


def create(owner: User, upload: File[bytes], filename: str, options: Options | None = None, title: str = "") -> Job:
    """Keep an upload as a track and queue its separation."""
    with transaction.atomic():
        return start(add(owner, upload, filename, title), options, owner)


def create_demo(owner: User) -> Job:
    """Queue the demo song. Raises FileNotFoundError where it was never installed."""
    with Path(settings.DEMO_SONG).open("rb") as song:
        return create(owner, File(song, name="Demo song.flac"), "Demo song.flac")


def cancel(job: Job, by: User | None = None) -> bool:
    """Stop a job that waits or runs; what it had finished before stays. False if it was already over."""
    live = Job.objects.filter(pk=job.pk, state__in=LIVE)
    with transaction.atomic():
        if not _end(live, Happened.CANCELLED, by=by):
            return False
        transaction.on_commit(lambda: clear(job.pk))
    return True


def actions_of(job: Job) -> list[str]:
    """What its owner can do with a job now. Where the file itself is the cause, another try would fail as well."""
    hopeless = job.state == State.FAILED and job.cause == Cause.FILE
    return [name for name, states in ACTIONS.items() if job.state in states and not (name == "retry" and hopeless)]


def retry(job: Job, by: User | None = None) -> bool:
    """Queue a failed or cancelled job again, at the end, whatever the cause. False if it is neither."""
    over = Job.objects.filter(pk=job.pk, state__in=ACTIONS["retry"])
    return _queue(over, Happened.RETRIED, by, **FRESH)


def choose(job: Job, stems: Iterable[str], by: User | None = None) -> bool:
    """Queue a finished job again for another choice of stems, which mostly takes seconds. False if it isn't finished.

    Until then people go on with the stems they have.
    """
    done = Job.objects.filter(pk=job.pk, state__in=ACTIONS["reselect"])
    options = job.options | {"stems": list(stems)}
    return _queue(done, Happened.CHOSEN, by, {"stems": options["stems"]}, **IDLE, options=options)


def _queue(
    rows: QuerySet[Job], kind: Happened, by: User | None, detail: dict[str, Any] | None = None, **fields: Any
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
        change(Job.objects.filter(track=track), Happened.RENAMED, by, {"title": title})


def delete(job: Job, by: User | None = None) -> None:
    """Hide a job with its trials, which stop. For UNDO it can be brought back, then `purge` removes it."""
    kept = _with_trials(job).filter(deleted_at=None)
    live = kept.filter(state__in=LIVE)
    gone: dict[str, Any] = {"deleted_at": timezone.now()}
    with transaction.atomic():
        Stem.objects.filter(job__in=live, job__finished=None).delete()
        # A live one goes back to the queue, where it is passed over until it is brought back.
        change(live.filter(finished=None), Happened.DELETED, by, **FRESH, **gone, state=State.QUEUED)
        change(live, Happened.DELETED, by, **IDLE, **gone, state=State.QUEUED)
        change(kept, Happened.DELETED, by, **gone)
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
    hidden = _with_trials(job).filter(deleted_at__gt=timezone.now() - UNDO)
    with transaction.atomic():
        changed = change(hidden, Happened.RESTORED, by, deleted_at=None)
        if changed:
            transaction.on_commit(wake)
    return bool(changed)


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
        waiting = _waiting().filter(pk=pk)
        claim: dict[str, Any] = {
            "state": State.RUNNING,
            "worker": worker,
            "attempts": F("attempts") + 1,
            "claimed_at": now,
            "beat_at": now,
        }
        # One of the two finds the row: what was finished before stays in sight.
        told: dict[str, Any] = {"kind": Happened.STARTED, "detail": {"worker": worker}}
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
        if not _held(job).update(**fields, beat_at=now, updated_at=now):
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
        note([job.pk], Happened.DONE)
        if job.finished is None:
            charge(job)
        flag(job, report, fields.get("heard", {}))
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
        if not _end(_held(job), Happened.FAILED, error=message, cause=cause):
            raise JobLost(str(job.pk))
    clear(job.pk)


def release(worker: str) -> int:
    """Put a worker's jobs back, in their old places, because it is told to stop. How many there were."""
    held = Job.objects.filter(state=State.RUNNING, worker=worker)
    return _put_back(held, "The worker was stopped.")


def abandon(job: Job) -> None:
    """Remove what a worker wrote for a job that was taken from it. A later attempt's files stay."""
    store().discard(job.directory)
    if not Job.objects.filter(pk=job.pk).exists():
        store().discard(job.folder)


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
    _end(hopeless, Happened.FAILED, error=LOST, cause=Cause.LOST, losses=F("losses") + 1)
    return _put_back(orphans, "The worker died.", losses=F("losses") + 1)


def fail_stalled(worker: str) -> bool:
    """Fail a living worker's job that has not moved for a long time. True if there was one: the worker hangs."""
    stalled = Job.objects.filter(state=State.RUNNING, worker=worker, beat_at__lt=timezone.now() - STALLED_AFTER)
    return bool(_end(stalled, Happened.FAILED, error=STALLED, cause=Cause.STALLED))


def forget_workers() -> None:
    """Drop rows of workers gone for a day."""
    Worker.objects.filter(beat_at__lt=timezone.now() - timedelta(days=1)).delete()


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


# -- underneath ----------------------------------------------------------------------------------------------


def _waiting() -> QuerySet[Job]:
    """Jobs that may start, in order."""
    queued = Job.objects.filter(state=State.QUEUED, deleted_at=None).order_by("queued_at", "pk")
    return queued.exclude(track__in=Track.objects.filter(owner__held=True))  # no join: `change` locks job rows only


def _with_trials(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(Q(pk=job.pk) | Q(trial_of=job.pk))


def _held(job: Job) -> QuerySet[Job]:
    """The row, as long as it is still this claim's."""
    return Job.objects.filter(pk=job.pk, state=State.RUNNING, worker=job.worker, attempts=job.attempts)


def _put_back(rows: QuerySet[Job], reason: str, **fields: Any) -> int:
    """The place in the queue and the finished segments stay, so that people can go on listening meanwhile."""
    queued = fields | {"state": State.QUEUED, "seconds_left": None}
    return change(rows, Happened.REQUEUED, detail={"reason": reason}, **queued)


def _end(rows: QuerySet[Job], kind: Happened, by: User | None = None, **fields: Any) -> int:
    """End jobs before their time. Those that had finished before are done with what they had."""
    end = fields | {"finished_at": timezone.now()}
    told: dict[str, Any] = {"kind": kind, "by": by, "detail": {"error": fields["error"]} if "error" in fields else {}}
    with transaction.atomic():
        Stem.objects.filter(job__in=rows, job__finished=None).delete()
        return change(rows.filter(finished=None), **told, **(FRESH | end), state=State(kind.value)) + change(
            rows, **told, **(IDLE | end), state=State.DONE
        )


def clear(pk: UUID) -> None:
    """Remove what attempts wrote, but for a running one's and for what people play."""
    job = Job.objects.filter(pk=pk).first()
    if job is None:
        return
    last = job.attempts - 1 if job.state == State.RUNNING else job.attempts  # later ones began while we looked
    for attempt in set(range(last + 1)) - {job.finished}:
        store().discard(job.folder / str(attempt))
    with suppress(OSError):  # it isn't empty, or isn't there
        job.folder.rmdir()
