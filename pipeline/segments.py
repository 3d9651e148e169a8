"""Stems for players: short FLAC segments and waveform peaks, written while the song is still being separated.

A segment can be decoded alone and holds an exact number of samples, so that players join them without a gap.
"""

from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import Audio, Encoder
from pipeline.separate import Block

SEGMENT = 441_000  # samples: 10 s
GAIN = 4.0  # segments are stored this much lower, so that a stem louder than full scale isn't clipped; players raise it
PEAKS_PER_SECOND = 100
SAMPLES_PER_PEAK = 441
FULL = 127  # of a peak's signed byte


def peaks(audio: Audio) -> NDArray[np.int8]:
    """Least and greatest value of both channels in each SAMPLES_PER_PEAK samples: (peaks, 2), 127 for full scale."""
    short = -audio.shape[1] % SAMPLES_PER_PEAK
    windows = np.pad(audio, ((0, 0), (0, short))).reshape(audio.shape[0], -1, SAMPLES_PER_PEAK)
    ends = np.stack([windows.min(axis=(0, 2)), windows.max(axis=(0, 2))], axis=1)
    return np.asarray(np.clip(np.rint(ends * FULL), -FULL, FULL), np.int8)


class SegmentWriter:
    """Cuts blocks to segments: <directory>/<stem>/<index>.flac and peaks.i8. A context manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pending: dict[str, Audio] = {}
        self._peaks: dict[str, IO[bytes]] = {}
        self._written = 0

    def write(self, block: Block) -> int:
        """Add a block of every stem; returns how many segments of each are complete."""
        for stem, audio in block.stems.items():
            self._pending[stem] = np.concatenate([self._pending.get(stem, audio[:, :0]), audio], axis=1)
        while all(audio.shape[1] >= SEGMENT for audio in self._pending.values()):
            self._flush(SEGMENT)
        return self._written

    def close(self) -> int:
        """Write what is left as a shorter segment; returns how many segments there are of each stem."""
        if any(audio.shape[1] for audio in self._pending.values()):
            self._flush(SEGMENT)
        for file in self._peaks.values():
            file.close()
        return self._written

    def _flush(self, samples: int) -> None:
        for stem, audio in self._pending.items():
            self._store(stem, audio[:, :samples])
            self._pending[stem] = audio[:, samples:]
        self._written += 1

    def _store(self, stem: str, audio: Audio) -> None:
        folder = self._directory / stem
        folder.mkdir(parents=True, exist_ok=True)
        if stem not in self._peaks:
            self._peaks[stem] = (folder / "peaks.i8").open("wb")
        part = folder / "part"
        with Encoder(part, "flac", "24") as encoder:
            encoder.write(audio / np.float32(GAIN))
        part.replace(folder / f"{self._written:05d}.flac")
        self._peaks[stem].write(peaks(audio).tobytes())
        self._peaks[stem].flush()

    def __enter__(self) -> "SegmentWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._peaks.values():
            file.close()
