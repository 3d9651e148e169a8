"""Measure the detector on random subsets of the stems of songs at random gains, before and after separation.

A folder contains a folder per song with its stems (vocals.flac, drums.flac, ...); a `mixture` next to them is ignored.
Only the command line and training import this module. It alone uses more of `ensemble` than the detector does: the
second stage is measured on the output of a real separator.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
import soundfile

from detector import classifier, features
from detector.classifier import ABSENT, FRAME, KINDS, MIXTURE, PRESENT, UNCERTAIN, WINDOW, Detection
from detector.features import Array, Spectrogram
from ensemble import registry
from ensemble.errors import InvalidOption
from ensemble.levels import decibels
from ensemble.networks.demucs import Level
from ensemble.separator import Separator
from ensemble.stft import SAMPLE_RATE

SEGMENT = 343_980  # samples of a case: HTDemucs' segment, 7.8 s
GAIN_DB = 6.0  # largest random gain of a stem, up or down
LOUD_DB, FAINT_DB = -25.0, -40.0  # relative to the mixture: above present, below absent, undecided in between
SILENT_DB = -60.0
POWER_FLOOR = 1e-14  # -140 dB
BINS = 10  # of the reliability curve
MIXED = ("other", "accompaniment", "rest")  # stems that may contain any instrument without a stem of its own
NEVER_IN = {"other": ("vocals", "drums", "other"), "accompaniment": ("vocals",), "rest": ()}

Separate = Callable[[Array], dict[str, Array]]
"""(2, samples) float32 at SAMPLE_RATE -> stems of that shape by name"""
Truth = bool | None


@dataclass(frozen=True)
class Case:
    """Some stems of a song at their gains, each (2, samples) float32. names: all stems of the song."""

    song: str
    names: tuple[str, ...]
    stems: dict[str, Array]

    @property
    def mixture(self) -> Array:
        """The sum of the stems, (2, samples) float32."""
        return np.asarray(np.sum(list(self.stems.values()), axis=0, dtype=np.float32))

    def truth(self, kind: str, start: int = 0, stop: int | None = None) -> Truth:
        """Whether the kind sounds from sample start to stop; None where the stems don't show."""
        mixture = level_db(self.mixture[:, start:stop])
        sounding = {name: _sounds(level_db(stem[:, start:stop]), mixture) for name, stem in self.stems.items()}
        if kind in self.names:
            return sounding.get(kind, False)
        hidden = [name for name in MIXED if sounding.get(name, False) is not False and kind not in NEVER_IN[name]]
        return None if hidden else False


@dataclass
class Tally:
    """Answers to one question over many cases."""

    songs: list[str] = field(default_factory=list)
    truths: list[bool] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    presences: list[str] = field(default_factory=list)

    def add(self, song: str, truth: Truth, score: float, presence: str = "") -> None:
        """Record an answer unless the truth is unknown."""
        if truth is not None:
            self.songs.append(song)
            self.truths.append(truth)
            self.scores.append(score)
            self.presences.append(presence)

    @property
    def true_songs(self) -> set[str]:
        """Songs with at least one case in which the answer is yes."""
        return {song for song, true in zip(self.songs, self.truths, strict=True) if true}


def _per_kind() -> dict[str, Tally]:
    return {kind: Tally() for kind in KINDS}


@dataclass
class Tallies:
    """Tallies by kind: of windows, cases and seconds of mixtures, and of cases and seconds after separation."""

    windows: dict[str, Tally] = field(default_factory=_per_kind)
    wholes: dict[str, Tally] = field(default_factory=_per_kind)
    seconds: dict[str, Tally] = field(default_factory=_per_kind)
    confirmed: dict[str, Tally] = field(default_factory=_per_kind)
    confirmed_seconds: dict[str, Tally] = field(default_factory=_per_kind)


def level_db(audio: Array) -> float:
    """Mean power of an array of any shape (...), relative to full scale, in dB; -140 for silence."""
    power = float(np.square(audio, dtype=np.float64).mean()) if audio.size else 0.0
    return float(decibels(power + POWER_FLOOR))


def _sounds(stem: float, mixture: float) -> Truth:
    if stem > SILENT_DB and stem - mixture > LOUD_DB:
        return True
    return False if stem - mixture < FAINT_DB or stem < SILENT_DB else None


def auc(truths: list[bool], scores: list[float]) -> float | None:
    """Area under the ROC curve: how often a true case scores above a false one. None if only one of both occurs."""
    truth = np.asarray(truths, bool)
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return None
    ranks = scipy.stats.rankdata(scores)
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


# Cases


