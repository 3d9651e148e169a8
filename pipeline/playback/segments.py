"""Segments for the player: short FLAC files and waveform peaks, written while the song is still being separated.

Each segment decodes by itself to an exact number of samples, so that players join segments without gaps. Stems that
were merged into `other` are kept too, so that another selection of stems needs no new separation. So is the song
itself, to be played while its stems are not ready, and for comparison.
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

SEGMENT = 220_500  # samples: 5 s, less than the first network's first block, so that playback starts at once
HEADROOM = 4.0  # stems are stored without clipping up to so many times the song's peak
QUIETEST = 2.0**-16  # peak below which a song is not amplified further: it is mere recording noise
SAMPLES_PER_PEAK = 441  # 100 peaks per second
FULL = 127  # full scale of a peak's signed byte
INDEX = "index.json"
UNHEARD = "unheard"  # folder for the sound of stems that are delivered as silence
ORIGINAL = "original"  # folder of the song itself
WORK = (INDEX, *STEMS, RESIDUAL, UNHEARD)  # the input of exports and of another selection of stems


@dataclass(frozen=True, slots=True)
class Block:
    """A finished block of the song: samples start to stop of total.

    stems: (2, stop - start) float32 each, as played, RESIDUAL last. merged: stems whose sound is already part of
    `other`. gain: factor by which segments are stored quieter and players must amplify them. source: frames and rate
    (Hz) of the upload. Gain and source are constant throughout a song.
    """

    start: int
    stop: int
    total: int
    stems: dict[str, Audio]
    merged: dict[str, Audio] = field(default_factory=dict)
    gain: float = HEADROOM
    source: tuple[int, int] | None = None


def gain_of(peak: float) -> float:
    """The storage gain for a song with this peak: a power of two, so that quiet songs use all 24 bits too."""
    return float(HEADROOM * 2.0 ** np.ceil(np.log2(max(peak, QUIETEST))))


def peaks(audio: Audio) -> NDArray[np.int8]:
    """Waveform peaks for display.

    Parameters
    ----------
    audio
        (channels, samples) float32.

    Returns
    -------
    (peaks, 2) int8: minimum and maximum over all channels in each SAMPLES_PER_PEAK samples, 127 for full scale.
    """
    short = -audio.shape[1] % SAMPLES_PER_PEAK
    windows = np.pad(audio, ((0, 0), (0, short))).reshape(audio.shape[0], -1, SAMPLES_PER_PEAK)
    ends = np.stack([windows.min(axis=(0, 2)), windows.max(axis=(0, 2))], axis=1)
    return np.asarray(np.clip(np.rint(ends * FULL), -FULL, FULL), np.int8)


class SegmentWriter:
    """Cuts blocks into <directory>/<stem>/<number>.flac and peaks.i8, and writes index.json at the end.

    A context manager.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pending: dict[str, Audio] = {}
        self._peaks: dict[str, IO[bytes]] = {}
        self._written = 0
        self._index = Index(0, HEADROOM, [], [], SEGMENT)

    def write(self, block: Block) -> int:
        """Add a block of all stems. Returns the number of complete segments per stem."""
        source = block.source or (block.total, SAMPLE_RATE)
        self._index = Index(block.total, block.gain, [*block.stems], [*block.merged], SEGMENT, *source)
        for stem, audio in (block.stems | block.merged).items():
            self._pending[stem] = np.concatenate([self._pending.get(stem, audio[:, :0]), audio], axis=1)
        while all(audio.shape[1] >= SEGMENT for audio in self._pending.values()):
            self._flush(SEGMENT)
        return self._written

    def close(self) -> int:
        """Write the rest as a shorter segment. Returns the number of segments per stem."""
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
    """Write the song itself to <directory>/original, in the same form as stems. Returns the number of segments."""
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
    """The content of a complete folder of segments; gain, stems and merged as in Block.

    A stem that is both in `stems` and in `merged` is silent. total: samples of the song. segment: samples of each
    segment; the default is that of the first songs, which did not store it. source_samples, source_rate: of the upload;
    0 means that it is at SAMPLE_RATE.
    """

    total: int
    gain: float
    stems: list[str]
    merged: list[str]
    segment: int = 441_000
    source_samples: int = 0
    source_rate: int = SAMPLE_RATE

    def save(self, directory: Path) -> None:
        """Write the index to a folder."""
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
    """Read the index of a folder. Raises FileNotFoundError if the folder is incomplete."""
    return Index(**json.loads((directory / INDEX).read_text("utf-8")))


def replay(directory: Path) -> Iterator[Block]:
    """The song as it was separated: blocks of every stem by itself, with merged stems taken out of `other` again.

    Stems are exact to 24 bits. Raises FileNotFoundError if the folder is incomplete.
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
    """Merge stems of a complete folder into its `other`; those of them in `silent` are still delivered, as silence.

    A player meanwhile gets either version.
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
    """The file of a stem's segment."""
    return folder / f"{number:05d}.flac"


def load(directory: Path, stem: str, number: int, gain: float) -> Audio:
    """Read a segment at its true level, (2, samples) float32. Raises FileNotFoundError."""
    with segment(directory / stem, number).open("rb") as file:
        audio, _ = soundfile.read(file, dtype="float32", always_2d=True)
    return np.asarray(audio.T * np.float32(gain))


def _encode(path: Path, audio: Audio, gain: float) -> None:
    part = path.with_name("part")
    with Encoder(part, "flac", "24") as encoder:
        encoder.write(audio / np.float32(gain))
    part.replace(path)
