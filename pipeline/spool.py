"""Separated stems on disk while a song is being worked on, so that memory doesn't grow with it; then their files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.audio.decode import remainder_of
from pipeline.audio.encode import Encoder, clips, suffix
from pipeline.audio.recording import BYTES_PER_FRAME, CHANNELS, SAMPLE_RATE, Audio, Recording, interleaved
from pipeline.audio.resampling import StreamReader, carrier, frames_at, resampled
from pipeline.audio.tags import Tags
from pipeline.options import Options

CHUNK = 10 * SAMPLE_RATE  # samples handled at a time


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

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def _path(self, stem: str) -> Path:
        return self.folder / f"{stem}.f32"


@dataclass(frozen=True, slots=True)
class Files:
    """What is to be written: files at `rate`, Hz, that are sums of spooled stems.

    parts: stems of each file by its name. recording: the song, whose upload holds what the spool's rate can't.
    """

    spool: Spool
    parts: Mapping[str, Sequence[str]]
    rate: int
    recording: Recording

    @property
    def frames(self) -> int:
        """Length of each file."""
        return frames_at(self.rate, *self.recording.origin)

    def audio(self, name: str) -> Iterator[Audio]:
        """A file's sound as (2, n) blocks. All files together are the song, at any rate."""
        sound = StreamReader(resampled(self.spool.sums(self.parts[name]), SAMPLE_RATE, self.rate))
        carries, recording = name == carrier(self.parts), self.recording
        rest = StreamReader(remainder_of(recording.source, recording.source_rate, self.rate) if carries else [])
        for start in range(0, self.frames, CHUNK):
            count = min(CHUNK, self.frames - start)
            yield sound.read(count) + rest.read(count)

    def safe_gain(self, options: Options) -> float:
        """What keeps the loudest file from clipping, to be applied to all alike; 1 where nothing would be lost."""
        if not clips(options.format, options.bits):
            return 1.0
        peaks = (float(np.abs(audio).max()) for name in self.parts for audio in self.audio(name))
        return 1 / max(1.0, *peaks)

    def encode(
        self, directory: Path, options: Options, *, tags: Tags, gain: float, on_file: Callable[[int], None]
    ) -> dict[str, Path]:
        """Write directory/<name>.<suffix>; on_file(files done) before each.

        tags: of the song; each file's title has its name behind the song's: "Title (vocals)".
        """
        written = {}
        for done, name in enumerate(self.parts):
            on_file(done)
            part = self.spool.folder / f"{name}.part"
            with Encoder(part, options.format, options.bits, tags.version(name), self.rate) as encoder:
                for audio in self.audio(name):
                    encoder.write(audio * np.float32(gain))
            written[name] = part.replace(directory / f"{name}.{suffix(options.format)}")
        return written
