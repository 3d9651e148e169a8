"""Train the detector's head: two logistic regressions per kind of instrument.

The first one is trained on the tagger's features of composed music; the second one, for mixtures, on all evidence, from
real and composed music.

    python -m detector train --soundfonts *.sf2 *.sf3 --hits DIR --voices DIR... --calibrate DIR
    python -m ensemble.training.gather games --seconds 16 --bleed off
    python -m ensemble.training.gather sung --sung SONG... --only-sung --seconds 150 --bleed off
    python -m detector compose composed --soundfonts *.sf2 *.sf3 --voices DIR... --songs 60 --seed 5 (and --seed 6)
    python -m detector refine --songs games sung composed --calibrate DIR

Training data of the head (see corpus.py): soundfonts of the Debian packages fluid-soundfont-gm (MIT),
timgm6mb-soundfont (GPL-2) and musescore-general-soundfont-small (MIT); drum hits of sonic-pi-samples (CC0); voices of
klettres-data (GPL-2+), hedgewars-data (GFDL) and three recordings of vocadito (CC BY 4.0, Bittner et al. 2021).

The second regression also learns from htdemucs's stems of the games' music in ensemble/training/songs.toml and of seven
sung songs that the draft's network was trained on, too: five by Jonathan Coulton (CC BY-NC 3.0), one by Fairy Bot
Orchestra (CC BY-NC-SA 3.0), one by Joshua Morin (CC BY-SA 2.5). It is used only together with that network, and so
shares its terms. Both regressions contain statistics of their training data, no sound.

Songs under --calibrate train no weights. They are real music, from which two numbers per kind (Platt scaling) and the
thresholds for mixtures are chosen, at other moments and gains than `evaluate` uses by default.
"""

import argparse
import functools
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import NDArray
from tqdm import tqdm

from detector import classifier, draft_features, evaluate, features
from detector.classifier import FRAME, KINDS, MIXTURE, UNTRIED, WINDOW
from detector.evaluate import Case
from detector.features import RATE, Array
from detector.training import corpus, remix, voices
from detector.training.corpus import OTHERS, Example
from ensemble.stft import SAMPLE_RATE

LOUD_DB, FAINT_DB = -28.0, -45.0  # of a part in a window, relative to the mixture: present above, absent below
ALIVE = 0.02  # share of the median deviation, at or below which channels are dropped
STRENGTH = 0.02  # ridge penalty of the first regression
GENTLE = 0.1  # ridge penalty of the second regression
ODDS, LEVELS, TAGS = 1.0, 0.1, 0.3  # factors on log-odds, levels (dB) and tagger channels in the second regression,
# which decide how strongly the penalty affects their weights
TOGETHER = KINDS[: KINDS.index("other")]  # kinds that the second regression covers, and whose log-odds it uses
STEPS = 200
RECALL = 1.5  # weight of a missed instrument relative to an imagined one
SAFE = 0.98  # share of the true cases that must not be called absent
BOUNDS = (0.2, 0.8)  # of the threshold of "present": so few songs support no others
LEAST = {"vocals": 0.6}  # least threshold of "present": leads of instrumentals reach 0.5, sung songs 0.9 and more
MOST = {"vocals": 0.1}  # largest threshold of "absent": absent vocals may be delivered as silence
ENOUGH = 3  # songs
MOMENTS = range(1, 4)  # random seeds that `evaluate` doesn't use by default; thresholds are chosen with the first
CALIBRATION_CASES = 16  # subsets of stems per song
DEVIATION_FLOOR = 1e-3  # avoids division by zero for constant evidence


