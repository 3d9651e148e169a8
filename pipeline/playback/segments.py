"""Stems for players: short FLAC segments and waveform peaks, written while the song is still being separated.

A segment can be decoded alone and holds an exact number of samples, so that players join them without a gap. Stems that
were folded into `other` are kept as well: with them another choice of stems needs no separation. So is the song itself,
to be played where its stems are not ready and to be compared with them.
"""

import json
import shutil
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.encode import Encoder
from pipeline.audio.recording import CHANNELS, SAMPLE_RATE, Audio, Recording
from pipeline.options import RESIDUAL, STEMS

SEGMENT = 220_500  # samples: 5 s, less than what the first network finishes at first, so that it is heard at once
HEADROOM = 4.0  # times the song's peak: a stem up to so loud isn't clipped
QUIETEST = 2.0**-16  # peak below which a song is not raised further: nothing but noise of the recorder is there
SAMPLES_PER_PEAK = 441  # 100 peaks a second
FULL = 127  # of a peak's signed byte
INDEX = "index.json"
UNHEARD = "unheard"  # where the sound of stems that come as silence is kept
ORIGINAL = "original"  # the folder of the song itself
WORK = (INDEX, *STEMS, RESIDUAL, UNHEARD)  # what mixes, files and other choices of stems are made of


@dataclass(frozen=True, slots=True)
class Block:
    """A finished piece of the song: samples start to stop of total.

    stems: (2, stop - start) each, what a player plays, RESIDUAL last. folded: stems whose sound is in `other` already.
    gain: what segments are stored lower by and players must raise; source: frames and rate (Hz) of the upload. Both are
    the same throughout a song.
    """

    start: int
    stop: int
    total: int
    stems: dict[str, Audio]
    merged: dict[str, Audio] = field(default_factory=dict)
    gain: float = HEADROOM
    source: tuple[int, int] | None = None


def gain_of(peak: float) -> float:
    """The gain for a song with that peak: a power of two, so that quiet songs make good use of 24 bits too."""
    return float(HEADROOM * 2.0 ** np.ceil(np.log2(max(peak, QUIETEST))))


def peaks(audio: Audio) -> NDArray[np.int8]:
    """Least and greatest value of both channels in each SAMPLES_PER_PEAK samples: (peaks, 2), 127 for full scale."""
    short = -audio.shape[1] % SAMPLES_PER_PEAK
    windows = np.pad(audio, ((0, 0), (0, short))).reshape(audio.shape[0], -1, SAMPLES_PER_PEAK)
    ends = np.stack([windows.min(axis=(0, 2)), windows.max(axis=(0, 2))], axis=1)
    return np.asarray(np.clip(np.rint(ends * FULL), -FULL, FULL), np.int8)


class SegmentWriter:
    """Cuts blocks to <directory>/<stem>/<number>.flac and peaks.i8; index.json at the end. A context manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pending: dict[str, Audio] = {}
        self._peaks: dict[str, IO[bytes]] = {}
        self._written = 0
        self._index = Index(0, HEADROOM, [], [], SEGMENT)

    def write(self, block: Block) -> int:
        """Add a block of every stem; returns how many segments of each are complete."""
        source = block.source or (block.total, SAMPLE_RATE)
        self._index = Index(block.total, block.gain, [*block.stems], [*block.merged], SEGMENT, *source)
        for stem, audio in (block.stems | block.merged).items():
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
        self._index.save(self._directory)
        return self._written

    def _flush(self, samples: int) -> None:
        for stem, audio in self._pending.items():
            self._store(stem, audio[:, :samples])
            self._pending[stem] = audio[:, samples:]
        self._written += 1

    def _store(self, stem: str, audio: Audio) -> None:
        folder = self._directory / stem
        if stem not in self._peaks:
            folder.mkdir(parents=True, exist_ok=True)
            self._peaks[stem] = (folder / "peaks.i8").open("wb")
        _encode(segment(folder, self._written), audio, self._index.gain)
        self._peaks[stem].write(peaks(audio).tobytes())
        self._peaks[stem].flush()

    def __enter__(self) -> "SegmentWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._peaks.values():
            file.close()


def write_original(directory: Path, recording: Recording) -> int:
    """Write the song itself to <directory>/original as stems are written, with the same gain; returns its segments."""
    folder, gain = directory / ORIGINAL, gain_of(recording.peak)
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, recording.samples, SEGMENT)
    with (folder / "peaks.i8").open("wb") as drawn:
        for number, start in enumerate(starts):
            audio = recording.read(start, min(start + SEGMENT, recording.samples))
            _encode(segment(folder, number), audio, gain)
            drawn.write(peaks(audio).tobytes())
    return len(starts)


@dataclass(frozen=True, slots=True)
class Index:
    """What a folder of segments holds, once it is complete: samples in all, and gain and stems as in Block.

    What is among both stems and folded is silent. segment: samples of each; songs from before it was noted have 10 s.
    source_samples, source_rate: of the upload; songs from before they were noted (0) are taken to be at RATE.
    """

    total: int
    gain: float
    stems: list[str]
    merged: list[str]
    segment: int = 441_000
    source_samples: int = 0
    source_rate: int = SAMPLE_RATE

    def save(self, directory: Path) -> None:
        """Write it."""
        (directory / INDEX).write_text(json.dumps(asdict(self)), "utf-8")

    @property
    def source(self) -> tuple[int, int]:
        """Frames and sample rate, Hz, of the upload."""
        return self.source_samples or self.total, self.source_rate

    @property
    def starts(self) -> list[int]:
        """First sample of each segment."""
        return list(range(0, self.total, self.segment))


def index(directory: Path) -> Index:
    """What the folder holds. Raises FileNotFoundError if it isn't complete."""
    return Index(**json.loads((directory / INDEX).read_text("utf-8")))


