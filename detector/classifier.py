"""Detection of instruments with calibrated probabilities, second by second.

A published tagger and a small trained head.

The tagger (musicnn, see ensemble/conversion/musicnn.py) analyses windows of 3 s, about one per second. The head is one
logistic regression per kind of instrument (head.npz, trained by `python -m detector train`). For mixtures, the features
of the draft's network (draft_features.py) are further evidence. Probabilities are calibrated on real music: of all
seconds with 0.7, about seven in ten contain the instrument.
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
GROUP = 32  # windows per call, which bounds memory
QUIET_DB = -50.0  # level relative to the song, at or below which a window counts as silent
REAL_DB = -30.0  # level of a stem relative to the mixture, at which it is as likely real as residue of the others
SLOPE_DB = 4.0  # change in level that multiplies the odds by e
PROOF = 2.0  # largest log-odds from level: a stem that sounds like nothing of its kind is not real
LIKENESS = 4.0  # largest log-odds from sound: a faint residue is not real, however much it sounds like its kind
POWER_FLOOR = 1e-12  # avoids the logarithm of 0 on silence
PROBABILITY_FLOOR = 1e-12
SHORTEST = 3  # seconds: shorter spans are too uncertain
SURE = 0.1  # share of a song whose surest seconds determine the song's probability

CLIP = 5.0  # standard deviations

PRESENT, UNCERTAIN, ABSENT = "present", "uncertain", "absent"
MIXTURE, CONFIRMED = "mixture", "confirmed"  # the two stages: before and after separation
UNTRIED = (0.6, 0.25)  # (sure, maybe) of kinds with too few songs to choose thresholds
AFTER = {
    "vocals": (0.4, 0.1), "drums": (0.6, 0.1), "bass": (0.5, 0.1), "guitar": (0.2, 0.1), "other": (0.7, 0.1),
}  # fmt: skip
"""(sure, maybe) after separation, chosen by hand from 182 cases of 16 songs. `sure` is where F1 is high and flat; for
guitar there are two such places, and the lower one misses none. All cases that contain the instrument, except one of
`other`, lie above `maybe`, below which a stem is merged into `other`."""


@dataclass(frozen=True, slots=True)
class Detected:
    """Detection of one kind of instrument.

    probability: of the song, 0 to 1. timeline: a probability per second. spans: (start, stop) in seconds where it is
    present.
    """

    probability: float
    presence: str
    timeline: tuple[float, ...]
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Detected":
        """Rebuild from a dict, also after JSON, which has no tuples."""
        spans = tuple((start, stop) for start, stop in data["spans"])
        return cls(data["probability"], data["presence"], tuple(data["timeline"]), spans)


@dataclass(frozen=True, slots=True)
class Detection:
    """The detections of one song by kind of instrument."""

    seconds: float
    stems: dict[str, Detected]

    def named(self, presence: str) -> tuple[str, ...]:
        """The kinds with this presence: PRESENT, UNCERTAIN or ABSENT."""
        return tuple(kind for kind, row in self.stems.items() if row.presence == presence)

    def as_dict(self) -> dict[str, Any]:
        """The detection as JSON-ready data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Detection":
        """Rebuild a detection from as_dict, also after JSON."""
        return cls(data["seconds"], {kind: Detected.from_dict(row) for kind, row in data["stems"].items()})