def cases(folder: Path, per_song: int, seed: int = 0) -> Iterator[Case]:
    """The full mix of each song and seeded random subsets of its stems, each from a random moment.

    Raises InvalidOption.
    """
    songs = [song for song in sorted(folder.glob("*/")) if stem_files(song)]
    if not songs:
        raise InvalidOption(f"{folder} has no songs: a folder for each, with its stems as vocals.flac, drums.flac, ...")
    for song in songs:
        yield from _cases_of(song, per_song, _generator(song.name, seed))


def stem_files(song: Path) -> dict[str, Path]:
    """The stems in a song's folder by name."""
    files = [path for path in sorted(song.iterdir()) if path.suffix in (".flac", ".wav")]
    return {path.stem: path for path in files if path.stem in (*KINDS, *MIXED)}


def _generator(name: str, seed: int) -> np.random.Generator:
    """A random generator that depends on the song and the seed, not on other songs in the folder."""
    return np.random.default_rng([int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"), seed])


def _cases_of(song: Path, count: int, rng: np.random.Generator) -> Iterator[Case]:
    files = stem_files(song)
    subsets = [subset for size in range(1, len(files)) for subset in combinations(files, size)]
    rng.shuffle(subsets)
    for subset in [tuple(files), *subsets][:count]:
        yield Case(song.name, tuple(files), _excerpt({name: files[name] for name in subset}, rng))


def _excerpt(files: dict[str, Path], rng: np.random.Generator) -> dict[str, Array]:
    start = moment(list(files.values()), rng)
    stems = {}
    for name, path in files.items():
        audio = segment(path, start)
        stems[name] = np.float32(10 ** (rng.uniform(-GAIN_DB, GAIN_DB) / 20)) * audio
    return stems


def moment(files: Sequence[Path], rng: np.random.Generator) -> int:
    """A random sample at which a segment of all files can begin."""
    samples = min(soundfile.info(path).frames for path in files)
    return int(rng.integers(0, max(1, samples - SEGMENT + 1)))


def segment(path: Path, start: int) -> Array:
    """Read up to SEGMENT samples of a stem, (2, n) float32, from `start` on. Raises InvalidOption."""
    audio, rate = soundfile.read(path, SEGMENT, start, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        raise InvalidOption(f"{path} is at {rate} Hz. Convert it to {SAMPLE_RATE} Hz first.")
    return np.broadcast_to(audio.T, (2, len(audio)))


# Stages


def listen_stage(case: Case, found: Tallies) -> None:
    """Run the first stage on a case: record windows, the case, and its seconds."""
    mixture = case.mixture
    spectrogram = features.from_array(mixture, SAMPLE_RATE)
    probabilities = classifier.classify_mixture(
        spectrogram, lambda start, stop: mixture[:, start:stop], mixture.shape[1]
    )
    for truths, row in zip(window_truths(case, spectrogram), probabilities, strict=True):
        for kind, truth, value in zip(KINDS, truths, row, strict=True):
            found.windows[kind].add(case.song, truth, float(value))
    whole = classifier.detection(spectrogram, probabilities, mixture.shape[1] / SAMPLE_RATE, MIXTURE)
    _count(case, whole, found.wholes, found.seconds)


def window_truths(case: Case, spectrogram: Spectrogram) -> list[list[Truth]]:
    """The truth of each kind in each window: a list of (windows, KINDS) answers, None where unknown."""
    frames = [(first, first + WINDOW) for first in classifier.window_starts(spectrogram)]
    places = [[round(frame * FRAME * SAMPLE_RATE) for frame in window] for window in frames]
    return [[case.truth(kind, start, stop) for kind in KINDS] for start, stop in places]


def confirm_stage(case: Case, separate: Separate, found: Tallies) -> None:
    """Run the second stage on a case: separate it and record the case and its seconds."""
    mixture = case.mixture
    stems = {name: features.from_array(stem, SAMPLE_RATE) for name, stem in separate(mixture).items()}
    confirmed = classifier.confirm(
        features.from_array(mixture, SAMPLE_RATE), stems.items(), mixture.shape[1] / SAMPLE_RATE
    )
    _count(case, confirmed, found.confirmed, found.confirmed_seconds)


def _count(case: Case, found: Detection, wholes: dict[str, Tally], seconds: dict[str, Tally]) -> None:
    """Record a case and each of its seconds."""
    for kind, stem in found.stems.items():
        wholes[kind].add(case.song, case.truth(kind), stem.probability, stem.presence)
        for second, value in enumerate(stem.timeline):
            inside = any(start <= second < stop for start, stop in stem.spans)
            truth = case.truth(kind, second * SAMPLE_RATE, (second + 1) * SAMPLE_RATE)
            seconds[kind].add(case.song, truth, value, PRESENT if inside else ABSENT)


def separator(preset: str = "default") -> Separate:
    """A function that separates like the service with default options: (2, samples) float32 to stems of that shape.

    Raises ModelUnavailable if no model of the preset is installed.
    """
    row = registry.ensemble(preset)
    usual = registry.stems_of(row, experimental=False)

    def separate(mixture: Array) -> dict[str, Array]:
        mono = mixture.mean(axis=0)
        network = Separator(row, Level(float(mono.mean()), float(mono.std())), wanted=usual)
        padded = np.pad(mixture, ((0, 0), (0, SEGMENT - mixture.shape[1])))
        return dict(zip(network.sources, network(padded)[..., : mixture.shape[1]], strict=False))

    return separate


# Figures


def tallies(folder: Path, separate: Separate | None, per_song: int, seed: int = 0) -> Tallies:
    """Record all cases. Without a separator the second stage is skipped."""
    found = Tallies()
    for case in cases(folder, per_song, seed):
        listen_stage(case, found)
        if separate is not None:
            confirm_stage(case, separate, found)
    return found


def report(found: Tallies) -> dict[str, Any]:
    """All figures, JSON-ready. The mixture's AUC is over windows, everything else over cases."""
    figure: dict[str, Any] = {"stems": {}, "confirmed": {}}
    for kind in KINDS:
        if found.wholes[kind].truths:
            area = auc(found.windows[kind].truths, found.windows[kind].scores)
            timeline = _timeline(found.seconds[kind])
            figure["stems"][kind] = figures(found.wholes[kind]) | {"auc": area, "timeline": timeline}
        if found.confirmed[kind].truths:
            timeline = _timeline(found.confirmed_seconds[kind])
            figure["confirmed"][kind] = figures(found.confirmed[kind]) | {"timeline": timeline}
    return figure


def figures(tally: Tally) -> dict[str, Any]:
    """Compare decisions and probabilities with the truth.

    Uncertain counts as absent; `uncertain` is its share of the cases.
    """
    truth = np.asarray(tally.truths, bool)
    called_present = np.asarray([presence == PRESENT for presence in tally.presences])
    right, called, real = int((truth & called_present).sum()), int(called_present.sum()), int(truth.sum())
    return {
        "auc": auc(tally.truths, tally.scores),
        "precision": right / called if called else None,
        "recall": right / real if real else None,
        "f1": 2 * right / (called + real) if called + real else None,
        "songs": len(tally.true_songs),
        "cases": len(truth),
        "uncertain": tally.presences.count(UNCERTAIN) / len(truth),
        "missed": sorted({s for s, t, p in zip(tally.songs, truth, called_present, strict=True) if t and not p}),
        "imagined": sorted({s for s, t, p in zip(tally.songs, truth, called_present, strict=True) if p and not t}),
        "reliability": reliability(tally.truths, tally.scores),
    }


def reliability(truths: list[bool], scores: list[float]) -> list[dict[str, float]]:
    """Mean probability and share of true cases in each of BINS ranges of probability."""
    truth, score = np.asarray(truths, float), np.asarray(scores)
    place = np.minimum((score * BINS).astype(int), BINS - 1)
    bins = [place == number for number in range(BINS)]
    return [
        {"called": float(score[here].mean()), "true": float(truth[here].mean()), "cases": int(here.sum())}
        for here in bins
        if here.any()
    ]


def _timeline(tally: Tally) -> dict[str, Any]:
    """Accuracy of the presence per second, and how well the probabilities rank seconds."""
    truth = np.asarray(tally.truths, bool)
    called_present = np.asarray([presence == PRESENT for presence in tally.presences])
    accuracy = float((truth == called_present).mean()) if len(truth) else None
    return {"accuracy": accuracy, "auc": auc(tally.truths, tally.scores), "seconds": len(truth)}


def table(report: dict[str, Any]) -> str:
    """Format the figures as text, with the songs of each kind of error."""
    lines = []
    for stage, title in (("stems", "mixture"), ("confirmed", "separated stems")):
        lines.append(
            f"{title:28} {'AUC':>7} {'by sec.':>7} {'prec.':>7} {'recall':>7} {'F1':>7} {'songs':>6} {'cases':>6}"
        )
        for kind, row in report[stage].items():
            values = row["auc"], row["timeline"]["auc"], row["precision"], row["recall"], row["f1"]
            numbers = " ".join(f"{'-':>7}" if value is None else f"{value:7.3f}" for value in values)
            lines.append(f"  {kind:26} {numbers} {row['songs']:>6} {row['cases']:>6}")
            for error in ("missed", "imagined"):
                if row[error]:
                    lines.append(f"    {error}: {', '.join(row[error])}")
    return "\n".join(lines)
