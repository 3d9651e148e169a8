"""The song itself, as a worker keeps it for people before its stems are there: to be heard, and seen in lists."""

from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.recording import Recording
from pipeline.audio.tags import Tags
from pipeline.playback import segments
from webapp.models import COVER, ORIGINAL, THUMBNAIL, Job
from webapp.storage.base import store

PAIRS = 240  # of a thumbnail


def keep(job: Job, recording: Recording) -> dict[str, Any]:
    """Write segments and thumbnail beside where the stems will be; returns the fields of the row that tell of them."""
    folder = job.directory / ORIGINAL
    count = segments.write_original(job.directory, recording)
    if recording.tags.cover:
        (folder / COVER).write_bytes(recording.tags.cover)
    thumbnail(np.fromfile(folder / "peaks.i8", np.int8).reshape(-1, 2)).tofile(folder / THUMBNAIL)
    return {
        "samples": recording.samples,
        "segment": segments.SEGMENT,
        "segment_gain": segments.gain_of(recording.peak),
        "original_done": count,
        "tags": recording.tags.texts | {"cover_type": recording.tags.cover_type},
    }


def tags_of(job: Job) -> Tags:
    """What files made of the song say of it: as the upload did, but for the title, which people can change."""
    known = job.tags | {"title": job.track.title}
    return Tags(**known, cover=_cover(job) if known.get("cover_type") else b"")


def _cover(job: Job) -> bytes:
    with closing(store().part(job.original / COVER)) as file:
        return file.read()


def thumbnail(peaks: NDArray[np.int8]) -> NDArray[np.int8]:
    """Any number of (lowest, highest) as PAIRS of them; of a very short song some are repeated."""
    starts = np.arange(PAIRS) * len(peaks) // PAIRS
    ends = np.minimum.reduceat(peaks[:, 0], starts), np.maximum.reduceat(peaks[:, 1], starts)
    return np.stack(ends, axis=1)
