"""A decoded song on disk."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ensemble.errors import SeparationError, disk_is_full
from ensemble.stft import SAMPLE_RATE, Audio
from pipeline.audio.tags import Tags

__all__ = ["BYTES_PER_FRAME", "CHANNELS", "SAMPLE_RATE", "Audio", "Recording", "disk_full", "interleaved"]

CHANNELS = 2
BYTES_PER_FRAME = 4 * CHANNELS


@dataclass
class Recording:
    """A decoded song on disk: interleaved stereo float32 at SAMPLE_RATE.

    mean, std: of its mono mix. energy, peak: of both channels. source: the file it was decoded from, with
    source_samples frames at source_rate, Hz; None if there was no file.
    """

    path: Path
    samples: int = 0
    source: Path | None = None
    source_rate: int = SAMPLE_RATE
    source_samples: int = 0
    tags: Tags = field(default_factory=Tags)
    warnings: list[str] = field(default_factory=list)
    energy: float = 0.0
    peak: float = 0.0
    mono_sum: float = 0.0
    mono_energy: float = 0.0

    @property
    def origin(self) -> tuple[int, int]:
        """Frames and sample rate, Hz, of the source file."""
        return self.source_samples or self.samples, self.source_rate

    @property
    def mean(self) -> float:
        """Mean of the mono mix."""
        return self.mono_sum / self.samples

    @property
    def std(self) -> float:
        """Sample standard deviation of the mono mix."""
        spread = self.mono_energy - self.samples * self.mean**2
        return float(np.sqrt(max(spread, 0.0) / max(self.samples - 1, 1)))

    def read(self, start: int, stop: int) -> Audio:
        """Read samples start to stop, (2, stop - start) float32, with zeros outside the song."""
        first, last = max(start, 0), min(stop, self.samples)
        audio = np.zeros((CHANNELS, stop - start), np.float32)
        if first < last:
            count, offset = (last - first) * CHANNELS, first * BYTES_PER_FRAME
            stored = np.fromfile(self.path, np.float32, count, offset=offset)
            audio[:, first - start : last - start] = stored.reshape(-1, CHANNELS).T
        return audio

    def append(self, audio: Audio, file: Any) -> None:
        """Write a block, (2, n) float32, to the open file and update the statistics."""
        interleaved(audio).tofile(file)
        mono = audio.mean(axis=0, dtype=np.float64)
        self.samples += audio.shape[1]
        self.mono_sum += float(mono.sum())
        self.mono_energy += float(mono @ mono)
        self.energy += float(np.square(audio, dtype=np.float64).sum())
        self.peak = max(self.peak, float(np.abs(audio).max(initial=0.0)))


def interleaved(audio: Audio) -> Audio:
    """Interleave channels: (channels, n) to (n, channels) float32, contiguous."""
    return np.ascontiguousarray(audio.T, dtype=np.float32)


def disk_full(error: OSError, folder: Path) -> SeparationError:
    """The error to raise after a failed write to a folder."""
    if disk_is_full(error):
        return SeparationError(f"The disk of {folder} is full. Make room there and try again.")
    return SeparationError(f"Could not write to {folder}: {error.strerror or error}.")
