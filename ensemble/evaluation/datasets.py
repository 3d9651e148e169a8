"""Multitrack data sets as songs: a mixture and its true stems, under the project's own stem names."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ensemble.errors import InvalidAudio, InvalidOption
from ensemble.registry import STEMS
from ensemble.stft import SAMPLE_RATE, Audio

WHOLE = ("accompaniment", "rest")  # everything but vocals; everything without a stem of its own
SUFFIXES = (".wav", ".flac")

Files = dict[str, list[Path]]
"""By stem, the files that sum to it."""


@dataclass(frozen=True, slots=True)
class Song:
    """Files of a song. mixture is None where the mixture is the sum of the stems."""

    name: str
    mixture: Path | None
    files: Files

    def load(self) -> tuple[Audio, dict[str, Audio]]:
        """Read the mixture and the stems by name, each (2, samples) float32 at SAMPLE_RATE. Raises InvalidAudio."""
        stems = {stem: mix([read(path) for path in paths]) for stem, paths in self.files.items()}
        mixture = mix(list(stems.values())) if self.mixture is None else read(self.mixture)
        return mixture, {stem: fit(audio, mixture.shape[-1]) for stem, audio in stems.items()}


def read(path: Path) -> Audio:
    """Read a sound file as (2, samples) float32 at SAMPLE_RATE. Mono is copied to both channels.

    Raises InvalidAudio, naming the file.
    """
    try:
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise InvalidAudio(f"{path} could not be read: {error}. Replace it with a WAV or FLAC file.") from error
    if audio.shape[1] > 2 or not len(audio):
        raise InvalidAudio(
            f"{path} has {audio.shape[1]} channels and {len(audio)} samples. Give a stereo or mono file."
        )
    audio = audio if rate == SAMPLE_RATE else soxr.resample(audio, rate, SAMPLE_RATE)
    return np.ascontiguousarray(np.broadcast_to(audio.T, (2, len(audio))))


def mix(parts: list[Audio]) -> Audio:
    """Sum signals, each (channels, samples) float32, zero-padded to the longest."""
    samples = max(part.shape[-1] for part in parts)
    summed: Audio = np.sum([fit(part, samples) for part in parts], axis=0, dtype=np.float32)
    return summed


def fit(audio: Audio, samples: int) -> Audio:
    """Cut or zero-pad a signal, (channels, n), at its end to (channels, samples)."""
    return np.pad(audio[:, :samples], ((0, 0), (0, max(0, samples - audio.shape[-1]))))


def songs(directory: Path, dataset: str) -> list[Song]:
    """List the songs of a data set by name. Raises InvalidOption if the folder is missing or contains none."""
    if not directory.is_dir():
        raise InvalidOption(f"There is no folder {directory}.")
    found = sorted(DATASETS[dataset](directory), key=lambda song: song.name)
    if not found:
        raise InvalidOption(f"{directory} holds no song of the kind {dataset!r}. Expected: {LAYOUTS[dataset]}.")
    return found


def _folder(directory: Path) -> Iterable[Song]:
    return filter(None, (_song(folder, folder.name) for folder in directory.iterdir() if folder.is_dir()))


def _musdb18hq(directory: Path) -> Iterable[Song]:
    """Songs of the test part if there is one: networks were trained on the other part."""
    part = directory / "test" if (directory / "test").is_dir() else directory
    return _folder(part)


def _song(folder: Path, name: str) -> Song | None:
    files = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES}
    stems = {stem: [files[stem]] for stem in (*STEMS, *WHOLE) if stem in files}
    return Song(name, files["mixture"], stems) if "mixture" in files and stems else None


def _moisesdb(directory: Path) -> Iterable[Song]:
    """Songs whose data.json lists stems, each with the tracks that sum to it. There is no file of the mixture."""
    for description in directory.rglob("data.json"):
        files: Files = defaultdict(list)
        for stem in json.loads(description.read_text(encoding="utf-8"))["stems"]:
            name = stem["stemName"] if stem["stemName"] in STEMS else "other"
            for track in stem["tracks"]:
                files[name].append(description.parent / stem["stemName"] / f"{track['id']}.{track['extension']}")
        yield Song(description.parent.name, None, dict(files))


def _medleydb(directory: Path) -> Iterable[Song]:
    """Songs whose NAME_METADATA.yaml names the instrument of each NAME_STEM_nn.wav.

    The mixture is the sum of the stems, not the mastered NAME_MIX.wav.
    """
    for description in directory.rglob("*_METADATA.yaml"):
        name = description.name.removesuffix("_METADATA.yaml")
        files: Files = defaultdict(list)
        for stem, file in _medleydb_stems(description.read_text(encoding="utf-8")):
            files[stem].append(description.parent / f"{name}_STEMS" / file)
        yield Song(name, None, dict(files))


def _medleydb_stems(metadata: str) -> Iterable[tuple[str, str]]:
    """(stem, file name) of each entry S01, S02, ..., whose keys are indented by four."""
    for entry in re.split(r"^  S\d+:", metadata, flags=re.MULTILINE)[1:]:
        keys = dict(re.findall(r"^    (filename|instrument): *(.+?) *$", entry, flags=re.MULTILINE))
        yield stem_of(keys["instrument"]), keys["filename"]


INSTRUMENTS = {
    "vocals": r"singer|vocal|rapper|choir|speaker|beatbox",
    "drums": r"drum|cymbal|toms|snare",
    "bass": r"\bbass\b|double bass",
    "guitar": r"guitar",
    "piano": r"piano",
}
"""Patterns for an instrument's name, tried in this order; stem_of has exceptions."""


def stem_of(instrument: str) -> str:
    """Map one of MedleyDB's instruments to a stem."""
    if re.search(r"bass (clarinet|trombone|flute)|brass", instrument):
        return "other"
    return next((stem for stem, words in INSTRUMENTS.items() if re.search(words, instrument)), "other")


DATASETS: dict[str, Callable[[Path], Iterable[Song]]] = {
    "folder": _folder,
    "musdb18hq": _musdb18hq,
    "moisesdb": _moisesdb,
    "medleydb": _medleydb,
}
LAYOUTS = {
    "folder": "SONG/mixture.wav and SONG/vocals.wav, drums.wav, ... (WAV or FLAC)",
    "musdb18hq": "test/SONG/mixture.wav, vocals.wav, drums.wav, bass.wav, other.wav",
    "moisesdb": "SONG/data.json and SONG/STEM/TRACK.wav",
    "medleydb": "SONG/SONG_METADATA.yaml and SONG/SONG_STEMS/SONG_STEM_01.wav, ...",
}
