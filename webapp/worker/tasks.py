"""The task that separates a song: it claims a job, runs `pipeline.separate`, and stores how it ended."""

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
    """Separate the song that has waited longest, if any, whichever message woke the worker."""
    if not heartbeat.stopping.is_set() and (job := queue.claim_next(heartbeat.NAME)):
        work(job)


@worker_ready.connect
def begin_warming(**_: Any) -> None:
    """Load the networks while nobody waits for them."""
    Thread(target=warm, name="warm", daemon=True).start()


def warm() -> None:
    """Load the networks. Errors are only logged; the first song will fail with a message."""
    from pipeline import separate  # noqa: PLC0415

    try:
        separate.warm(Options().preset)
    except Exception:
        log.exception("The networks could not be loaded in advance.")


def work(job: Job) -> None:
    """Separate a claimed song. Success and failure are both stored in its row, and the worker lives on."""
    log.info("Job %s: attempt %d begins.", job.pk, job.attempts)
    try:
        _separate(job)
    except queue.JobLost:
        _lost(job)
    except Exception as error:
        message, cause = _explain(error)
        if isinstance(error, SeparationError) and error.message == message:
            log.info("Job %s: %s", job.pk, message)
        else:
            log.exception("Job %s failed.", job.pk)
        _end(job, lambda: queue.fail(job, message, cause))


def _explain(error: Exception) -> tuple[str, Cause]:
    """Return a message for the owner, and a cause. Messages of file errors name folders, so they stay in the log."""
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
    # Imported here, because it loads ONNX Runtime, which only a separation needs.
    from pipeline.playback.segments import SegmentWriter  # noqa: PLC0415

    with store().workplace(job.directory) as publish, store().local_copy(job.track.path) as source:
        if not os.access(source, os.R_OK):
            raise SeparationError(GONE)
        with SegmentWriter(job.directory) as segments:
            progress = JobProgress(job, segments, publish)
            report = _reselect(job, source, progress) or _separate_all(job, source, progress)
        progress.drop_draft()
        _merge_late(job, report)
        full = report.as_dict()
        (job.directory / REPORT).write_text(json.dumps(full), "utf-8")
        progress.result["size"] = sum(path.stat().st_size for path in job.directory.rglob("*") if path.is_file())
        publish()
    short = full | {"detected": {}, "files": {}}  # both are in the file
    _end(job, lambda: queue.finish(job, short, report.files, **progress.fields, **progress.result))


def _separate_all(job: Job, source: Path, progress: JobProgress) -> "Report":
    from pipeline.separate import separate_file  # noqa: PLC0415

    return separate_file(
        source,
        job.directory,
        queue.options_of(job),
        on_progress=progress.progress,
        on_decoded=progress.decoded,
        on_detected=progress.detected,
        on_draft=progress.draft if settings.DRAFT and job.finished is None else None,
        on_block=progress.block,
    )


def _reselect(job: Job, source: Path, progress: JobProgress) -> "Report | None":
    """Make the stems from the work of the finished attempt, if that holds everything the options need."""
    from pipeline.playback.segments import WORK  # noqa: PLC0415
    from pipeline.report import Report  # noqa: PLC0415
    from pipeline.separate import reselect_stems, reusable  # noqa: PLC0415

    if job.finished_directory is None:
        return None
    with store().local_copy(job.finished_directory, REPORT, *WORK) as finished:
        options = queue.options_of(job)
        report = Report.from_dict(json.loads((finished / REPORT).read_text("utf-8")))
        if not reusable(finished, report, options):
            return None
        for stage, detected in report.detected.items():
            progress.detected(stage, detected)
        return reselect_stems(
            source,
            finished,
            replace(report, title=job.track.title),
            job.directory,
            options,
            on_progress=progress.progress,
            on_decoded=progress.decoded,
            on_block=progress.block,
        )


def _merge_late(job: Job, report: "Report") -> None:
    """Merge the segments of stems that proved empty only at the end and were played on their own until then."""
    from pipeline.playback.segments import index, merge_into_other  # noqa: PLC0415

    late = {*index(job.directory).stems} & {stem.name for stem in report.merged}
    if late:
        merge_into_other(job.directory, sorted(late), silent=sorted(late & {*report.stems}))


def _end(job: Job, store_end: Callable[[], None]) -> None:
    """Store how the job ended, with retries if the database is away for a moment."""
    for pause in (1, 2, 4, 8, 16, 32, None):
        try:
            return store_end()
        except queue.JobLost:
            return _lost(job)
        except (OperationalError, InterfaceError):
            if pause is None:
                raise
            log.exception("Job %s: its end could not be stored; trying again in %d s.", job.pk, pause)
            close_old_connections()
            sleep(pause)
    return None


def _lost(job: Job) -> None:
    log.info("Job %s: it no longer belongs to this worker; stopped.", job.pk)
    queue.discard_output(job)
