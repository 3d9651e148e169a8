"""Which instruments sound, how sure that is, and when: a published tagger's features and a small head of our own.

The tagger (musicnn, see ensemble/conversion/musicnn.py) hears windows of 3 s, one about every second; the head is a
logistic regression per kind of stem (head.npz, made by `python -m detector train`). In a mixture, how loud each stem
is there (levels.py) is evidence too. Probabilities are calibrated on real music: of all seconds called 0.7, about
seven in ten hold the instrument.
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import NDArray
from scipy.special import expit

from detector import draft_features, features
from detector.features import Array, Spectrogram
from ensemble import registry
from ensemble.levels import decibels
from ensemble.networks import runtime
from ensemble.stft import SAMPLE_RATE, Reader

HEAD = Path(__file__).with_name("head.npz")
KINDS = ("vocals", "drums", "bass", "guitar", "piano", "other", "strings", "winds", "synth")
FEATURES = ("penultimate", "mean")

WINDOW, STRIDE = 187, 62  # frames: 3 s and 1 s, as the tagger's graph has them
FRAME = features.HOP / features.RATE  # seconds
GROUP = 32  # windows a call, to bound memory
QUIET_DB = -50.0  # below the whole song, at which a window counts as silent
REAL_DB = -30.0  # of a separated stem to the mixture, at which it is as likely real as left over from the others
SLOPE_DB = 4.0  # that change the odds by a factor of e
PROOF = 2.0  # log-odds that level can add at most: a stem that sounds like nothing of its kind is none
LIKENESS = 4.0  # log-odds that sound can add at most: a faint leftover is one, however much it sounds like its kind
POWER_FLOOR = 1e-12
PROBABILITY_FLOOR = 1e-12
SHORTEST = 3  # seconds that count: less is too short to be sure of
SURE = 0.1  # of a song, over which an instrument must be heard to be as probable as the song says

CLIP = 5.0  # standard deviations

PRESENT, UNCERTAIN, ABSENT = "present", "uncertain", "absent"
MIXTURE, CONFIRMED = "mixture", "confirmed"  # the two stages
UNTRIED = (0.6, 0.25)  # (sure, maybe) of kinds that too few songs could be found to try
AFTER = {
    "vocals": (0.4, 0.1), "drums": (0.6, 0.1), "bass": (0.5, 0.1), "guitar": (0.2, 0.1), "other": (0.7, 0.1),
}  # fmt: skip
"""(sure, maybe) after separation, by hand from 182 cases of 16 songs: each `sure` lies where F1 is high and flat around
it, for guitar at the lower of two such places, which misses none; above `maybe`, which keeps a stem from being folded,
lie all cases that hold the instrument, but one of `other`."""


@dataclass(frozen=True, slots=True)
class Detected:
    """One kind of stem. timeline: a probability a second. spans: (start, stop) in seconds where it is present."""

    probability: float
    presence: str
    timeline: tuple[float, ...]
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Detected":
        """What as_dict gave, also after JSON, which knows no tuples."""
        spans = tuple((start, stop) for start, stop in data["spans"])
        return cls(data["probability"], data["presence"], tuple(data["timeline"]), spans)


@dataclass(frozen=True, slots=True)
class Detection:
    """What a song holds, by kind of stem."""

    seconds: float
    stems: dict[str, Detected]

    def named(self, presence: str) -> tuple[str, ...]:
        """The kinds that are PRESENT, UNCERTAIN or ABSENT."""
        return tuple(kind for kind, row in self.stems.items() if row.presence == presence)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Detection":
        """What as_dict gave, also after JSON."""
        return cls(data["seconds"], {kind: Detected.from_dict(row) for kind, row in data["stems"].items()})


@dataclass(frozen=True)
class Head:
    """Logistic regression on the channels that vary. thresholds: by stage, (sure, maybe) of each kind.

    mixing, shift: another one for mixtures, on those channels, the log-odds of the first and what the draft's network
    hears.
    """

    channels: NDArray[np.int64]
    mean: Array
    scale: Array
    weights: Array
    bias: Array
    mixing: Array
    shift: Array
    thresholds: dict[str, dict[str, tuple[float, float]]]

    def odds(self, tagged: Array) -> Array:
        """Log-odds: (windows, all channels) to (windows, KINDS)."""
        return np.asarray(self.standard(tagged) @ self.weights + self.bias)

    def evidence(self, tagged: Array, drafted: Array) -> Array:
        """Log-odds, the head's channels and (windows, levels.FEATURES) of a mixture side by side, a row per window."""
        return np.concatenate([self.odds(tagged), self.standard(tagged), drafted], axis=1)

    def mixed(self, evidence: Array) -> Array:
        """Log-odds (windows, KINDS) in a mixture."""
        return np.asarray(evidence @ self.mixing + self.shift)

    def standard(self, tagged: Array) -> Array:
        """The head's channels in standard deviations, bounded: what hardly varied in training can't outshout others."""
        return np.asarray(np.clip((tagged[:, self.channels] - self.mean) / self.scale, -CLIP, CLIP), np.float32)


