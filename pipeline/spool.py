"""Separated stems on disk while a song is being worked on, so that memory doesn't grow with it; then their files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.audio import BYTES_PER_FRAME, CHANNELS, RATE, Audio, Encoder, clips, interleaved, suffix
from pipeline.options import Options
from pipeline.tags import Tags

CHUNK = 10 * RATE  # samples handled at a time


class Spool:
    """Raw float32 stems in a folder, written block by block, then read in any order. A context manager for writing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples = 0
        self._files: dict[str, IO[bytes]] = {}

    def write(self, stems: Mapping[str, Audio]) -> None:
        """Append (2, n) to each stem."""
        for stem, audio in stems.items():
            if stem not in self._files:
                self._files[stem] = self._path(stem).open("wb")
            interleaved(audio).tofile(self._files[stem])
        self.samples += audio.shape[1]

    def read(self, stem: str, start: int, stop: int) -> Audio:
        """Samples start to stop of a stem: (2, stop - start)."""
        count = (stop - start) * CHANNELS
        stored = np.fromfile(self._path(stem), np.float32, count, offset=start * BYTES_PER_FRAME)
        return stored.reshape(-1, CHANNELS).T

    def sum(self, stems: Sequence[str], start: int, stop: int) -> Audio:
        """Samples start to stop of the sum of some stems, silence for none."""
        silence = np.zeros((CHANNELS, stop - start), np.float32)
        return np.asarray(np.sum([silence, *(self.read(stem, start, stop) for stem in stems)], axis=0))

    def sums(self, stems: Sequence[str]) -> Iterator[Audio]:
        """All of such a sum, CHUNK samples at a time."""
        for start in range(0, self.samples, CHUNK):
            yield self.sum(stems, start, min(start + CHUNK, self.samples))

    def peak(self, stems: Sequence[str]) -> float:
        """Greatest absolute sample of the sum of some stems."""
        return max(float(np.abs(chunk).max()) for chunk in self.sums(stems))

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def _path(self, stem: str) -> Path:
        return self.folder / f"{stem}.f32"


def safe_gain(spool: Spool, files: Mapping[str, Sequence[str]], options: Options) -> float:
    """What keeps the loudest file from clipping, to be applied to all alike; 1 where nothing would be lost."""
    if not clips(options.format, options.bits):
        return 1.0
    return 1 / max(1.0, *(spool.peak(parts) for parts in files.values()))


def encode(
    spool: Spool,
    files: Mapping[str, Sequence[str]],
    directory: Path,
    options: Options,
    *,
    tags: Tags,
    gain: float,
    on_file: Callable[[int], None],
) -> dict[str, Path]:
    """Write directory/<name>.<suffix>, each the sum of some spooled stems; on_file(files done) before each.

    tags: of the song; each file's title has its name behind the song's: "Title (vocals)".
    """
    written = {}
    for done, (name, parts) in enumerate(files.items()):
        on_file(done)
        part = spool.folder / f"{name}.part"
        with Encoder(part, options.format, options.bits, tags.version(name)) as encoder:
            for chunk in spool.sums(parts):
                encoder.write(chunk * np.float32(gain))
        written[name] = part.replace(directory / f"{name}.{suffix(options.format)}")
    return written
