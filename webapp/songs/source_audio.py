"""The mixture as a worker stores it before the stems exist: segments to play, and a thumbnail for lists."""

from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.recording import Recording
from pipeline.audio.tags import Tags
from pipeline.playback import segments
from webapp.models import COVER, ORIGINAL, THUMBNAIL, Job
from webapp.storage.base import store

PAIRS = 240  # peaks in a thumbnail


def store_mixture(job: Job, recording: Recording) -> dict[str, Any]:
    """Write segments, thumbnail and cover of the mixture. Returns the fields of the job that describe them."""
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
    """Return the tags of files made from the song: those of the upload, with the song's present title."""
    cover = b""
    if job.tags.get("cover_type"):
        with closing(store().open_from(job.original / COVER)) as file:
            cover = file.read()
    return Tags(**job.tags | {"title": job.track.title}, cover=cover)


def thumbnail(peaks: NDArray[np.int8]) -> NDArray[np.int8]:
    """Reduce peaks to a thumbnail.

    Parameters
    ----------
    peaks : int8, shape (columns, 2)
        Lowest and highest sample of each column, -127..127; at least one column.

    Returns
    -------
    int8, shape (PAIRS, 2)
        The same for PAIRS columns. A song with fewer columns repeats some.
    """
    starts = np.arange(PAIRS) * len(peaks) // PAIRS
    ends = np.minimum.reduceat(peaks[:, 0], starts), np.maximum.reduceat(peaks[:, 1], starts)
    return np.stack(ends, axis=1)