@cache
def head() -> Head:
    """The trained head that comes with the project."""
    with np.load(HEAD) as data:
        before = dict(zip(KINDS, map(tuple, data[MIXTURE].tolist()), strict=True))
        thresholds = {MIXTURE: before, CONFIRMED: dict.fromkeys(KINDS, UNTRIED) | AFTER}
        arrays = {
            name: data[name].astype(np.float32) for name in ("mean", "scale", "weights", "bias", "mixing", "shift")
        }
        return Head(channels=data["channels"].astype(np.int64), thresholds=thresholds, **arrays)


def networks() -> list[str]:
    """The models that listen to a mixture."""
    return [registry.TAGGER, *([draft_features.NETWORK] if draft_features.installed() else [])]


def listen(read: Reader, samples: int, on_progress: draft_features.OnProgress = lambda _: None) -> Detection:
    """Hear a whole song. read(start, stop) gives (channels, stop - start) at levels.RATE. Raises ModelUnavailable.

    on_progress: told, in this thread, how many samples have been heard so far.
    """
    spectrogram = features.spectrogram(read, samples, SAMPLE_RATE)
    probabilities = classify_mixture(spectrogram, read, samples, on_progress)
    return detection(spectrogram, probabilities, samples / SAMPLE_RATE, MIXTURE)


def classify_mixture(
    spectrogram: Spectrogram, read: Reader, samples: int, on_progress: draft_features.OnProgress = lambda _: None
) -> Array:
    """The same as classify() of a mixture that can be read, from more evidence, unless its network is missing."""
    if not draft_features.installed():
        return classify(spectrogram)
    return _audible(spectrogram, expit(head().mixed(evidence(spectrogram, read, samples, on_progress))))


def evidence(
    spectrogram: Spectrogram, read: Reader, samples: int, on_progress: draft_features.OnProgress = lambda _: None
) -> Array:
    """What the tagger, the head and the draft's network hear in a mixture, a row per window, as Head.mixed takes it."""
    starts = window_starts(spectrogram) * FRAME
    with ThreadPoolExecutor(1) as thread:  # the networks share the cores better than either uses them
        tagging = thread.submit(tag, spectrogram)
        drafted = draft_features.extract(read, samples, spectrogram.rms, starts, starts + WINDOW * FRAME, on_progress)
        return head().evidence(tagging.result(), drafted)


def classify(spectrogram: Spectrogram) -> Array:
    """Probabilities (windows, KINDS) at window_times(); silent windows hold nothing."""
    return _audible(spectrogram, expit(head().odds(tag(spectrogram))))


def _audible(spectrogram: Spectrogram, probabilities: Array) -> Array:
    return probabilities * audible(spectrogram)[:, None]


def audible(spectrogram: Spectrogram) -> NDArray[np.bool_]:
    """Whether there is something to hear in each window."""
    return loudness(spectrogram) > 10 ** (QUIET_DB / 10)


