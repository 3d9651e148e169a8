"""Fit the head: one logistic regression per kind of stem, on the tagger's features of composed music.

    python -m detector train --soundfonts *.sf2 *.sf3 --hits DIR --voices DIR... --calibrate DIR
    python -m detector refine DIR

What it learns from is made anew (see corpus.py): soundfonts of the Debian packages fluid-soundfont-gm (MIT),
timgm6mb-soundfont (GPL-2) and musescore-general-soundfont-small (MIT); drum hits of sonic-pi-samples (CC0); voices of
klettres-data (GPL-2+), hedgewars-data (GFDL) and three recordings of vocadito (CC BY 4.0, Bittner et al. 2021). The
head holds statistics of them, no sound.
Songs under --calibrate never train those weights: on them, real music, two numbers a kind are chosen (Platt scaling),
and what `refine` alone chooses too: eleven numbers for each of four kinds, which say how log-odds and the levels of
stems (levels.py) are weighed in a mixture, and the thresholds for mixtures. All at other moments and gains than
`evaluate` takes by default.

The head that comes with the project was made by the first command.

What helped most was more of the same: 1000 songs instead of 74, with a gentler penalty. What didn't: vocoded voices
(vocals fell to 0.87), electronic drum kits, recorded metal guitars, a hidden layer, and synthesisers of our own for a
part of the basses and leads (guitar and drums were heard better, but basses imagined after separation).
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import NDArray
from tqdm import tqdm

from detector import classifier, corpus, evaluate, features, levels, voices
from detector.classifier import FRAME, KINDS, MIXTURE, UNTRIED, WINDOW
from detector.corpus import OTHERS, Example
from detector.features import RATE, Array

LOUD_DB, FAINT_DB = -28.0, -45.0  # of a part in a window, relative to the mixture: present above, absent below
ALIVE = 0.02  # of the median deviation: channels that vary less are dropped
STRENGTH = 0.02  # of the ridge penalty
GENTLE = 0.02  # of that of the second regression, which has few numbers to find
ODDS, LEVELS = 0.3, 0.1  # what log-odds and dB are multiplied by there, so that one penalty suits both
TOGETHER = KINDS[: KINDS.index("strings")]  # kinds whose log-odds it reads
SEPARATE = ("vocals", "drums", "bass", "guitar")  # kinds that it is for; levels tell nothing of the others
STEPS = 200
RECALL = 1.5  # a missed instrument counts so many times as much as an imagined one
SAFE = 0.98  # share of the true cases that must not be called absent
BOUNDS = (0.2, 0.8)  # of "present": no threshold beyond what so few songs can tell
LEAST = {"vocals": 0.6}  # "present" starts no lower: the lead of an instrumental reaches 0.5, sung songs 0.9 and more
ENOUGH = 3  # songs
MOMENTS = range(1, 4)  # the seeds of calibration; thresholds are chosen at those of the first


def main(argv: Sequence[str] | None = None) -> None:
    """Compose, listen, fit, calibrate, save."""
    parser = argparse.ArgumentParser(prog="python -m detector train", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--soundfonts", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--hits", type=Path, required=True, metavar="DIR", help="folder of one-shot drum sounds")
    parser.add_argument("--voices", type=Path, nargs="+", required=True, metavar="DIR", help="folders of voices alone")
    parser.add_argument("--calibrate", type=Path, required=True, metavar="DIR", help="real songs in stems")
    parser.add_argument("--cache", type=Path, default=Path("data/corpus"), metavar="DIR", help="what was heard so far")
    parser.add_argument("--songs", type=int, default=1000)
    parser.add_argument("--cases", type=int, default=16, help="subsets of stems per calibration song")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    tagged, levels = heard_corpus(arguments)
    head = fit(tagged, truths(levels))
    save(head)
    calibrate(head, arguments.calibrate, arguments.cases)


def refine_shipped(argv: Sequence[str] | None = None) -> None:
    """Keep the head, choose anew what real songs say of mixtures."""
    parser = argparse.ArgumentParser(
        prog="python -m detector refine", description=(refine.__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="real songs in stems")
    parser.add_argument("--cases", type=int, default=16, help="subsets of stems per song")
    arguments = parser.parse_args(argv)
    with np.load(classifier.HEAD) as shipped:
        refine(dict(shipped), arguments.folder, arguments.cases)


# What there is to learn from


def heard_corpus(arguments: argparse.Namespace) -> tuple[Array, Array]:
    """Features (windows, channels) and levels (windows, kinds of corpus) of every song; heard songs are kept."""
    hits, singers = corpus.load_hits(arguments.hits), list[Array]()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    for number in tqdm(range(arguments.songs), unit="song"):
        path = arguments.cache / f"{arguments.seed}-{number:04}.npz"
        if not path.exists():
            singers = singers or voices.load(arguments.voices)
            found = corpus.examples(arguments.soundfonts, hits, singers, number, arguments.seed)
            tagged, levels = map(np.concatenate, zip(*map(hear_example, found), strict=True))
            unfinished = path.with_name(f".{path.name}")
            np.savez(unfinished, tagged=tagged, levels=levels)
            unfinished.replace(path)
    songs = [np.load(arguments.cache / f"{arguments.seed}-{number:04}.npz") for number in range(arguments.songs)]
    return np.concatenate([song["tagged"] for song in songs]), np.concatenate([song["levels"] for song in songs])


def hear_example(example: Example) -> tuple[Array, Array]:
    """(windows, channels) and the level of each kind in each window in dB relative to the mixture."""
    spectrogram = features.from_array(example.mixture[None], RATE)
    rows = []
    for start in classifier.window_starts(spectrogram):
        here = slice(round(start * FRAME * RATE), round((start + WINDOW) * FRAME * RATE))
        mixture = evaluate.decibels(example.mixture[here])
        silent = np.zeros(1, np.float32)
        rows.append([evaluate.decibels(example.parts.get(kind, silent)[here]) - mixture for kind in corpus.LIKELY])
    return classifier.tag(spectrogram), np.asarray(rows, np.float32)


def truths(levels: Array) -> NDArray[np.floating]:
    """1, 0, or not a number where it can't be said, (windows, KINDS). `other` is whatever has no stem of its own."""
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
    return head | unmixed()


