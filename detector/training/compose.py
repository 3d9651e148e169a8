"""Compose songs in exact stems for training a separator: random music (corpus.py), played by soundfonts, in stereo.

    python -m detector compose DIR --soundfonts FILE... --songs 24 [--voices DIR...]

Each song is a folder of those of drums.flac, bass.flac, guitar.flac, piano.flac and other.flac that it has. With
--voices every other song is sung or spoken, and has a vocals.flac.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
import soxr
from numpy.random import Generator

from detector.features import RATE, Array
from detector.training import voices
from detector.training.corpus import (
    DRUM_CHANNEL,
    GAP,
    OTHERS,
    PLAYED,
    PROGRAMS,
    TAKE,
    Note,
    compose,
    midi,
    part,
    rendered,
)
from detector.training.voices import rms

TAKES = 4  # consecutive pieces of a song, each with its own key, tempo and instruments
LIKELY = {"drums": 0.9, "bass": 0.9, "guitar": 0.8, "piano": 0.5, "strings": 0.35, "winds": 0.35, "synth": 0.35,
          "other": 0.35}  # fmt: skip
LEVEL_DB = {"drums": -20.0, "bass": -21.0, "guitar": -22.0, "piano": -23.0}  # RMS; LEVEL_REST for others
LEVEL_REST = -25.0
LEVEL_VOCALS = -19.0
SUNG = 2  # one in so many songs has vocals
LINE = 5.0  # longest line of a singer in seconds
PEAK = 0.9

Take = tuple[int, int, float, list[Note]]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the missing songs. The same seed and number always give the same song."""
    parser = argparse.ArgumentParser(prog="python -m detector compose", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--soundfonts", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--songs", type=int, default=24)
    parser.add_argument(
        "--voices", type=Path, nargs="+", default=[], metavar="DIR", help="folders of unaccompanied voices"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    singers = voices.load(arguments.voices)
    for number in range(arguments.songs):
        folder = arguments.folder / f"{arguments.seed}-{number:04}"
        if not folder.exists():
            rng = np.random.default_rng([arguments.seed, number])
            stems = [piece(arguments.soundfonts[number % len(arguments.soundfonts)], rng) for _ in range(TAKES)]
            if singers and number % SUNG == 0:
                stems = [take | {"vocals": sung(singers, rng)} for take in stems]
            write(folder, stems)


def piece(soundfont: Path, rng: Generator) -> dict[str, Array]:
    """Compose TAKE seconds of music. Returns each stem as (samples, 2) float32 at PLAYED."""
    song, length = compose(rng), round(TAKE * PLAYED)
    kinds = [kind for kind, chance in LIKELY.items() if rng.random() < chance] or ["guitar"]
    takes: list[Take] = []
    for index, kind in enumerate(kinds):
        start = index * (TAKE + GAP)
        notes = [(start + at, long, pitch, hard) for at, long, pitch, hard in part(kind, song, rng) if at < TAKE]
        takes.append((DRUM_CHANNEL if kind == "drums" else 0, int(rng.choice(PROGRAMS[kind])), start, notes))
    room = f"synth.reverb.room-size={rng.uniform(0.1, 0.9):.2f}"
    audio = rendered(midi(takes), soundfont, "-R", "1", "-C", "1", "-o", room, "-o", "synth.reverb.level=0.6")
    stems: dict[str, Array] = {}
    for index, kind in enumerate(kinds):
        start = round(index * (TAKE + GAP) * PLAYED)
        dry = audio[start : start + length]
        sound = treated(np.pad(dry, ((0, length - len(dry)), (0, 0))), kind, rng)
        name = "other" if kind in OTHERS else kind
        stems[name] = stems[name] + sound if name in stems else sound
    return stems


def sung(singers: list[Array], rng: Generator) -> Array:
    """TAKE seconds of singers and speakers in turn, (samples, 2) float32 at PLAYED.

    singers: mono recordings, (samples,) float32 at RATE.
    """
    length = round(TAKE * RATE)
    lines = [
        voices.processed(voices.line(singers, round(LINE * RATE), rng), rng) for _ in range(math.ceil(TAKE / LINE))
    ]
    mono = soxr.resample(np.concatenate(lines)[:length], RATE, PLAYED)
    mono = np.pad(mono, (0, max(0, round(TAKE * PLAYED) - len(mono))))[: round(TAKE * PLAYED)]
    gain = 10 ** ((LEVEL_VOCALS + rng.normal(0, 3)) / 20) / max(rms(mono), 1e-4)
    return np.asarray(np.stack([mono, mono], axis=1) * gain, np.float32)


def treated(dry: Array, kind: str, rng: Generator) -> Array:
    """Apply random tone, drive, position and level to a stem.

    Parameters
    ----------
    dry
        (samples, 2) float32 at PLAYED.
    kind
        Of the instrument.
    rng
        Source of randomness.

    Returns
    -------
    (samples, 2) float32.
    """
    audio = dry / max(rms(dry), 1e-4)
    if kind in ("guitar", "bass") and rng.random() < 0.3:
        audio = np.tanh(audio * rng.uniform(0.5, 4))
    low, high = 10 ** (rng.normal(0, 3, 2) / 20)
    pole = np.exp(-2 * np.pi * rng.uniform(200, 3000) / PLAYED)
    base = scipy.signal.lfilter([1 - pole], [1, -pole], audio, axis=0)
    audio = low * base + high * (audio - base)
    pan = rng.normal(0, 0.05 if kind in ("drums", "bass") else 0.4)
    level = 10 ** ((LEVEL_DB.get(kind, LEVEL_REST) + rng.normal(0, 3)) / 20) * (rms(dry) > 1e-4)
    sides = np.clip([1 - pan, 1 + pan], 0, 2)
    return np.asarray(audio / max(rms(audio), 1e-4) * level * sides, np.float32)


def write(folder: Path, pieces: list[dict[str, Array]]) -> None:
    """Write one file per stem; a stem that a piece lacks, (samples, 2), is silent there.

    The folder appears once complete.
    """
    loudest = max(np.abs(sum(stems.values())).max() for stems in pieces)
    scale = PEAK / max(loudest, *(np.abs(stem).max() for stems in pieces for stem in stems.values()))
    part_folder = folder.with_name(f".{folder.name}")
    part_folder.mkdir(parents=True, exist_ok=True)
    for name in sorted({name for stems in pieces for name in stems}):
        silent = np.zeros((round(TAKE * PLAYED), 2), np.float32)
        whole = np.concatenate([stems.get(name, silent) for stems in pieces])
        soundfile.write(part_folder / f"{name}.flac", whole * scale, PLAYED, subtype="PCM_16")
    part_folder.rename(folder)