def window_starts(spectrogram: Spectrogram) -> NDArray[np.int64]:
    """First frame of each window; what is shorter than a window is one."""
    return np.arange(1 + max(0, len(spectrogram.power) - WINDOW) // STRIDE) * STRIDE


def window_times(spectrogram: Spectrogram) -> NDArray[np.float64]:
    """Middle of each window in seconds."""
    return np.asarray((window_starts(spectrogram) + WINDOW / 2) * FRAME)


def tag(spectrogram: Spectrogram) -> Array:
    """The tagger's outputs (windows, channels) in the order of FEATURES. Raises ModelUnavailable."""
    session = runtime.session(registry.verified(registry.TAGGER))
    starts = window_starts(spectrogram)
    groups = (starts[first : first + GROUP] for first in range(0, len(starts), GROUP))
    answers = (session.run(frames=_frames(spectrogram, group[0], group[-1] + WINDOW)) for group in groups)
    return np.concatenate([np.concatenate([answer[name] for name in FEATURES], axis=1) for answer in answers])


def _frames(spectrogram: Spectrogram, start: int, stop: int) -> Array:
    """Frames as the tagger takes them; what is shorter than a window is repeated."""
    log = spectrogram.log(start, stop)
    return np.resize(log, (max(len(log), WINDOW), log.shape[1]))


def loudness(spectrogram: Spectrogram) -> Array:
    """Power of each window relative to the whole; 0 throughout for silence."""
    starts = window_starts(spectrogram)
    if spectrogram.rms <= features.SILENCE:
        return np.zeros(len(starts), np.float32)
    power = spectrogram.power.sum(axis=1, dtype=np.float64)
    ends = np.concatenate([[0.0], np.cumsum(power)])
    stops = np.minimum(starts + WINDOW, len(power))
    return np.asarray((ends[stops] - ends[starts]) / (stops - starts) / power.mean(), np.float32)


def detection(spectrogram: Spectrogram, probabilities: Array, seconds: float, stage: str) -> Detection:
    """From windows to a song: a value a second, and one for the whole."""
    middles, times = np.arange(max(1, round(seconds))) + 0.5, window_times(spectrogram)
    stems = {}
    for index, kind in enumerate(KINDS):
        timeline = np.interp(middles, times, probabilities[:, index])
        stems[kind] = judge(timeline, *head().thresholds[stage][kind])
    return Detection(seconds, stems)


def judge(timeline: NDArray[np.floating], sure: float, maybe: float) -> Detected:
    """Decide by a timeline: the song is as sure as its surest seconds, SURE of it but SHORTEST at least."""
    surest = np.sort(timeline)[::-1]
    whole = float(surest[min(len(surest), max(SHORTEST, round(SURE * len(surest)))) - 1])
    presence = PRESENT if whole >= sure else UNCERTAIN if whole >= maybe else ABSENT
    spans = tuple(hysteresis(timeline, sure, maybe)) if presence == PRESENT else ()
    return Detected(round(whole, 4), presence, tuple(round(float(value), 3) for value in timeline), spans)


def hysteresis(timeline: NDArray[np.floating], sure: float, maybe: float) -> Iterator[tuple[int, int]]:
    """Spans that reach `sure` somewhere and `maybe` throughout; gaps below SHORTEST are closed, such spans dropped."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], timeline >= maybe, [0]])))
    spans: list[list[int]] = []
    for start, stop in edges.reshape(-1, 2).tolist():
        if spans and start - spans[-1][1] < SHORTEST:
            spans[-1][1] = stop
        else:
            spans.append([start, stop])
    least = min(SHORTEST, len(timeline))
    return ((a, b) for a, b in spans if b - a >= least and timeline[a:b].max() >= sure)


def logit(probability: NDArray[np.floating]) -> Array:
    """Probability to log-odds, as far as float32 can tell it from 0 and 1."""
    inside = np.clip(probability, PROBABILITY_FLOOR, 1 - np.finfo(np.float32).epsneg)
    return np.asarray(scipy.special.logit(inside), np.float32)


# After separation


def confirm(mixture: Spectrogram, stems: Iterable[tuple[str, Spectrogram]], seconds: float) -> Detection:
    """What separated stems say of themselves: an instrument is there if its stem is loud enough and sounds like it.

    stems: by kind, as long as the mixture; each is let go before the next is asked for. Kinds without a stem of their
    own are looked for in `other`, whose level can speak against them, but not for them.
    """
    found = {name: (classify(stem), _level_odds(stem, mixture)) for name, stem in stems}
    probabilities = np.zeros((len(window_starts(mixture)), len(KINDS)), np.float32)
    for index, kind in enumerate(KINDS):
        name, most = (kind, PROOF) if kind in found else ("other", 0.0)
        if name in found:
            sounds, level = found[name]
            probabilities[:, index] = expit(np.minimum(logit(sounds[:, index]), LIKENESS) + np.minimum(level, most))
    return detection(mixture, probabilities, seconds, CONFIRMED)


def _level_odds(stem: Spectrogram, mixture: Spectrogram) -> Array:
    """Log-odds by level, window for window, that a stem is more than what was left over from the others."""
    share = stem.rms**2 * loudness(stem) / (mixture.rms**2 * loudness(mixture) + POWER_FLOOR)
    above = decibels(share + POWER_FLOOR) - REAL_DB
    return np.asarray(above / SLOPE_DB, np.float32)
