"""Remixes for training: mixtures of stems of many songs, each from its own song and moment.

A folder of songs is as in evaluate.py: a folder per song that contains drums.flac, bass.flac, ...
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.random import Generator

from detector.evaluate import SEGMENT, Case, moment, segment, stem_files
from detector.features import Array
from detector.training.voices import rms
from ensemble.errors import InvalidOption

LIKELY = {"vocals": 0.5, "drums": 0.5, "bass": 0.5, "guitar": 0.25, "piano": 0.15, "other": 0.55}
LEVEL_DB = {"vocals": -18.0, "drums": -17.0, "bass": -18.0, "guitar": -19.0, "piano": -20.0, "other": -19.0}
SPREAD_DB = 4.0  # standard deviation of a level
QUIET = 0.005  # RMS, at or below which another moment is tried
TRIES = 6
ALWAYS_KNOWN = ("vocals", "drums", "bass", "other")  # kinds that no other stem contains
HIDDEN = ("guitar", "piano")  # kinds that `other` may contain, unless its song has a stem for them

Pool = dict[str, list[list[Path]]]
"""By kind, for each folder that has any, its stems of that kind."""


def cases(folders: Sequence[Path], count: int, seed: int = 0) -> Iterator[Case]:
    """Draw `count` mixtures.

    For each kind of stem, all folders that have it are equally likely. Raises InvalidOption.
    """
    found = {kind: [files for folder in folders if (files := stems_in(folder, kind))] for kind in LIKELY}
    if missing := [kind for kind in ALWAYS_KNOWN if not found[kind]]:
        raise InvalidOption(
            f"No song has {' or '.join(missing)}. `ensemble.training.gather` and `detector compose` make some."
        )
    rng = np.random.default_rng(seed)
    mixtures = filter(None, (chosen(found, rng) for _ in range(TRIES * count)))  # some draws are empty or silent
    for number, stems in enumerate(islice(mixtures, count)):
        yield Case(str(number), known_kinds(stems), {kind: audio for kind, (_, audio) in stems.items()})


def stems_in(folder: Path, kind: str) -> list[Path]:
    """The stems of one kind of all songs in a folder."""
    return [files[kind] for song in sorted(folder.glob("*/")) if kind in (files := stem_files(song))]


def chosen(found: Pool, rng: Generator) -> dict[str, tuple[Path, Array]]:
    """Draw the stems of one mixture: by kind the file, and up to SEGMENT samples of it, (2, SEGMENT) float32."""
    stems = {}
    for kind, folders in found.items():
        if folders and rng.random() < LIKELY[kind]:
            files = folders[rng.integers(len(folders))]
            path = files[rng.integers(len(files))]
            if rms(audio := sounding(path, rng)) > 1e-4:
                gain = 10 ** ((LEVEL_DB[kind] + rng.normal(0, SPREAD_DB)) / 20) / rms(audio)
                stems[kind] = path, audio * np.float32(gain)
    return stems


def sounding(path: Path, rng: Generator) -> Array:
    """Draw a moment of a stem, (2, SEGMENT) float32, preferably one in which it sounds."""
    for _ in range(TRIES):
        audio = segment(path, moment([path], rng))
        if rms(audio) > QUIET:
            break
    return np.pad(audio, ((0, 0), (0, SEGMENT - audio.shape[1])))


def known_kinds(stems: dict[str, tuple[Path, Array]]) -> tuple[str, ...]:
    """Kinds for which the stems of a mixture, (2, SEGMENT) each, show whether they sound."""
    if "other" not in stems:
        return (*ALWAYS_KNOWN, *HIDDEN)
    own = stem_files(stems["other"][0].parent)
    return (*ALWAYS_KNOWN, *(kind for kind in HIDDEN if kind in own or kind in stems))
