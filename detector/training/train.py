"""Fit the head: one logistic regression per kind of stem, on the tagger's features of composed music; then another one
for mixtures, on all that is heard of mixtures of real and composed music.

    python -m detector train --soundfonts *.sf2 *.sf3 --hits DIR --voices DIR... --calibrate DIR
    python -m ensemble.training.gather games --seconds 16 --bleed off
    python -m ensemble.training.gather sung --sung SONG... --only-sung --seconds 150 --bleed off
    python -m detector compose composed --soundfonts *.sf2 *.sf3 --voices DIR... --songs 60 --seed 5 (and --seed 6)
    python -m detector refine --songs games sung composed --calibrate DIR

What the head learns from is made anew (see corpus.py): soundfonts of the Debian packages fluid-soundfont-gm (MIT),
timgm6mb-soundfont (GPL-2) and musescore-general-soundfont-small (MIT); drum hits of sonic-pi-samples (CC0); voices of
klettres-data (GPL-2+), hedgewars-data (GFDL) and three recordings of vocadito (CC BY 4.0, Bittner et al. 2021).
Both regressions hold statistics of what they learnt from, no sound.
What tells of mixtures learns also from htdemucs's stems of the games' music in ensemble/training/songs.toml and of
seven sung songs that made the draft's network, too: five by Jonathan Coulton (CC BY-NC 3.0), one by Fairy Bot
Orchestra (CC BY-NC-SA 3.0), one by Joshua Morin (CC BY-SA 2.5). It is used with that network alone, whose terms it
therefore shares. Songs under --calibrate train no weights: on them, real music, two numbers a kind are chosen (Platt
scaling), and the thresholds for mixtures. All at other moments and gains than `evaluate` takes by default.

What helped the head most was more of the same: 1000 songs instead of 74, with a gentler penalty. What didn't: vocoded
voices (vocals fell to 0.87), electronic drum kits, recorded metal guitars, a hidden layer, and synthesisers of our own
for a part of the basses and leads (guitar and drums were heard better, but basses imagined after separation).
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
ALIVE = 0.02  # of the median deviation: channels that vary less are dropped
STRENGTH = 0.02  # of the ridge penalty
GENTLE = 0.1  # of that of the second regression
ODDS, LEVELS, TAGS = 1.0, 0.1, 0.3  # what log-odds, dB and the tagger's channels are multiplied by there: weights that
# the penalty spares or spends
TOGETHER = KINDS[: KINDS.index("other")]  # kinds that it is for, and whose log-odds it reads
STEPS = 200
RECALL = 1.5  # a missed instrument counts so many times as much as an imagined one
SAFE = 0.98  # share of the true cases that must not be called absent
BOUNDS = (0.2, 0.8)  # of "present": no threshold beyond what so few songs can tell
LEAST = {"vocals": 0.6}  # "present" starts no lower: the lead of an instrumental reaches 0.5, sung songs 0.9 and more
MOST = {"vocals": 0.1}  # "absent" ends no higher: what is called so in a mixture may come as silence
ENOUGH = 3  # songs
MOMENTS = range(1, 4)  # seeds: none that `evaluate` has by default; thresholds are chosen at those of the first
CALIBRATION_CASES = 16  # subsets of stems a song
DEVIATION_FLOOR = 1e-3


def main(argv: Sequence[str] | None = None) -> None:
    """Compose, listen, fit, calibrate, save."""
    parser = argparse.ArgumentParser(prog="python -m detector train", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--soundfonts", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--hits", type=Path, required=True, metavar="DIR", help="folder of one-shot drum sounds")
    parser.add_argument("--voices", type=Path, nargs="+", required=True, metavar="DIR", help="folders of voices alone")
    parser.add_argument("--calibrate", type=Path, required=True, metavar="DIR", help="real songs in stems")
    parser.add_argument("--cache", type=Path, default=Path("data/corpus"), metavar="DIR", help="what was heard so far")
    parser.add_argument("--songs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    tagged, levels = corpus_features(arguments)
    calibrate(fit(tagged, truths(levels)), arguments.calibrate)


def refine_main(argv: Sequence[str] | None = None) -> None:
    """Listen, fit, calibrate, save."""
    parser = argparse.ArgumentParser(
        prog="python -m detector refine", description=(refine.__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--songs", type=Path, nargs="+", required=True, metavar="DIR", help="folders of songs in stems")
    parser.add_argument("--calibrate", type=Path, required=True, metavar="DIR", help="real songs in stems, no others")
    parser.add_argument("--remixes", type=int, default=8000, help="mixtures of stems from different songs")
    parser.add_argument("--cases", type=int, default=5, help="mixtures of each song's own stems, at three moments")
    refine(parser.parse_args(argv))


# What there is to learn from


def corpus_features(arguments: argparse.Namespace) -> tuple[Array, Array]:
    """Features (windows, channels) and levels (windows, kinds of corpus) of every song; heard songs are kept."""
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
    """(windows, channels) and the level of each kind in each window in dB relative to the mixture."""
    spectrogram = features.from_array(example.mixture[None], RATE)
    rows = []
    for start in classifier.window_starts(spectrogram):
        here = slice(round(start * FRAME * RATE), round((start + WINDOW) * FRAME * RATE))
        mixture = evaluate.level_db(example.mixture[here])
        silent = np.zeros(1, np.float32)
        rows.append([evaluate.level_db(example.parts.get(kind, silent)[here]) - mixture for kind in corpus.LIKELY])
    return classifier.tag(spectrogram), np.asarray(rows, np.float32)


def truths(levels: Array) -> NDArray[np.floating]:
    """1, 0, or not a number where it can't be called_present, (windows, KINDS). `other` is whatever has no stem of its own."""
    columns = {kind: levels[:, index] for index, kind in enumerate(corpus.LIKELY)}
    columns["other"] = np.max([columns[kind] for kind in OTHERS], axis=0)
    level = np.stack([columns[kind] for kind in KINDS], axis=1)
    return np.where(level > LOUD_DB, 1.0, np.where(level < FAINT_DB, 0.0, np.nan))


