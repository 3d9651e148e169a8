"""Stores the progress and the results of a separation in the row of its job."""

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

WRITE_EVERY = 0.5  # seconds between two updates of progress
SUMMARY = ("probability", "presence")  # what the row keeps of each detected instrument


class JobProgress:
    """Receives the callbacks of a separation and updates the row, at most once in WRITE_EVERY seconds within a stage.

    fields: how far the work is.
    result: what people see and play. It is stored as it grows for a new song, but only at the end if the song has an
    earlier result.
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
        """Store a step of a stage. In the "separate" stage this follows each block."""
        begins = progress.stage != self.fields.get("stage")
        fraction = min(progress.done / progress.total, 1.0) if progress.total else None  # a header may state too little
        self.fields |= {"stage": progress.stage, "stage_progress": fraction, "seconds_left": progress.seconds_left}
        if progress.stage == "separate":
            self.fields |= {"blocks_done": progress.done, "blocks_total": progress.total}
        if begins or monotonic() - self._written >= WRITE_EVERY:
            self._write()

    def decoded(self, recording: "Recording") -> None:
        """Publish the mixture, which can be played long before the first stem."""
        from webapp.songs.source_audio import store_mixture  # noqa: PLC0415

        self.result |= store_mixture(self.job, recording)
        self.publish()
        queue.store_tags(self.job.track, recording.tags.texts)
        # Every file made from the song is tagged with its title; the upload is named by an id.
        recording.tags = replace(recording.tags, title=self.job.track.title)
        self._write()
        require_minutes(self.job, recording.samples / SAMPLE_RATE)

    def detected(self, stage: str, detected: "Detection") -> None:
        """Store the detected instruments: a summary in the row, and all of it in a file."""
        full = detected.as_dict() | {"stage": stage}
        part = self.job.directory / f"{DETECTION}.part"
        part.write_text(json.dumps(full), "utf-8")
        part.replace(self.job.directory / DETECTION)
        self.publish()
        summary = {kind: {name: row[name] for name in SUMMARY} for kind, row in full["stems"].items()}
        self.result |= {"detected": {"stage": stage, "stems": summary}}
        self._write()

    def draft(self, stems: list[str], blocks: "Iterator[Block]") -> None:
        """Publish a draft of the stems, to be played until they are separated. A failure here is only logged."""
        from pipeline.playback.segments import SegmentWriter  # noqa: PLC0415

        self.stems = tuple(stems)
        try:
            with SegmentWriter(self.job.draft) as segments:
                for block in blocks:
                    done = _write_block(segments, block)
                    self.publish()
                    self.result["draft_done"] = done
        except queue.JobLost:
            raise
        except Exception:
            log.exception("Job %s: the draft failed.", self.job.pk)
            self.drop_draft()

    def drop_draft(self) -> None:
        """Remove the draft. The row is updated first, so that nobody asks for its files."""
        self.result["draft_done"] = 0
        self._write()
        store().discard(self.job.draft)

    def block(self, block: "Block") -> None:
        """Store a block of separated audio, and publish the segments that it completes."""
        segments = _write_block(self.segments, block)
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
            log.warning("Job %s: progress not stored (%s); the next update catches up.", self.job.pk, error)
            close_old_connections()


def _write_block(segments: "SegmentWriter", block: "Block") -> int:
    """Write a block. Returns the number of complete segments."""
    complete = segments.write(block)
    return segments.close() if block.stop == block.total else complete
