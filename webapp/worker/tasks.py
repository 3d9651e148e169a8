"""What a worker does with a song: thin wrapping of `pipeline.separate` in the verbs of `songs.queue`."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from time import sleep
from typing import TYPE_CHECKING, Any

from celery import shared_task
from celery.signals import worker_ready
from django.conf import settings
from django.db import close_old_connections
from django.db.utils import InterfaceError, OperationalError

from pipeline.options import InvalidAudio, ModelUnavailable, Options, SeparationError, disk_is_full
from webapp.accounts.quotas import QuotaUsedUp
from webapp.models import Cause, Job
from webapp.songs import queue
from webapp.storage.base import DISK_FULL, store
from webapp.worker import heartbeat
from webapp.worker.progress import JobProgress

if TYPE_CHECKING:
    from pipeline.report import Report


log = logging.getLogger(__name__)
REPORT = "report.json"  # beside an attempt's stems
BROKEN = (
    "Something went wrong on our side while separating this song. Please try again; if it happens again, ask "
    "whoever runs this site to look at the worker's log."
)
MEMORY = (
    "The server ran out of memory while separating this song. Try a shorter one, or ask whoever runs this site to give "
    "it more."
)
FILES = (
    "The server could not read or write its files, so this song is not separated. Please try again; if it happens "
    "again, ask whoever runs this site to look at the worker's log."
)
GONE = "The song that was uploaded can't be found on the server any more. Please upload it again."


@shared_task(name="webapp.tasks.separate")
def separate() -> None:
    """Separate the song that has waited longest, if any. Which message woke us does not matter."""
    if not heartbeat.stopping.is_set() and (job := queue.claim_next(heartbeat.NAME)):
        work(job)


@worker_ready.connect
def begin_warming(**_: Any) -> None:
    """Load networks while nobody waits for them."""
    Thread(target=warm, name="warm", daemon=True).start()


def warm() -> None:
    """The same, in the thread that does it. Raises nothing: what is wrong will be told of the first song."""
    from pipeline import separate  # noqa: PLC0415

    try:
        separate.warm(Options().preset)
    except Exception:
        log.exception("The networks could not be loaded ahead.")


def work(job: Job) -> None:
    """Separate one claimed song. Whatever happens ends up in its row, and the worker lives on."""
    log.info("Job %s: attempt %d begins.", job.pk, job.attempts)
    try:
        _separate(job)
    except queue.JobLost:
        _lost(job)
    except Exception as error:
        message, cause = _told(error)
        if isinstance(error, SeparationError) and error.message == message:
            log.info("Job %s: %s", job.pk, message)
        else:
            log.exception("Job %s failed.", job.pk)
        _fail(job, message, cause)


def _told(error: Exception) -> tuple[str, Cause]:
    """What to say of an error, and what to count it as. What errors of files say names folders: that is for the log."""
    for kind, cause in ((InvalidAudio, Cause.FILE), (QuotaUsedUp, Cause.QUOTA), (ModelUnavailable, Cause.MODEL)):
        if isinstance(error, kind):
            return error.message, cause
    if disk_is_full(error):
        return DISK_FULL, Cause.DISK
    if isinstance(error, OSError) or isinstance(error.__cause__, OSError):
        return FILES, Cause.OTHER
    if isinstance(error, SeparationError):
        return error.message, Cause.OTHER
    return (MEMORY if isinstance(error, MemoryError) else BROKEN), Cause.OTHER


def _separate(job: Job) -> None:
    # Here, because they load ONNX Runtime, which only a worker at work needs.
    from pipeline.playback.segments import SegmentWriter  # noqa: PLC0415

    with store().workplace(job.directory) as publish, store().at_hand(job.track.path) as source:
        if not os.access(source, os.R_OK):
            raise SeparationError(GONE)
        with SegmentWriter(job.directory) as segments:
            note = JobProgress(job, segments, publish)
            report = _chosen_again(job, source, note) or _separated(job, source, note)
        note.drop_draft()
        _fold(job, report)
        told = report.as_dict()
        (job.directory / REPORT).write_text(json.dumps(told), "utf-8")
        note.result["size"] = _size(job.directory)
        publish()
    row = told | {"detected": {}, "files": {}}  # both are in the file
    _end(job, lambda: queue.finish(job, row, report.files, **note.fields, **note.result))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _separated(job: Job, source: Path, note: "JobProgress") -> "Report":
    from pipeline.separate import separate_file  # noqa: PLC0415

    return separate_file(
        source,
        job.directory,
        queue.options_of(job),
        on_progress=note.progress,
        on_decoded=note.decoded,
        on_detected=note.detected,
        on_draft=note.draft if settings.DRAFT and job.finished is None else None,
        on_block=note.block,
    )


def _chosen_again(job: Job, source: Path, note: "JobProgress") -> "Report | None":
    """The stems from an earlier attempt's work, if that has all that is asked for."""
    from pipeline.playback.segments import WORK  # noqa: PLC0415

    if job.finished_directory is None:
        return None
    with store().at_hand(job.finished_directory, REPORT, *WORK) as finished:
        return _chosen_from(finished, job, source, note)


def _chosen_from(finished: Path, job: Job, source: Path, note: "JobProgress") -> "Report | None":
    from pipeline.report import Report  # noqa: PLC0415
    from pipeline.separate import reselect_stems, reusable  # noqa: PLC0415

    options = queue.options_of(job)
    report = Report.from_dict(json.loads((finished / REPORT).read_text("utf-8")))
    if not reusable(finished, report, options):
        return None
    for stage, detected in report.detected.items():
        note.detected(stage, detected)
    return reselect_stems(
        source,
        finished,
        replace(report, title=job.track.title),
        job.directory,
        options,
        on_progress=note.progress,
        on_decoded=note.decoded,
        on_block=note.block,
    )


def _fold(job: Job, report: "Report") -> None:
    """What proved empty only in the end was played as a lane of its own until then."""
    from pipeline.playback.segments import index, merge_into_other  # noqa: PLC0415

    late = {*index(job.directory).stems} & {stem.name for stem in report.merged}
    if late:
        merge_into_other(job.directory, sorted(late), silent=sorted(late & {*report.stems}))


def _fail(job: Job, message: str, cause: Cause) -> None:
    _end(job, lambda: queue.fail(job, message, cause))


def _end(job: Job, verb: Callable[[], None]) -> None:
    """Write an end of the job, through a database that may be away for a moment."""
    for pause in (1, 2, 4, 8, 16, 32, None):
        try:
            return verb()
        except queue.JobLost:
            return _lost(job)
        except (OperationalError, InterfaceError):
            if pause is None:
                raise
            log.exception("Job %s: its end could not be written; trying again in %d s.", job.pk, pause)
            close_old_connections()
            sleep(pause)
    return None


def _lost(job: Job) -> None:
    log.info("Job %s: not ours any more, stopped.", job.pk)
    queue.discard_output(job)