@dataclass(frozen=True)
class Head:
    """The trained regressions.

    The first is a logistic regression on the standardised channels that vary. mixing, shift: the second one, for
    mixtures, on the first one's log-odds, those channels and the draft's features. thresholds: (sure, maybe) by stage
    and kind.
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
        """Log-odds from the tagger's features alone.

        Parameters
        ----------
        tagged
            (windows, channels) float32, from `tag`.

        Returns
        -------
        (windows, KINDS) float32.
        """
        return np.asarray(self.standard(tagged) @ self.weights + self.bias)

    def evidence(self, tagged: Array, drafted: Array) -> Array:
        """Assemble the evidence for mixtures.

        Parameters
        ----------
        tagged
            (windows, channels) float32, from `tag`.
        drafted
            (windows, draft_features.FEATURES) float32.

        Returns
        -------
        (windows, KINDS + used channels + FEATURES) float32: log-odds, standardised channels and the draft's features.
        """
        return np.concatenate([self.odds(tagged), self.standard(tagged), drafted], axis=1)

    def mixed(self, evidence: Array) -> Array:
        """Log-odds in a mixture, (windows, KINDS), from evidence, (windows, ...)."""
        return np.asarray(evidence @ self.mixing + self.shift)

    def standard(self, tagged: Array) -> Array:
        """Standardise and clip the used channels, so that those with little variance in training can't dominate.

        tagged is (windows, channels); returns (windows, used channels) float32, -CLIP to CLIP.
        """
        return np.asarray(np.clip((tagged[:, self.channels] - self.mean) / self.scale, -CLIP, CLIP), np.float32)


@cache
def head() -> Head:
    """Load the trained head that ships with the project."""
    with np.load(HEAD) as data:
        before = dict(zip(KINDS, map(tuple, data[MIXTURE].tolist()), strict=True))
        thresholds = {MIXTURE: before, CONFIRMED: dict.fromkeys(KINDS, UNTRIED) | AFTER}
        arrays = {
            name: data[name].astype(np.float32) for name in ("mean", "scale", "weights", "bias", "mixing", "shift")
        }
        return Head(channels=data["channels"].astype(np.int64), thresholds=thresholds, **arrays)


def networks() -> list[str]:
    """Names of the models that analyse a mixture."""
    return [registry.TAGGER, *([draft_features.NETWORK] if draft_features.installed() else [])]


def listen(read: Reader, samples: int, on_progress: draft_features.OnProgress = lambda _: None) -> Detection:
    """Detect the instruments of a song.

    Parameters
    ----------
    read
        read(start, stop) -> (channels, stop - start) float32 at SAMPLE_RATE.
    samples
        Length of the song.
    on_progress
        on_progress(samples analysed so far), called in this thread.

    Raises
    ------
    ModelUnavailable
        The tagger is not installed.
    """
    spectrogram = features.spectrogram(read, samples, SAMPLE_RATE)
    probabilities = classify_mixture(spectrogram, read, samples, on_progress)
    return detection(spectrogram, probabilities, samples / SAMPLE_RATE, MIXTURE)


def classify_mixture(
    spectrogram: Spectrogram, read: Reader, samples: int, on_progress: draft_features.OnProgress = lambda _: None
) -> Array:
    """Probabilities per window of a mixture, from all evidence.

    Without the draft's network this is the same as `classify`.

    Parameters
    ----------
    spectrogram
        Of the mixture.
    read, samples, on_progress
        As in `listen`.

    Returns
    -------
    (windows, KINDS) float32 at window_times(); 0 in silent windows.
    """
    if not draft_features.installed():
        return classify(spectrogram)
    return _audible(spectrogram, expit(head().mixed(evidence(spectrogram, read, samples, on_progress))))


def evidence(
    spectrogram: Spectrogram, read: Reader, samples: int, on_progress: draft_features.OnProgress = lambda _: None
) -> Array:
    """Evidence for a mixture, from the tagger, the head and the draft's network.

    Parameters
    ----------
    spectrogram
        Of the mixture.
    read, samples, on_progress
        As in `listen`.

    Returns
    -------
    (windows, ...) float32, as from Head.evidence.
    """
    starts = window_starts(spectrogram) * FRAME
    with ThreadPoolExecutor(1) as thread:  # two networks at once use the cores better than one
        tagging = thread.submit(tag, spectrogram)
        drafted = draft_features.extract(read, samples, spectrogram.rms, starts, starts + WINDOW * FRAME, on_progress)
        return head().evidence(tagging.result(), drafted)


def classify(spectrogram: Spectrogram) -> Array:
    """Probabilities per window from the tagger alone, (windows, KINDS) float32 at window_times().

    They are 0 in silent windows. Raises ModelUnavailable.
    """
    return _audible(spectrogram, expit(head().odds(tag(spectrogram))))


def _audible(spectrogram: Spectrogram, probabilities: Array) -> Array:
    return probabilities * audible(spectrogram)[:, None]


def audible(spectrogram: Spectrogram) -> NDArray[np.bool_]:
    """Whether each window is louder than QUIET_DB: (windows,) bool."""
    return loudness(spectrogram) > 10 ** (QUIET_DB / 10)


def window_starts(spectrogram: Spectrogram) -> NDArray[np.int64]:
    """First frame of each window, (windows,) int64. A recording shorter than a window has one."""
    return np.arange(1 + max(0, len(spectrogram.power) - WINDOW) // STRIDE) * STRIDE


def window_times(spectrogram: Spectrogram) -> NDArray[np.float64]:
    """Centre of each window in seconds, (windows,) float64."""
    return np.asarray((window_starts(spectrogram) + WINDOW / 2) * FRAME)


def tag(spectrogram: Spectrogram) -> Array:
    """Run the tagger.

    Returns its outputs, (windows, channels) float32, in the order of FEATURES. Raises ModelUnavailable.
    """
    session = runtime.session(registry.verified(registry.TAGGER))
    starts = window_starts(spectrogram)
    groups = (starts[first : first + GROUP] for first in range(0, len(starts), GROUP))
    answers = (session.run(frames=_frames(spectrogram, group[0], group[-1] + WINDOW)) for group in groups)
    return np.concatenate([np.concatenate([answer[name] for name in FEATURES], axis=1) for answer in answers])


def _frames(spectrogram: Spectrogram, start: int, stop: int) -> Array:
    """Input frames of the tagger. A recording shorter than a window is repeated."""
    log = spectrogram.log(start, stop)
    return np.resize(log, (max(len(log), WINDOW), log.shape[1]))


def loudness(spectrogram: Spectrogram) -> Array:
    """Power of each window relative to the whole recording, (windows,) float32; 0 throughout for silence."""
    starts = window_starts(spectrogram)
    if spectrogram.rms <= features.SILENCE:
        return np.zeros(len(starts), np.float32)
    power = spectrogram.power.sum(axis=1, dtype=np.float64)
    ends = np.concatenate([[0.0], np.cumsum(power)])
    stops = np.minimum(starts + WINDOW, len(power))
    return np.asarray((ends[stops] - ends[starts]) / (stops - starts) / power.mean(), np.float32)


def detection(spectrogram: Spectrogram, probabilities: Array, seconds: float, stage: str) -> Detection:
    """Turn probabilities per window into a detection per second and per song.

    Parameters
    ----------
    spectrogram
        Of the song.
    probabilities
        (windows, KINDS) float32.
    seconds
        Length of the song.
    stage
        MIXTURE or CONFIRMED, which selects the thresholds.
    """
    middles, times = np.arange(max(1, round(seconds))) + 0.5, window_times(spectrogram)
    stems = {}
    for index, kind in enumerate(KINDS):
        timeline = np.interp(middles, times, probabilities[:, index])
        stems[kind] = judge(timeline, *head().thresholds[stage][kind])
    return Detection(seconds, stems)


def judge(timeline: NDArray[np.floating], sure: float, maybe: float) -> Detected:
    """Decide from a timeline.

    The probability of a song is that of its surest seconds: SURE of it, but at least SHORTEST.

    Parameters
    ----------
    timeline
        (seconds,), 0 to 1.
    sure, maybe
        Thresholds of PRESENT and UNCERTAIN.
    """
    surest = np.sort(timeline)[::-1]
    whole = float(surest[min(len(surest), max(SHORTEST, round(SURE * len(surest)))) - 1])
    presence = PRESENT if whole >= sure else UNCERTAIN if whole >= maybe else ABSENT
    spans = tuple(hysteresis(timeline, sure, maybe)) if presence == PRESENT else ()
    return Detected(round(whole, 4), presence, tuple(round(float(value), 3) for value in timeline), spans)


def hysteresis(timeline: NDArray[np.floating], sure: float, maybe: float) -> Iterator[tuple[int, int]]:
    """Spans that reach `sure` somewhere and `maybe` throughout.

    Gaps shorter than SHORTEST are closed, short spans dropped.

    Parameters
    ----------
    timeline
        (seconds,), 0 to 1.
    sure, maybe
        Thresholds.

    Yields
    ------
    (start, stop) in seconds.
    """
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
    """Log-odds, of any shape (...), of probabilities; limited to what float32 can distinguish from 0 and 1."""
    inside = np.clip(probability, PROBABILITY_FLOOR, 1 - np.finfo(np.float32).epsneg)
    return np.asarray(scipy.special.logit(inside), np.float32)


# After separation


def confirm(mixture: Spectrogram, stems: Iterable[tuple[str, Spectrogram]], seconds: float) -> Detection:
    """Detect instruments in separated stems: one is present if its stem is loud enough and sounds like it.

    Parameters
    ----------
    mixture
        Spectrogram of the mixture.
    stems
        (name, spectrogram) pairs, as long as the mixture, each released before the next is requested. Kinds without a
        stem of their own are looked for in `other`, whose level can count against them, but not for them.
    seconds
        Length of the song.
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
    """Log-odds per window, from its level, that a stem is more than residue of the others."""
    share = stem.rms**2 * loudness(stem) / (mixture.rms**2 * loudness(mixture) + POWER_FLOOR)
    above = decibels(share + POWER_FLOOR) - REAL_DB
    return np.asarray(above / SLOPE_DB, np.float32)