def main(argv: Sequence[str] | None = None) -> None:
    """Train the first regression, calibrate it, and save it (python -m detector train)."""
    parser = argparse.ArgumentParser(prog="python -m detector train", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--soundfonts", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--hits", type=Path, required=True, metavar="DIR", help="folder of one-shot drum sounds")
    parser.add_argument(
        "--voices", type=Path, nargs="+", required=True, metavar="DIR", help="folders of unaccompanied voices"
    )
    parser.add_argument("--calibrate", type=Path, required=True, metavar="DIR", help="real songs in stems")
    parser.add_argument(
        "--cache", type=Path, default=Path("data/corpus"), metavar="DIR", help="cache of extracted features"
    )
    parser.add_argument("--songs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    tagged, levels = corpus_features(arguments)
    calibrate(fit(tagged, truths(levels)), arguments.calibrate)


def refine_main(argv: Sequence[str] | None = None) -> None:
    """Train the second regression, calibrate it, and save it (python -m detector refine)."""
    parser = argparse.ArgumentParser(
        prog="python -m detector refine", description=(refine.__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--songs", type=Path, nargs="+", required=True, metavar="DIR", help="folders of songs in stems")
    parser.add_argument(
        "--calibrate", type=Path, required=True, metavar="DIR", help="real songs in stems, other than --songs"
    )
    parser.add_argument("--remixes", type=int, default=8000, help="mixtures of stems from different songs")
    parser.add_argument(
        "--cases", type=int, default=5, help="mixtures of each song's own stems per moment, at three moments"
    )
    refine(parser.parse_args(argv))


# Training data


def corpus_features(arguments: argparse.Namespace) -> tuple[Array, Array]:
    """Extract the features of all songs, using the cache.

    Returns
    -------
    Features, (windows, channels) float32, and levels in dB, (windows, kinds of corpus) float32.
    """
    hits, singers = corpus.load_hits(arguments.hits), list[Array]()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    for number in tqdm(range(arguments.songs), unit="song"):
        path = arguments.cache / f"{arguments.seed}-{number:04}.npz"
        if not path.exists():
            singers = singers or voices.load(arguments.voices)
            found = corpus.examples(arguments.soundfonts, hits, singers, number, arguments.seed)
            tagged, levels = map(np.concatenate, zip(*map(example_features, found), strict=True))
            unfinished = path.with_name(f".{path.name}")
            np.savez(unfinished, tagged=tagged, levels=levels)
            unfinished.replace(path)
    songs = [np.load(arguments.cache / f"{arguments.seed}-{number:04}.npz") for number in range(arguments.songs)]
    return np.concatenate([song["tagged"] for song in songs]), np.concatenate([song["levels"] for song in songs])


def example_features(example: Example) -> tuple[Array, Array]:
    """Extract the features of an example.

    Returns
    -------
    Features, (windows, channels) float32, and levels relative to the mixture in dB, (windows, kinds of corpus) float32.
    """
    spectrogram = features.from_array(example.mixture[None], RATE)
    rows = []
    for start in classifier.window_starts(spectrogram):
        here = slice(round(start * FRAME * RATE), round((start + WINDOW) * FRAME * RATE))
        mixture = evaluate.level_db(example.mixture[here])
        silent = np.zeros(1, np.float32)
        rows.append([evaluate.level_db(example.parts.get(kind, silent)[here]) - mixture for kind in corpus.LIKELY])
    return classifier.tag(spectrogram), np.asarray(rows, np.float32)


def truths(levels: Array) -> NDArray[np.floating]:
    """Whether each kind sounds in each window: 1, 0, or NaN where undecided.

    `other` is any kind without a stem of its own.

    Parameters
    ----------
    levels
        (windows, kinds of corpus) float32 in dB, from `corpus_features`.

    Returns
    -------
    (windows, KINDS) float64.
    """
    columns = {kind: levels[:, index] for index, kind in enumerate(corpus.LIKELY)}
    columns["other"] = np.max([columns[kind] for kind in OTHERS], axis=0)
    level = np.stack([columns[kind] for kind in KINDS], axis=1)
    return np.where(level > LOUD_DB, 1.0, np.where(level < FAINT_DB, 0.0, np.nan))


# Weights


def fit(tagged: Array, truth: NDArray[np.floating]) -> dict[str, Any]:
    """Train the first regression.

    Parameters
    ----------
    tagged
        (windows, channels) float32.
    truth
        (windows, KINDS): 1, 0 or NaN.

    Returns
    -------
    Arrays of the head by name, not yet calibrated.
    """
    deviation = tagged.std(axis=0)
    channels = np.flatnonzero(deviation > ALIVE * np.median(deviation))
    head: dict[str, Any] = {"channels": channels, "mean": tagged.mean(axis=0)[channels], "scale": deviation[channels]}
    standard = np.clip((tagged[:, channels] - head["mean"]) / head["scale"], -classifier.CLIP, classifier.CLIP)
    columns = [regression(standard, truth[:, index]) for index in range(len(KINDS))]
    head["weights"] = np.stack([weights for weights, _ in columns], axis=1)
    head["bias"] = np.asarray([bias for _, bias in columns])
    head[MIXTURE] = np.tile(UNTRIED, (len(KINDS), 1))
    return head


def unmixed(channels: int) -> dict[str, Any]:
    """A second regression that leaves the first one's log-odds unchanged."""
    return {
        "mixing": np.eye(len(KINDS) + channels + draft_features.FEATURES, len(KINDS)),
        "shift": np.zeros(len(KINDS)),
    }


def regression(
    standard: Array, truth: NDArray[np.floating], strength: float = STRENGTH
) -> tuple[NDArray[np.float64], float]:
    """Fit a logistic regression with ridge penalty by L-BFGS.

    Parameters
    ----------
    standard
        (rows, channels) float32.
    truth
        (rows,): 1, 0 or NaN. Rows with NaN are ignored.
    strength
        Of the penalty.

    Returns
    -------
    Weights, (channels,) float64, and the bias.
    """
    known = ~np.isnan(truth)
    rows, sign = standard[known], 2 * truth[known] - 1

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = point[:-1], point[-1]
        margin = sign * (rows @ weights.astype(np.float32) + bias)
        slope = -sign * scipy.special.expit(-margin) / len(rows)
        value = float(np.logaddexp(0, -margin).mean() + strength / 2 * weights @ weights)
        return value, np.append(rows.T @ slope.astype(np.float32) + strength * weights, slope.sum())

    found = scipy.optimize.minimize(
        loss, np.zeros(rows.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": STEPS}
    )
    return found.x[:-1], float(found.x[-1])


def save(head: dict[str, Any]) -> None:
    """Write head.npz, with weights in half precision."""
    small = {name: head[name].astype(np.float16) for name in ("mean", "scale", "weights", "mixing")}
    np.savez_compressed(classifier.HEAD, **head | small | {"channels": head["channels"].astype(np.int16)})
    classifier.head.cache_clear()


# Calibration on real music


def calibrate(head: dict[str, Any], folder: Path) -> None:
    """Calibrate the first regression on real songs, and save it without a second regression. Raises InvalidOption."""
    head |= unmixed(len(head["channels"]))
    save(head)
    odds, truth, songs = case_evidence(song_cases([folder], CALIBRATION_CASES))
    for index, (slope, shift) in scales(odds[:, : len(KINDS)], truth, songs).items():
        head["weights"][:, index] *= slope
        head["bias"][index] = slope * head["bias"][index] + shift
    save(head)


def refine(arguments: argparse.Namespace) -> None:
    """Train the second regression on mixtures of --songs, then calibrate it and choose thresholds on --calibrate."""
    lessons = chain(remix.cases(arguments.songs, arguments.remixes), song_cases(arguments.songs, arguments.cases))
    learn(*case_evidence(lessons)[:2], arguments.calibrate)


def learn(evidence: Array, truth: Array, folder: Path) -> None:
    """Fit the second regression and calibrate it on the songs of a folder.

    Parameters
    ----------
    evidence
        (rows, ...) float32, from `case_evidence`.
    truth
        (rows, KINDS) float32: 1, 0 or NaN.
    folder
        Real songs in stems, none of which the evidence is from.
    """
    with np.load(classifier.HEAD) as shipped:
        head = dict(shipped) | mix(evidence, truth)
    save(head)
    evidence, truth, songs = case_evidence(song_cases([folder], CALIBRATION_CASES))
    mixed = classifier.head().mixed(evidence)
    for index, kind in enumerate(TOGETHER):
        alone, both = (area(truth[:, index], odds[:, index]) for odds in (evidence, mixed))
        print(f"{kind}: AUC of the head alone {alone:.3f}, with all evidence {both:.3f}")
    for index, (slope, shift) in scales(mixed, truth, songs).items():
        if KINDS[index] in TOGETHER:
            head["mixing"][:, index] *= slope
            head["shift"][index] = slope * head["shift"][index] + shift
    save(head)
    wholes = evaluate.tallies(folder, None, CALIBRATION_CASES, MOMENTS[0]).wholes
    head[MIXTURE] = np.asarray(
        [
            thresholds(tally, LEAST.get(kind, 0.0), MOST.get(kind, 1.0)) if enough(tally.true_songs) else UNTRIED
            for kind, tally in wholes.items()
        ]
    )
    save(head)


def song_cases(folders: Sequence[Path], cases: int) -> Iterator[Case]:
    """Subsets of the stems of every song at several random moments. Raises InvalidOption."""
    return chain.from_iterable(evaluate.cases(folder, cases, seed) for folder in folders for seed in MOMENTS)


def case_evidence(cases: Iterable[Case]) -> tuple[Array, Array, NDArray[np.str_]]:
    """Evidence of each window that isn't silent.

    Parameters
    ----------
    cases
        Mixtures, (2, samples) each.

    Returns
    -------
    Evidence, (rows, ...) float32; truths, (rows, KINDS) float32, NaN where undecided; and song names, (rows,).
    """
    found = []
    for case in tqdm(cases, unit="mixture"):
        mixture = case.mixture
        spectrogram = features.from_array(mixture, SAMPLE_RATE)
        rows = classifier.evidence(spectrogram, functools.partial(part_of, mixture), mixture.shape[1])
        truth = np.asarray(evaluate.window_truths(case, spectrogram), np.float32)
        audible = classifier.audible(spectrogram)
        found.append((rows[audible], truth[audible], np.full(audible.sum(), case.song)))
    evidence, truth, songs = map(np.concatenate, zip(*found, strict=True))
    return evidence, truth, songs


def part_of(mixture: Array, start: int, stop: int) -> Array:
    """Samples start to stop of a mixture, (2, stop - start)."""
    return mixture[:, start:stop]


def mix(evidence: Array, truth: Array) -> dict[str, Any]:
    """Fit the second regression for the kinds in TOGETHER; it leaves other kinds unchanged.

    Parameters
    ----------
    evidence
        (rows, ...) float32, from `case_evidence`.
    truth
        (rows, KINDS) float32: 1, 0 or NaN.

    Returns
    -------
    "mixing", (evidence, KINDS), and "shift", (KINDS,).
    """
    channels = evidence.shape[1] - len(KINDS) - draft_features.FEATURES
    known = [kind in TOGETHER for kind in KINDS]
    mean, deviation = evidence.mean(axis=0), evidence.std(axis=0) + DEVIATION_FLOOR
    scale = np.concatenate([
        np.where(known, ODDS, 0), TAGS / deviation[len(KINDS) :][:channels],
        np.full(len(draft_features.STEMS), LEVELS), 1 / deviation[-draft_features.UNITS :],
    ]).astype(np.float32)  # fmt: skip
    rows, found = (evidence - mean) * scale, unmixed(channels)
    for index in np.flatnonzero(known):
        weights, bias = regression(rows, truth[:, index], GENTLE)
        found["mixing"][:, index] = weights * scale
        found["shift"][index] = bias - mean @ (weights * scale)
    return found


def area(truth: Array, odds: Array) -> float:
    """Area under the ROC curve.

    truth, odds: (rows,); rows whose truth is NaN are ignored. Returns NaN if all truths are the same.
    """
    known = ~np.isnan(truth)
    found = evaluate.auc((truth[known] > 0).tolist(), odds[known].tolist())
    return np.nan if found is None else found


def scales(odds: Array, truth: Array, songs: NDArray[np.str_]) -> dict[int, tuple[float, float]]:
    """Fit Platt scaling for each kind with enough songs.

    Parameters
    ----------
    odds
        Log-odds, (rows, KINDS).
    truth
        (rows, KINDS): 1, 0 or NaN.
    songs
        Names, (rows,).

    Returns
    -------
    (slope, shift) by index in KINDS.
    """
    known = ~np.isnan(truth)
    return {
        index: platt(odds[known[:, index], index], truth[known[:, index], index])
        for index in range(len(KINDS))
        if enough(songs[truth[:, index] > 0])
    }


def enough(songs: Iterable[str]) -> bool:
    """Whether there are enough different songs for a general statement."""
    return len(set(songs)) >= ENOUGH


def platt(odds: NDArray[np.floating], truth: NDArray[np.floating]) -> tuple[float, float]:
    """Platt scaling (1999): slope and shift of maximum likelihood for log-odds and truths, both (rows,)."""
    sign = 2 * truth - 1

    def loss(point: NDArray[np.float64]) -> float:
        return float(np.logaddexp(0, -sign * (point[0] * odds + point[1])).mean())

    slope, shift = scipy.optimize.minimize(loss, [1.0, 0.0], method="Nelder-Mead").x
    return float(slope), float(shift)


def thresholds(tally: evaluate.Tally, least: float = 0.0, most: float = 1.0) -> tuple[float, float]:
    """Choose (sure, maybe).

    sure: of the best weighted F measure. maybe: so that SAFE of the true cases are not called absent. least, most:
    their limits.
    """
    scores, truth = np.asarray(tally.scores), np.asarray(tally.truths, bool)
    grid = np.arange(BOUNDS[0], BOUNDS[1] + 0.001, 0.02)
    worth = np.asarray([weighted_f(truth, scores >= level) for level in grid])
    sure = max(least, float(np.median(grid[worth >= worth.max() - 1e-9])))  # the middle of a gap, not its edge
    return sure, min(float(np.quantile(scores[truth], 1 - SAFE)), sure / 2, most)


def weighted_f(truth: NDArray[np.bool_], called_present: NDArray[np.bool_]) -> float:
    """F measure in which recall has RECALL times the weight of precision (van Rijsbergen 1979).

    Both are (cases,) bool.
    """
    right, square = float((truth & called_present).sum()), RECALL**2
    return float((1 + square) * right / max(square * truth.sum() + called_present.sum(), 1.0))
