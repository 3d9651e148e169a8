"""A separated song as a source for exports: any weighted sum of its stems, at any sample rate, block by block."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.decode import remainder_of
from pipeline.audio.encode import output_rate
from pipeline.audio.recording import CHANNELS, SAMPLE_RATE, Audio
from pipeline.audio.resampling import Resampler, StreamReader, carrier, frames_at, silence
from pipeline.options import SOURCE
from pipeline.playback import segments
from pipeline.playback.segments import Index

UNITY = np.eye(CHANNELS, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Song:
    """A complete folder of segments, read at `rate`, Hz.

    upload: the uploaded file, which contains what the segments' sample rate can't; read only where that matters.
    """

    directory: Path
    index: Index
    upload: Path | None
    rate: int

    @classmethod
    def open(
        cls, directory: Path, upload: Path | None = None, format: str = "wav", sample_rate: str = SOURCE
    ) -> "Song":
        """Open a song for files of a format, with sample_rate as in Options.

        Raises FileNotFoundError if it is incomplete.
        """
        index = segments.index(directory)
        return cls(directory, index, upload, output_rate(format, sample_rate, index.source_rate))

    @property
    def stems(self) -> list[str]:
        """Its stems, which sum to the song."""
        return self.index.stems

    @property
    def frames(self) -> int:
        """Length in frames at `rate`."""
        return frames_at(self.rate, *self.index.source)

    def mixed(
        self, lanes: Mapping[str, NDArray[np.float32]] | str, start: int = 0, stop: int | None = None
    ) -> Iterator[Audio]:
        """Sum stems from frame `start` to `stop`.

        Parameters
        ----------
        lanes
            (2, 2) float32 pan matrices by stem, or the name of one stem to be read as it is.
        start, stop
            Frames at `rate`; by default the whole song.

        Yields
        ------
        A block per segment, (2, n) float32.

        Raises
        ------
        FileNotFoundError
            A stem doesn't exist.
        """
        lanes = {lanes: UNITY} if isinstance(lanes, str) else lanes
        stop = self.frames if stop is None else stop
        # Begin at a whole second, one early so that the resampler settles. This is exact for the usual rates only.
        second = max(0, start // self.rate - 1) if self.rate % 25 == 0 else 0
        rest, resampler, at = self._remainder(lanes, second), Resampler(SAMPLE_RATE, self.rate), second * self.rate
        for number, first in enumerate(self.index.starts):
            skipped = max(second * SAMPLE_RATE - first, 0)
            if skipped >= self.index.segment or at >= stop:
                continue
            audio = resampler(self._segment(lanes, number)[:, skipped:], last=number == len(self.index.starts) - 1)
            if number == len(self.index.starts) - 1:
                audio = StreamReader([audio]).read(self.frames - at)
            audio = audio + rest.read(audio.shape[1])
            yield audio[:, max(start - at, 0) : max(stop - at, 0)]
            at += audio.shape[1]

    def _segment(self, lanes: Mapping[str, NDArray[np.float32]], number: int) -> Audio:
        first = self.index.starts[number]
        audio = silence(min(self.index.segment, self.index.total - first))
        for name, matrix in lanes.items():
            audio += matrix @ segments.load(self.directory, name, number, self.index.gain)
        return audio

    def _remainder(self, lanes: Mapping[str, NDArray[np.float32]], second: int) -> StreamReader:
        """The carrier's share of the remainder, from that second on."""
        name = carrier(self.stems)
        upload = self.upload if name in lanes else None
        reader = StreamReader(lanes[name] @ lost for lost in remainder_of(upload, self.index.source_rate, self.rate))
        reader.skip(second * self.rate)
        return reader