def replay(directory: Path) -> Iterator[Block]:
    """The song as it was separated: blocks of every stem, those folded into `other` taken out of it again.

    Stems are the written ones to 24 bits. Raises FileNotFoundError if not complete.
    """
    found = index(directory)
    for number, start in enumerate(found.starts):
        names = dict.fromkeys([*found.merged, *found.stems])
        stems = {stem: load(_separated(directory, stem).parent, stem, number, found.gain) for stem in names}
        for stem in found.merged:
            stems["other"] = stems["other"] - stems[stem]
        stop = min(start + found.segment, found.total)
        yield Block(start, stop, found.total, stems, gain=found.gain, source=found.source)


def merge_into_other(directory: Path, names: Collection[str], silent: Collection[str] = ()) -> None:
    """Put stems of a complete folder into its `other`; the silent ones of them still come, as silence.

    Whoever plays meanwhile hears one or the other.
    """
    found = index(directory)
    drawn = []
    for number in range(len(found.starts)):
        audio = np.sum([load(directory, stem, number, found.gain) for stem in ["other", *names]], axis=0)
        _encode(segment(directory / "other", number), audio, found.gain)
        drawn.append(peaks(audio))
    np.concatenate(drawn).tofile(directory / "other" / "peaks.i8")
    for stem in silent:
        _silence(directory, stem, found)
    stems = [stem for stem in found.stems if stem not in names or stem in silent]
    replace(found, stems=stems, merged=[*found.merged, *names]).save(directory)


def _silence(directory: Path, stem: str, found: Index) -> None:
    shutil.copytree(directory / stem, directory / UNHEARD / stem)
    for number, start in enumerate(found.starts):
        nothing = np.zeros((CHANNELS, min(found.segment, found.total - start)), np.float32)
        _encode(segment(directory / stem, number), nothing, found.gain)
    path = directory / stem / "peaks.i8"
    np.zeros(path.stat().st_size, np.int8).tofile(path)


def _separated(directory: Path, stem: str) -> Path:
    """The folder with a stem's own sound."""
    kept = directory / UNHEARD / stem
    return kept if kept.is_dir() else directory / stem


def segment(folder: Path, number: int) -> Path:
    """The file of a segment of a stem."""
    return folder / f"{number:05d}.flac"


def load(directory: Path, stem: str, number: int, gain: float) -> Audio:
    """A segment at its true level, (2, samples). Raises FileNotFoundError."""
    with segment(directory / stem, number).open("rb") as file:
        audio, _ = soundfile.read(file, dtype="float32", always_2d=True)
    return np.asarray(audio.T * np.float32(gain))


def _encode(path: Path, audio: Audio, gain: float) -> None:
    part = path.with_name("part")
    with Encoder(part, "flac", "24") as encoder:
        encoder.write(audio / np.float32(gain))
    part.replace(path)