def unmixed() -> dict[str, Any]:
    """A second regression that changes nothing."""
    return {"mixing": np.eye(len(KINDS) + len(levels.STEMS), len(KINDS)), "shift": np.zeros(len(KINDS))}


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


def calibrate(head: dict[str, Any], folder: Path, cases: int) -> None:
    """Scale the answers so that they are probabilities on real music, then refine()."""
    odds, _, truth, songs = gather(folder, cases)
    for index in range(len(KINDS)):
        if enough(songs[truth[:, index] > 0]):
            told = ~np.isnan(truth[:, index])
            slope, shift = platt(odds[told, index], truth[told, index])
            head["weights"][:, index] *= slope
            head["bias"][index] = slope * head["bias"][index] + shift
    save(head)
    refine(head, folder, cases)


def refine(head: dict[str, Any], folder: Path, cases: int) -> None:
    """Fit the second regression, say what it is worth, then choose the thresholds for mixtures."""
    evidence = gather(folder, cases)
    head |= mix(*evidence[:3])
    save(head)
    for kind, (before, after) in unseen(*evidence).items():
        print(f"{kind}: AUC {before:.3f}, with levels, on songs that they weren't fitted on, {after:.3f}")
    wholes = evaluate.tallies(folder, None, cases, MOMENTS[0]).wholes
    head[MIXTURE] = np.asarray(
        [
            thresholds(tally, LEAST.get(kind, 0.0)) if enough(tally.true_songs) else UNTRIED
            for kind, tally in wholes.items()
        ]
    )
    save(head)


def gather(folder: Path, cases: int) -> tuple[Array, Array, Array, NDArray[np.str_]]:
    """Log-odds, levels, truths and songs of many cases, a row per window."""
    heard = [(case.song, hear_case(case)) for seed in MOMENTS for case in evaluate.cases(folder, cases, seed)]
    odds, level, truth = (np.concatenate(parts) for parts in zip(*(rows for _, rows in heard), strict=True))
    return odds, level, truth, np.repeat([song for song, _ in heard], [len(rows[0]) for _, rows in heard])


def mix(odds: Array, level: Array, truth: Array) -> dict[str, Any]:
    """The second regression: what log-odds of all kinds and levels of all stems say of each kind in a mixture."""
    known, found = [KINDS.index(kind) for kind in TOGETHER], unmixed()
    rows = np.concatenate([ODDS * odds[:, known], LEVELS * level], axis=1)
    for index in (KINDS.index(kind) for kind in SEPARATE):
        weights, found["shift"][index] = regression(rows, truth[:, index], GENTLE)
        found["mixing"][known, index] = ODDS * weights[: len(known)]
        found["mixing"][len(KINDS) :, index] = LEVELS * weights[len(known) :]
    return found


def unseen(odds: Array, level: Array, truth: Array, songs: NDArray[np.str_]) -> dict[str, tuple[float, float]]:
    """By kind: AUC without it, and if every song has the second regression that was fitted on the others."""
    mixed = np.zeros_like(odds)
    for song in np.unique(songs):
        here = songs == song
        fitted = replace(classifier.head(), **mix(odds[~here], level[~here], truth[~here]))
        mixed[here] = fitted.mixed(odds[here], level[here])
    found = {}
    for index in (KINDS.index(kind) for kind in SEPARATE):
        told = ~np.isnan(truth[:, index])
        true = (truth[told, index] > 0).tolist()
        areas = (evaluate.auc(true, values[told, index].tolist()) for values in (odds, mixed))
        before, after = (np.nan if area is None else area for area in areas)
        found[KINDS[index]] = before, after
    return found


def hear_case(case: evaluate.Case) -> tuple[Array, Array, Array]:
    """Log-odds, levels and truths of a case, a row per window; what can't be said is not a number."""
    mixture = case.mixture
    spectrogram = features.from_array(mixture, evaluate.RATE)
    heard = classifier.evidence(spectrogram, lambda start, stop: mixture[:, start:stop], mixture.shape[1])
    return *heard, np.asarray(evaluate.window_truths(case, spectrogram), np.float32)


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


def thresholds(tally: evaluate.Tally, least: float = 0.0) -> tuple[float, float]:
    """(sure, maybe): the best weighted F measure, and what keeps SAFE of the true cases from being called absent."""
    scores, truth = np.asarray(tally.scores), np.asarray(tally.truths, bool)
    grid = np.arange(BOUNDS[0], BOUNDS[1] + 0.001, 0.02)
    worth = np.asarray([weighted_f(truth, scores >= level) for level in grid])
    sure = max(least, float(np.median(grid[worth >= worth.max() - 1e-9])))  # the middle of a gap, not its edge
    return sure, min(float(np.quantile(scores[truth], 1 - SAFE)), sure / 2)


def weighted_f(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    """F measure in which recall weighs RECALL times as much as precision (van Rijsbergen 1979)."""
    right, square = float((truth & said).sum()), RECALL**2
    return float((1 + square) * right / max(square * truth.sum() + said.sum(), 1.0))