# The weights


def fit(tagged: Array, truth: NDArray[np.floating]) -> dict[str, Any]:
    """The head's arrays, not yet calibrated."""
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
    """A second regression that changes nothing."""
    return {
        "mixing": np.eye(len(KINDS) + channels + draft_features.FEATURES, len(KINDS)),
        "shift": np.zeros(len(KINDS)),
    }


def regression(
    standard: Array, truth: NDArray[np.floating], strength: float = STRENGTH
) -> tuple[NDArray[np.float64], float]:
    """Weights and bias of the ridge-penalised logistic regression; rows of unknown truth are left out."""
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
    """Write head.npz; weights in half precision."""
    small = {name: head[name].astype(np.float16) for name in ("mean", "scale", "weights", "mixing")}
    np.savez_compressed(classifier.HEAD, **head | small | {"channels": head["channels"].astype(np.int16)})
    classifier.head.cache_clear()


# Real music


def calibrate(head: dict[str, Any], folder: Path) -> None:
    """Scale what the head says so that it is probabilities on real music, and save it, yet without a second regression.

    Raises InvalidOption.
    """
    head |= unmixed(len(head["channels"]))
    save(head)
    odds, truth, songs = case_evidence(song_cases([folder], CALIBRATION_CASES))
    for index, (slope, shift) in scales(odds[:, : len(KINDS)], truth, songs).items():
        head["weights"][:, index] *= slope
        head["bias"][index] = slope * head["bias"][index] + shift
    save(head)


def refine(arguments: argparse.Namespace) -> None:
    """Fit the second regression on mixtures of --songs, then scale it and choose thresholds on --calibrate."""
    lessons = chain(remix.cases(arguments.songs, arguments.remixes), song_cases(arguments.songs, arguments.cases))
    learn(*case_evidence(lessons)[:2], arguments.calibrate)


def learn(evidence: Array, truth: Array, folder: Path) -> None:
    """Do that with what was heard of --songs."""
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
    """Subsets of the stems of every song, at several moments. Raises InvalidOption."""
    return chain.from_iterable(evaluate.cases(folder, cases, seed) for folder in folders for seed in MOMENTS)


def case_evidence(cases: Iterable[Case]) -> tuple[Array, Array, NDArray[np.str_]]:
    """Evidence, truths (not a number where it can't be called_present) and songs, a row per window that isn't silent."""
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
    """As networks read what is in memory."""
    return mixture[:, start:stop]


def mix(evidence: Array, truth: Array) -> dict[str, Any]:
    """The second regression: what all evidence says of each kind in TOGETHER; the other kinds stay as they are."""
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
    """Area under the ROC curve, where the truth is known; not a number if all is true or nothing."""
    known = ~np.isnan(truth)
    found = evaluate.auc((truth[known] > 0).tolist(), odds[known].tolist())
    return np.nan if found is None else found


def scales(odds: Array, truth: Array, songs: NDArray[np.str_]) -> dict[int, tuple[float, float]]:
    """Slope and shift of each kind that enough songs tell of, by its place in KINDS."""
    known = ~np.isnan(truth)
    return {
        index: platt(odds[known[:, index], index], truth[known[:, index], index])
        for index in range(len(KINDS))
        if enough(songs[truth[:, index] > 0])
    }


def enough(songs: Iterable[str]) -> bool:
    """Whether songs that hold an instrument tell more than about one or two of them."""
    return len(set(songs)) >= ENOUGH


def platt(odds: NDArray[np.floating], truth: NDArray[np.floating]) -> tuple[float, float]:
    """Slope and shift that make log-odds the likeliest (Platt 1999)."""
    sign = 2 * truth - 1

    def loss(point: NDArray[np.float64]) -> float:
        return float(np.logaddexp(0, -sign * (point[0] * odds + point[1])).mean())

    slope, shift = scipy.optimize.minimize(loss, [1.0, 0.0], method="Nelder-Mead").x
    return float(slope), float(shift)


def thresholds(tally: evaluate.Tally, least: float = 0.0, most: float = 1.0) -> tuple[float, float]:
    """(sure, maybe): the best weighted F measure, and what keeps SAFE of the true cases from being called absent."""
    scores, truth = np.asarray(tally.scores), np.asarray(tally.truths, bool)
    grid = np.arange(BOUNDS[0], BOUNDS[1] + 0.001, 0.02)
    worth = np.asarray([weighted_f(truth, scores >= level) for level in grid])
    sure = max(least, float(np.median(grid[worth >= worth.max() - 1e-9])))  # the middle of a gap, not its edge
    return sure, min(float(np.quantile(scores[truth], 1 - SAFE)), sure / 2, most)


def weighted_f(truth: NDArray[np.bool_], called_present: NDArray[np.bool_]) -> float:
    """F measure in which recall weighs RECALL times as much as precision (van Rijsbergen 1979)."""
    right, square = float((truth & called_present).sum()), RECALL**2
    return float((1 + square) * right / max(square * truth.sum() + called_present.sum(), 1.0))
