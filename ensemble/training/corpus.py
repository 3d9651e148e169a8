"""What a network is trained on: folders of songs in stems, and excerpts of them chosen by chance.

A song is a folder with vocals.flac, drums.flac, ... Decoded once, it lies in the cache as 16-bit samples that are read
in place.
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
from ensemble.evaluation.datasets import SAMPLE_RATE, SUFFIXES, Files, fit, mix, read
from ensemble.registry import STEMS
from ensemble.stft import Audio

Samples = NDArray[np.int16]

SPLIT = ("guitar", "piano")
FULL = 32_767
ACTIVE = 1e-4  # share of a song's power (-40 dB) from which on a stem counts as heard in a second
UNTOUCHED = 0.5  # share of excerpts at their own speed
SEMITONES = 4.0  # most that the others are made higher and faster, or lower and slower


@dataclass(frozen=True, slots=True)
class Corpus:
    """Songs of the same stems, (stems, 2, samples) each.

    heard: for each stem, folder by folder, (song, second) of wherever it is heard.
    """

    songs: list[Samples]
    heard: list[list[NDArray[np.int64]]]

    def excerpt(self, samples: int, rng: Generator) -> Audio:
        """(stems, 2, samples) of one moment in which a stem chosen by chance is heard, in a folder chosen by chance."""
        folders = self.heard[rng.integers(len(self.heard))]
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
    """Every song below the folders that has one of the stems; all folders count the same, however many songs they hold.

    Raises InvalidOption, InvalidAudio.
    """
    songs: list[Samples] = []
    heard: list[list[NDArray[np.int64]]] = [[] for _ in stems]
    for folder in folders:
        places = [place for place in sorted(folder.glob("[!.]*")) if _parts(place, stems)]
        found = [_decoded(place, stems, cache) for place in places]
        seconds = [_heard(song, place, stems, cache) for song, place in zip(found, places, strict=True)]
        for number, moments in enumerate(heard):
            listed = [
                (song, at) for song, each in enumerate(seconds, len(songs)) for at in np.flatnonzero(each[number])
            ]
            if listed:
                moments.append(np.array(listed))
        songs += found
    for stem, moments in zip(stems, heard, strict=True):
        if not moments:
            raise InvalidOption(f"No song in {', '.join(map(str, folders))} has {stem}. Give more folders.")
    return Corpus(songs, heard)


def _parts(folder: Path, stems: Sequence[str]) -> Files:
    """The files that sum to each stem; guitar and piano belong to `other` where they aren't asked for."""
    parts: Files = {}
    for path in sorted(folder.glob("*")):
        if path.suffix in SUFFIXES and path.stem in STEMS:
            stem = path.stem if path.stem in stems or path.stem not in SPLIT else "other"
            parts.setdefault(stem, []).append(path)
    return {stem: parts[stem] for stem in stems if stem in parts}


def _decoded(folder: Path, stems: Sequence[str], cache: Path) -> Samples:
    """(stems, 2, samples), from the cache where it is there."""
    path = _cached(folder, stems, cache, "npy")
    if not path.exists():
        audio = {stem: mix([read(file) for file in files]) for stem, files in _parts(folder, stems).items()}
        samples = max(each.shape[-1] for each in audio.values())
        if samples < SAMPLE_RATE:
            raise InvalidAudio(f"{folder} is shorter than a second. Take it out.")
        silence = np.zeros((2, samples), np.float32)
        song = np.stack([fit(audio.get(stem, silence), samples) for stem in stems])
        _save(path, (song / max(1.0, np.abs(song).max()) * FULL).round().astype(np.int16))
    decoded: Samples = np.load(path, mmap_mode="r")
    return decoded


def _heard(song: Samples, folder: Path, stems: Sequence[str], cache: Path) -> NDArray[np.bool_]:
    """(stems, seconds): whether a stem is heard in a second."""
    path = _cached(folder, stems, cache, "heard.npy")
    if not path.exists():
        seconds = song.shape[-1] // SAMPLE_RATE
        power = np.stack([
            np.square(song[..., second * SAMPLE_RATE : (second + 1) * SAMPLE_RATE], dtype=np.float32).mean(axis=(1, 2))
            for second in range(seconds)
        ], axis=1)  # fmt: skip
        _save(path, power > max(1.0, ACTIVE * power.sum(axis=0).mean()))
    heard: NDArray[np.bool_] = np.load(path)
    return heard


def _cached(folder: Path, stems: Sequence[str], cache: Path, suffix: str) -> Path:
    """Where something of a song lies: a name that changes with the files, the stems and their order."""
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
    """Two songs of tones and noise, which show in seconds whether a network learns at all. Returns the folder."""
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
