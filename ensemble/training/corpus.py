"""Training data: folders of songs in stems, and random excerpts of them.

A song is a folder with vocals.flac, drums.flac, ... It is decoded once, into 16-bit samples in the cache, which are
memory-mapped.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

from ensemble.errors import InvalidAudio, InvalidOption
from ensemble.evaluation.datasets import SUFFIXES, Files, fit, mix, read
from ensemble.registry import STEMS
from ensemble.stft import SAMPLE_RATE, Audio

Samples = NDArray[np.int16]

SPLIT = ("guitar", "piano")
FULL = 32_767  # of a 16-bit sample
ACTIVE = 1e-4  # share of the song's power (-40 dB) above which a stem sounds in a second
UNTOUCHED = 0.5  # share of excerpts at their original speed
SEMITONES = 4.0  # largest shift, in pitch and speed alike, of the others


@dataclass(frozen=True, slots=True)
class Corpus:
    """Songs in the same stems, each (stems, 2, samples) int16.

    sounding: per stem and folder the (song, second) pairs in which the stem sounds.
    """

    songs: list[Samples]
    sounding: list[list[NDArray[np.int64]]]

    def excerpt(self, samples: int, rng: Generator) -> Audio:
        """Draw an excerpt in which a random stem sounds, from a random folder.

        Parameters
        ----------
        samples
            Length of the excerpt.
        rng
            Source of randomness.

        Returns
        -------
        (stems, 2, samples) float32, -1 to 1.
        """
        folders = self.sounding[rng.integers(len(self.sounding))]
        places = folders[rng.integers(len(folders))]
        song, second = places[rng.integers(len(places))]
        speed = 1.0 if rng.random() < UNTOUCHED else 2 ** (rng.uniform(-SEMITONES, SEMITONES) / 12)
        length = round(samples * speed)
        last = max(0, self.songs[song].shape[-1] - length)
        start = min(max(0, int((second + rng.uniform(0, 1)) * SAMPLE_RATE) - length // 2), last)
        found = self.songs[song][..., start : start + length].astype(np.float32) / FULL
        flat = found.reshape(-1, found.shape[-1])
        if speed != 1.0:
            flat = soxr.resample(flat.T, speed * SAMPLE_RATE, SAMPLE_RATE, quality="LQ").T
        return fit(flat, samples).reshape(*found.shape[:2], samples)


def load(folders: Sequence[Path], stems: Sequence[str], cache: Path) -> Corpus:
    """Load the songs below the folders that have any of the stems.

    Folders are drawn equally often, whatever their size.

    Raises InvalidOption, InvalidAudio.
    """
    songs: list[Samples] = []
    sounding: list[list[NDArray[np.int64]]] = [[] for _ in stems]
    for folder in folders:
        places = [place for place in sorted(folder.glob("[!.]*")) if _parts(place, stems)]
        found = [_decoded(place, stems, cache) for place in places]
        seconds = [_sounding(song, place, stems, cache) for song, place in zip(found, places, strict=True)]
        for number, moments in enumerate(sounding):
            listed = [
                (song, at) for song, each in enumerate(seconds, len(songs)) for at in np.flatnonzero(each[number])
            ]
            if listed:
                moments.append(np.array(listed))
        songs += found
    for stem, moments in zip(stems, sounding, strict=True):
        if not moments:
            raise InvalidOption(f"No song in {', '.join(map(str, folders))} has {stem}. Give more folders.")
    return Corpus(songs, sounding)


def _parts(folder: Path, stems: Sequence[str]) -> Files:
    """The files that sum to each stem. Guitar and piano belong to `other` unless they are requested."""
    parts: Files = {}
    for path in sorted(folder.glob("*")):
        if path.suffix in SUFFIXES and path.stem in STEMS:
            stem = path.stem if path.stem in stems or path.stem not in SPLIT else "other"
            parts.setdefault(stem, []).append(path)
    return {stem: parts[stem] for stem in stems if stem in parts}


def _decoded(folder: Path, stems: Sequence[str], cache: Path) -> Samples:
    """A song as (stems, 2, samples), from the cache if possible."""
    path = _cached(folder, stems, cache, "npy")
    if not path.exists():
        audio = {stem: mix([read(file) for file in files]) for stem, files in _parts(folder, stems).items()}
        samples = max(each.shape[-1] for each in audio.values())
        if samples < SAMPLE_RATE:
            raise InvalidAudio(f"{folder} is shorter than a second. Remove it.")
        silence = np.zeros((2, samples), np.float32)
        song = np.stack([fit(audio.get(stem, silence), samples) for stem in stems])
        _save(path, (song / max(1.0, np.abs(song).max()) * FULL).round().astype(np.int16))
    decoded: Samples = np.load(path, mmap_mode="r")
    return decoded


def _sounding(song: Samples, folder: Path, stems: Sequence[str], cache: Path) -> NDArray[np.bool_]:
    """Whether each stem sounds in each second: (stems, seconds)."""
    path = _cached(folder, stems, cache, "sounding.npy")
    if not path.exists():
        seconds = song.shape[-1] // SAMPLE_RATE
        power = np.stack([
            np.square(song[..., second * SAMPLE_RATE : (second + 1) * SAMPLE_RATE], dtype=np.float32).mean(axis=(1, 2))
            for second in range(seconds)
        ], axis=1)  # fmt: skip
        _save(path, power > max(1.0, ACTIVE * power.sum(axis=0).mean()))
    sounding: NDArray[np.bool_] = np.load(path)
    return sounding


def _cached(folder: Path, stems: Sequence[str], cache: Path, suffix: str) -> Path:
    """Path of cached data of a song. Its name depends on the files, the stems and their order."""
    files = [path for parts in _parts(folder, stems).values() for path in parts]
    state = [str(folder.resolve()), *stems, *(str(path.stat().st_mtime_ns) for path in files)]
    return cache / f"{folder.name}-{hashlib.sha256('|'.join(state).encode()).hexdigest()[:8]}.{suffix}"


def _save(path: Path, array: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, array)
    part.replace(path)


def made_up(folder: Path, seconds: int = 8) -> Path:
    """Write two songs of tones and noise that show within seconds whether a network learns. Returns the folder."""
    time = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
    for number, pitch in enumerate((1.0, 1.3)):
        rng = np.random.default_rng(number)
        stems = {
            "vocals": np.sin(2 * np.pi * 700 * pitch * time + 8 * np.sin(2 * np.pi * 5 * time)) * (time % 4 > 1),
            "drums": rng.normal(0, 1, len(time)) * np.exp(-30 * (time % 0.5)),
            "bass": np.sin(2 * np.pi * 60 * pitch * time),
            "other": sum(np.sin(2 * np.pi * k * 220 * pitch * time) for k in (1, 5 / 4, 3 / 2)),
        }
        place = folder / str(number)
        place.mkdir(parents=True)
        for stem, sound in stems.items():
            soundfile.write(place / f"{stem}.wav", 0.1 * np.stack([sound, sound], 1), SAMPLE_RATE)
    return folder
