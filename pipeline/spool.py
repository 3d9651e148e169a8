"""Separated stems on disk during a separation, so that memory stays constant, and the files written from them."""

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

CHUNK = 10 * SAMPLE_RATE  # samples processed at a time


class Spool:
    """Raw float32 stems in a folder, written block by block and read in any order. A context manager while writing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples = 0
        self._files: dict[str, IO[bytes]] = {}

    def write(self, stems: Mapping[str, Audio]) -> None:
        """Append a block, (2, n) float32, to each stem."""
        for stem, audio in stems.items():
            if stem not in self._files:
                self._files[stem] = self._path(stem).open("wb")
            interleaved(audio).tofile(self._files[stem])
        self.samples += audio.shape[1]

    def read(self, stem: str, start: int, stop: int) -> Audio:
        """Read samples start to stop of a stem, (2, stop - start) float32."""
        count = (stop - start) * CHANNELS
        stored = np.fromfile(self._path(stem), np.float32, count, offset=start * BYTES_PER_FRAME)
        return stored.reshape(-1, CHANNELS).T

    def sum(self, stems: Sequence[str], start: int, stop: int) -> Audio:
        """Read samples start to stop of a sum of stems, (2, stop - start) float32; silence for no stems."""
        silence = np.zeros((CHANNELS, stop - start), np.float32)
        return np.asarray(np.sum([silence, *(self.read(stem, start, stop) for stem in stems)], axis=0))

    def sums(self, stems: Sequence[str]) -> Iterator[Audio]:
        """Read a sum of stems from beginning to end in blocks, (2, n) float32 with n up to CHUNK."""
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
    """The files to write: sums of spooled stems at `rate`, Hz.

    parts: stems of each file by its name. recording: the song; its upload contains what the spool's sample rate can't.
    """

    spool: Spool
    parts: Mapping[str, Sequence[str]]
    rate: int
    recording: Recording

    @property
    def frames(self) -> int:
        """Length of each file in frames."""
        return frames_at(self.rate, *self.recording.origin)

    def audio(self, name: str) -> Iterator[Audio]:
        """The sound of a file in blocks, (2, n) float32. At any sample rate all files together sum to the song."""
        sound = StreamReader(resampled(self.spool.sums(self.parts[name]), SAMPLE_RATE, self.rate))
        carries, recording = name == carrier(self.parts), self.recording
        rest = StreamReader(remainder_of(recording.source, recording.source_rate, self.rate) if carries else [])
        for start in range(0, self.frames, CHUNK):
            count = min(CHUNK, self.frames - start)
            yield sound.read(count) + rest.read(count)

    def safe_gain(self, options: Options) -> float:
        """A gain, at most 1, that keeps the loudest file from clipping; 1 if the format can't clip."""
        if not clips(options.format, options.bits):
            return 1.0
        peaks = (float(np.abs(audio).max()) for name in self.parts for audio in self.audio(name))
        return 1 / max(1.0, *peaks)

    def encode(
        self, directory: Path, options: Options, *, tags: Tags, gain: float, on_file: Callable[[int], None]
    ) -> dict[str, Path]:
        """Write directory/<name>.<suffix>, calling on_file(files done) before each. Returns the paths by name.

        tags: of the song; the name is appended to the title of each file: "Title (vocals)". gain: factor on all
        samples.
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
