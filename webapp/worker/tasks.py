"""What a worker does with a song: thin wrapping of `pipeline.separate` in the verbs of `jobs`."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from celery import shared_task
from celery.signals import worker_ready
from django.conf import settings
from django.db import close_old_connections
from django.db.utils import InterfaceError, OperationalError

from pipeline.options import InvalidAudio, ModelUnavailable, Options, SeparationError, disk_is_full
from webapp import jobs, worker
from webapp.models import DETECTION, SAMPLE_RATE, Cause, Job
from webapp.quotas import QuotaUsedUp, require_minutes
from webapp.storage import DISK_FULL, Publish, store

if TYPE_CHECKING:
    from pipeline.audio import Recording
    from pipeline.report import Detection, Progress, Report
    from pipeline.segments import Block, SegmentWriter

log = logging.getLogger(__name__)

WRITE_EVERY = 0.5  # seconds between two notes of progress
REPORT = "report.json"  # beside an attempt's stems
SHORT = ("probability", "presence")  # of what was heard, in the row
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
    if not worker.stopping.is_set() and (job := jobs.claim_next(worker.NAME)):
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
    except jobs.JobLost:
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
    from pipeline.segments import SegmentWriter  # noqa: PLC0415

    with store().workplace(job.directory) as publish, store().at_hand(job.track.path) as source:
        if not os.access(source, os.R_OK):
            raise SeparationError(GONE)
        with SegmentWriter(job.directory) as segments:
            note = Note(job, segments, publish)
            report = _chosen_again(job, source, note) or _separated(job, source, note)
        note.drop_draft()
        _fold(job, report)
        told = report.as_dict()
        (job.directory / REPORT).write_text(json.dumps(told), "utf-8")
        note.result["size"] = _size(job.directory)
        publish()
    row = told | {"heard": {}, "files": {}}  # both are in the file
    _end(job, lambda: jobs.finish(job, row, report.files, **note.fields, **note.result))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _separated(job: Job, source: Path, note: "Note") -> "Report":
    from pipeline.separate import separate_file  # noqa: PLC0415

    return separate_file(
        source,
        job.directory,
        jobs.options_of(job),
        on_progress=note.progress,
        on_decoded=note.decoded,
        on_heard=note.heard,
        on_draft=note.draft if settings.DRAFT and job.finished is None else None,
        on_block=note.block,
    )


def _chosen_again(job: Job, source: Path, note: "Note") -> "Report | None":
    """The stems from an earlier attempt's work, if that has all that is asked for."""
    from pipeline.segments import WORK  # noqa: PLC0415

    if job.finished_directory is None:
        return None
    with store().at_hand(job.finished_directory, REPORT, *WORK) as finished:
        return _chosen_from(finished, job, source, note)


def _chosen_from(finished: Path, job: Job, source: Path, note: "Note") -> "Report | None":
    from pipeline.report import Report  # noqa: PLC0415
    from pipeline.separate import choose_again, reusable  # noqa: PLC0415

    options = jobs.options_of(job)
    report = Report.from_dict(json.loads((finished / REPORT).read_text("utf-8")))
    if not reusable(finished, report, options):
        return None
    for stage, heard in report.heard.items():
        note.heard(stage, heard)
    return choose_again(
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
    from pipeline.segments import fold, index  # noqa: PLC0415

    late = {*index(job.directory).stems} & {stem.name for stem in report.folded}
    if late:
        fold(job.directory, sorted(late), silent=sorted(late & {*report.stems}))


class Note:
    """Carries progress into the row, at most twice a second except when a new stage begins.

    fields tell how far the work is. result is what people see and hear: at once if they have nothing yet, else not
    before all of it is ready.
    """

    def __init__(self, job: Job, segments: "SegmentWriter", publish: Publish):
        self.job = job
        self.segments = segments
        self.publish = publish
        self.stems: tuple[str, ...] = ()
        self.fields: dict[str, Any] = {}
        self.result: dict[str, Any] = {}
        self._written = 0.0

    def progress(self, progress: "Progress") -> None:
        """A step is done. In the "separate" stage this follows each block."""
        begins = progress.stage != self.fields.get("stage")
        known = min(progress.done / progress.total, 1.0) if progress.total else None  # a file may claim to be shorter
        self.fields |= {"stage": progress.stage, "stage_progress": known, "seconds_left": progress.seconds_left}
        if progress.stage == "separate":
            self.fields |= {"blocks_done": progress.done, "blocks_total": progress.total}
        if begins or monotonic() - self._written >= WRITE_EVERY:
            self._write()

    def decoded(self, recording: "Recording") -> None:
        """The song itself can be played, long before the first stem."""
        from webapp.original import keep  # noqa: PLC0415

        self.result |= keep(self.job, recording)
        self.publish()
        jobs.learn(self.job.track, recording.tags.texts)
        # Written into every file: the upload itself has an id for a name.
        recording.tags = replace(recording.tags, title=self.job.track.title)
        self._write()
        require_minutes(self.job, recording.samples / SAMPLE_RATE)

    def heard(self, stage: str, heard: "Detection") -> None:
        """The detector has listened: in short for the row, in full as a file."""
        full = heard.as_dict() | {"stage": stage}
        part = self.job.directory / f"{DETECTION}.part"
        part.write_text(json.dumps(full), "utf-8")
        part.replace(self.job.directory / DETECTION)
        self.publish()
        short = {kind: {name: row[name] for name in SHORT} for kind, row in full["stems"].items()}
        self.result |= {"heard": {"stage": stage, "stems": short}}
        self._write()

    def draft(self, stems: list[str], blocks: "Iterator[Block]") -> None:
        """Soon all of the song can be heard, if not well. Without that it is separated all the same."""
        from pipeline.segments import SegmentWriter  # noqa: PLC0415

        self.stems = tuple(stems)
        try:
            with SegmentWriter(self.job.draft) as segments:
                for block in blocks:
                    done = _written(segments, block)
                    self.publish()
                    self.result["draft_done"] = done
        except jobs.JobLost:
            raise
        except Exception:
            log.exception("Job %s: there is no draft.", self.job.pk)
            self.drop_draft()

    def drop_draft(self) -> None:
        """The stems are there, or it came to nothing. The row says so before the files go."""
        self.result["draft_done"] = 0
        self._write()
        store().discard(self.job.draft)

    def block(self, block: "Block") -> None:
        """A stretch of the song is done: it can be heard."""
        segments = _written(self.segments, block)
        if segments > self.result.get("segments_done", 0):
            self.publish()
        self.stems = tuple(block.stems)
        self.result |= {"samples": block.total, "segments_done": segments, "segment_gain": block.gain}

    def _write(self) -> None:
        self._written = monotonic()
        stems, shown = (self.stems, self.fields | self.result) if self.job.finished is None else ((), self.fields)
        try:
            jobs.progress(self.job, stems, **shown)
        except (OperationalError, InterfaceError) as error:
            log.warning("Job %s: progress not noted (%s); the next note catches up.", self.job.pk, error)
            close_old_connections()


def _written(segments: "SegmentWriter", block: "Block") -> int:
    """How many segments are complete with this block."""
    done = segments.write(block)
    return segments.close() if block.stop == block.total else done


def _fail(job: Job, message: str, cause: Cause) -> None:
    _end(job, lambda: jobs.fail(job, message, cause))


def _end(job: Job, verb: Callable[[], None]) -> None:
    """Write an end of the job, through a database that may be away for a moment."""
    for pause in (1, 2, 4, 8, 16, 32, None):
        try:
            return verb()
        except jobs.JobLost:
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
    jobs.abandon(job)
