"""Spectrogram images of stems: columns of bytes, each the level in one of BANDS bands from LOWEST to HIGHEST.

Bands are equally wide in octaves, like pitch. 255 is a full-scale sine in both channels, 0 is FLOOR_DB below that or
less.
"""

import secrets
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ensemble.levels import decibels
from ensemble.stft import Reader
from pipeline.audio.recording import CHANNELS, SAMPLE_RATE, Audio
from pipeline.playback import segments
from pipeline.playback.segments import Index

BANDS = 128
LOWEST, HIGHEST = 40.0, 18_000.0  # Hz
FLOOR_DB = -90.0
MOST_COLUMNS = 4096
SHORTEST_COLUMN = 1024  # samples
WINDOW = 8192  # samples: a resolution of 5.4 Hz
HOP = WINDOW // 2  # samples, at most, between two windows
AT_ONCE = 64  # columns computed at once
FILE = "spectrogram.u8"  # beside a stem's segments

HANN = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
BINS = np.floor(np.geomspace(LOWEST, HIGHEST, BANDS + 1) * WINDOW / SAMPLE_RATE).astype(
    int
)  # where bands begin and end


def columns(samples: int) -> int:
    """Number of columns for a song of so many samples."""
    return -(-samples // _column(samples))


def cached(directory: Path, stem: str) -> Path:
    """The file with a stem's spectrogram, (columns, BANDS) bytes, created on first use. Raises FileNotFoundError."""
    path = directory / stem / FILE
    if not path.exists():
        part = path.with_suffix(f".{secrets.token_hex(4)}")  # several requests may write it at the same time
        try:
            with part.open("wb") as file:
                file.writelines(block.tobytes() for block in spectrogram(directory, stem))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


def spectrogram(directory: Path, stem: str) -> Iterator[NDArray[np.uint8]]:
    """The spectrogram of a stem of a complete folder in blocks, (n, BANDS) uint8. Raises FileNotFoundError."""
    found = segments.index(directory)
    if stem not in found.stems:
        raise FileNotFoundError(f"{directory} holds no {stem}.")
    read = _reader(directory, stem, found)
    width = _column(found.total)
    looks = -(-width // HOP)  # windows per column, so that a column wider than a window misses nothing
    for start in range(0, found.total, width * AT_ONCE):
        stop = min(start + width * AT_ONCE, found.total)
        count = -(-(stop - start) // width)
        centres = start + (np.arange(count * looks) + 0.5) * width / looks
        yield _bytes(_levels(read, centres.astype(int)).reshape(count, looks, BANDS).max(axis=1))


def _reader(directory: Path, stem: str, found: Index) -> Reader:
    """A reader, (2, stop - start), of a stem, with zeros outside the song."""

    @lru_cache(maxsize=2)  # a window spans two segments at most
    def loaded(number: int) -> Audio:
        return segments.load(directory, stem, number, found.gain)

    def read(start: int, stop: int) -> Audio:
        audio = np.zeros((CHANNELS, stop - start), np.float32)
        for number in range(max(start, 0) // found.segment, -(-min(stop, found.total) // found.segment)):
            first = number * found.segment
            part = loaded(number)[:, max(start - first, 0) : stop - first]
            at = max(first - start, 0)
            audio[:, at : at + part.shape[1]] = part
        return audio

    return read


def _column(samples: int) -> int:
    """Width of a column in samples."""
    return max(SHORTEST_COLUMN, -(-samples // MOST_COLUMNS))


def _levels(read: Reader, centres: NDArray[np.int64]) -> NDArray[np.float32]:
    """Power in each band around these samples, 1 for a full-scale sine: (centres, BANDS)."""
    audio = np.stack([read(centre - WINDOW // 2, centre + WINDOW // 2) for centre in centres])
    spectrum = np.fft.rfft(audio * HANN) * (2 / HANN.sum())
    power = np.square(np.abs(spectrum)).mean(axis=1)
    # The largest of a band's bins. Low bands are narrower than a bin, so some share one.

    return np.asarray(np.maximum.reduceat(power[:, : BINS[-1]], BINS[:-1], axis=1), np.float32)


def _bytes(power: NDArray[np.float32]) -> NDArray[np.uint8]:
    level = decibels(power, 10 ** (FLOOR_DB / 10))
    return np.asarray(np.rint(255 * np.clip(1 - level / FLOOR_DB, 0, 1)), np.uint8)
