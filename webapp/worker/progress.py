"""Carries the progress of a separation into its row."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from django.db import close_old_connections
from django.db.utils import InterfaceError, OperationalError

from webapp.accounts.quotas import require_minutes
from webapp.models import DETECTION, SAMPLE_RATE, Job
from webapp.songs import queue
from webapp.storage.base import Publish, store

if TYPE_CHECKING:
    from pipeline.audio.recording import Recording
    from pipeline.playback.segments import Block, SegmentWriter
    from pipeline.report import Detection, Progress


log = logging.getLogger(__name__)

WRITE_EVERY = 0.5  # seconds between two notes of progress
SHORT = ("probability", "presence")  # of what was heard, in the row


class JobProgress:
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
        from webapp.songs.source_audio import keep  # noqa: PLC0415

        self.result |= keep(self.job, recording)
        self.publish()
        queue.learn(self.job.track, recording.tags.texts)
        # Written into every file: the upload itself has an id for a name.
        recording.tags = replace(recording.tags, title=self.job.track.title)
        self._write()
        require_minutes(self.job, recording.samples / SAMPLE_RATE)

    def detected(self, stage: str, detected: "Detection") -> None:
        """The detector has listened: in short for the row, in full as a file."""
        full = detected.as_dict() | {"stage": stage}
        part = self.job.directory / f"{DETECTION}.part"
        part.write_text(json.dumps(full), "utf-8")
        part.replace(self.job.directory / DETECTION)
        self.publish()
        short = {kind: {name: row[name] for name in SHORT} for kind, row in full["stems"].items()}
        self.result |= {"detected": {"stage": stage, "stems": short}}
        self._write()

    def draft(self, stems: list[str], blocks: "Iterator[Block]") -> None:
        """Soon all of the song can be heard, if not well. Without that it is separated all the same."""
        from pipeline.playback.segments import SegmentWriter  # noqa: PLC0415

        self.stems = tuple(stems)
        try:
            with SegmentWriter(self.job.draft) as segments:
                for block in blocks:
                    done = _written(segments, block)
                    self.publish()
                    self.result["draft_done"] = done
        except queue.JobLost:
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
            queue.progress(self.job, stems, **shown)
        except (OperationalError, InterfaceError) as error:
            log.warning("Job %s: progress not noted (%s); the next note catches up.", self.job.pk, error)
            close_old_connections()


def _written(segments: "SegmentWriter", block: "Block") -> int:
    """How many segments are complete with this block."""
    done = segments.write(block)
    return segments.close() if block.stop == block.total else done
