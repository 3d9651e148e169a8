"""Fits blend weights on songs whose stems are known: per stem in closed form, with leave-one-song-out validation."""

import argparse
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ensemble import registry
from ensemble.blend import fit, moments
from ensemble.errors import ModelUnavailable
from ensemble.evaluation.datasets import DATASETS, Song, songs
from ensemble.evaluation.evaluate import FOUR, RAW, separator, targets

Matrix = NDArray[np.float64]


@dataclass
class Evidence:
    """Statistics of one stem over songs: the error moments of the models, and the energy of the true stem."""

    errors: list[Matrix] = field(default_factory=list)
    energy: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Fitted weights, and mean SDR in dB over songs: held out, in equal shares, and of each model alone."""

    weights: Matrix
    held_out: float
    equal: float
    alone: list[float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command `fit`."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder of songs")
    parser.add_argument("--dataset", choices=DATASETS, default="folder", help="how DIR is laid out (default: folder)")
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME", help="models to blend")


def run(arguments: argparse.Namespace) -> None:
    """Fit, and print rows for models.toml. Raises SeparationError."""
    if missing := [name for name in arguments.models if not registry.installed(name)]:
        raise ModelUnavailable(f"Not installed: {', '.join(missing)}. See python -m ensemble list.")
    found = gather(songs(arguments.directory, arguments.dataset), arguments.models)
    fits = {stem: fit_stem(evidence) for stem, evidence in found.items() if evidence.errors}
    print(table(fits, arguments.models))


def gather(listed: list[Song], models: list[str]) -> dict[str, Evidence]:
    """Separate every song with every model and collect the evidence by stem."""
    found = {stem: Evidence() for stem in FOUR}
    separators = [separator(name, [RAW]) for name in models]
    for song in tqdm(listed, unit="song", disable=None):
        mixture, truth = song.load()
        answers = [separate(mixture)[RAW] for separate in separators]
        true = targets(truth, list(answers[0]))
        for stem, evidence in found.items():
            if stem in true and true[stem].any():
                evidence.errors.append(moments(true[stem], [answer[stem] for answer in answers]))
                evidence.energy.append(float(np.square(true[stem], dtype=np.float64).sum()))
    return found


def fit_stem(evidence: Evidence) -> Fitted:
    """Fit the weights of one stem. Songs count equally: each one's errors are divided by the energy of its stem."""
    scaled = [error / energy for error, energy in zip(evidence.errors, evidence.energy, strict=True)]
    total = np.sum(scaled, axis=0)
    models = len(total)
    others = [fit(total - song) if len(scaled) > 1 else fit(total) for song in scaled]
    held_out = [sdr(weights, song) for weights, song in zip(others, scaled, strict=True)]
    equal = np.full(models, 1 / models)
    alone = [float(np.mean([sdr(one, song) for song in scaled])) for one in np.eye(models)]
    return Fitted(fit(total), float(np.mean(held_out)), float(np.mean([sdr(equal, song) for song in scaled])), alone)


def sdr(weights: Matrix, relative_error: Matrix) -> float:
    """SDR in dB of a blend.

    Parameters
    ----------
    weights
        (models,) float64, which sum to one.
    relative_error
        (models, models) float64, error moments divided by the energy of the stem.
    """
    return -10 * math.log10(max(float(weights @ relative_error @ weights), 1e-20))


def table(fits: dict[str, Fitted], models: list[str]) -> str:
    """Format the results for people, followed by rows for models.toml."""
    lines = [f"{'stem':8}{'held out':>10}{'equal':>8}" + "".join(f"{name:>16}" for name in models)]
    lines += [
        f"{stem:8}{fitted.held_out:10.2f}{fitted.equal:8.2f}" + "".join(f"{value:16.2f}" for value in fitted.alone)
        for stem, fitted in fits.items()
    ]
    rows = (
        f"members.{name} = {{ "
        + ", ".join(f"{stem} = {fitted.weights[index]:.3f}" for stem, fitted in fits.items())
        + " }"
        for index, name in enumerate(models)
    )
    return "\n".join([*lines, "", *rows])
