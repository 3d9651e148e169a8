"""Blending of several models' stems, and stems that sum to the mixture. Pure functions on arrays.

Waveforms are blended rather than masks: Demucs' phase is better than the mixture's, and masks would discard it.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ensemble.stft import Audio, istft, stft

POWER_FLOOR = np.float32(1e-20)  # power below which all stems count as equally silent
ROUNDING = 1e-5  # of the loudest sample (-100 dB): a smaller residual is float32 rounding
LEAST_GAIN = 0.023  # relative error reduction (0.1 dB) that justifies running another model

Weights = Mapping[str, Mapping[str, float]]
"""Weights by model, then by stem."""


def blend(estimates: Mapping[str, Mapping[str, Audio]], weights: Weights, stems: Iterable[str]) -> Audio:
    """Average the models' estimates, stem by stem.

    Parameters
    ----------
    estimates
        Per model and stem a waveform, (channels, samples) float32.
    weights
        Per model the weight of each stem that it contributes to. Weights are relative: the share of a model that is
        missing goes to the others. If no model has weight for a stem, the result is the plain mean of the models that
        name it, or else of all that separate it.
    stems
        Stems to return, in this order.

    Returns
    -------
    (stems, channels, samples) float32.
    """
    return np.stack([_blend(_weighted(estimates, weights, stem)) for stem in stems])


def _weighted(estimates: Mapping[str, Mapping[str, Audio]], weights: Weights, stem: str) -> list[tuple[float, Audio]]:
    named = [(weights[name][stem], audio[stem]) for name, audio in estimates.items() if stem in weights[name]]
    return named or [(0.0, audio[stem]) for audio in estimates.values() if stem in audio]


def _blend(weighted: list[tuple[float, Audio]]) -> Audio:
    total = sum(weight for weight, _ in weighted)
    shares = [weight / total if total else 1 / len(weighted) for weight, _ in weighted]
    if 1.0 in shares:
        return weighted[shares.index(1.0)][1]
    blended: Audio = np.sum(
        [np.float32(share) * audio for share, (_, audio) in zip(shares, weighted, strict=True)], axis=0
    )
    return blended


def moments(true: Audio, estimates: list[Audio]) -> NDArray[np.float64]:
    """Inner products of the errors that several models make on one stem of one song. They add up over songs.

    Parameters
    ----------
    true
        The true stem, (channels, samples).
    estimates
        An estimate of it from each model, all of that shape.

    Returns
    -------
    (models, models) float64, symmetric.
    """
    errors = np.stack([np.ravel(estimate - true) for estimate in estimates]).astype(np.float64)
    return np.asarray(errors @ errors.T)


def fit(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit non-negative blend weights that sum to one and minimise the squared error.

    For weights w that sum to one the error of a blend is w' E w, which has a closed-form minimum on each set of models.
    All sets are tried, since there are few. A larger set must reduce the error by LEAST_GAIN.

    Parameters
    ----------
    errors
        (models, models) float64, a sum of `moments`.

    Returns
    -------
    (models,) float64.
    """
    models = len(errors)
    best, least = np.zeros(models), float("inf")
    for size in range(1, models + 1):
        for chosen in map(list, combinations(range(models), size)):
            weights = np.zeros(models)
            weights[chosen] = _equality_fit(errors[np.ix_(chosen, chosen)])
            error = float(weights @ errors @ weights)
            if weights.min() >= 0 and error < least * (1 - LEAST_GAIN):
                best, least = weights, error
    return best


def _equality_fit(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minimise w' E w over weights that sum to one: E^-1 1, scaled. Models with equal errors share equally."""
    solution = np.linalg.pinv(errors, hermitian=True) @ np.ones(len(errors))
    total = solution.sum()
    return solution / total if total > 0 else np.full(len(errors), 1 / len(errors))


def share_residual(mixture: Audio, estimates: Audio) -> Audio:
    """Distribute what the estimates miss of the mixture among them, so that they sum to it.

    In each bin of the short-time spectrum a source receives the share of the residual that it has of the total power (a
    Wiener gain on the residual); where all are silent, the shares are equal. The transform is linear, so the sum is
    exact up to rounding. A residual within rounding is shared equally, without a transform.

    Parameters
    ----------
    mixture
        (channels, samples) float32.
    estimates
        (sources, channels, samples) float32.

    Returns
    -------
    New estimates, (sources, channels, samples) float32.
    """
    residual = mixture - estimates.sum(axis=0)
    if np.abs(residual).max(initial=0.0) <= ROUNDING * np.abs(mixture).max(initial=0.0):
        shared: Audio = estimates + residual / np.float32(len(estimates))
        return shared
    return estimates + split(residual, estimates)


def split(whole: Audio, parts: Audio) -> Audio:
    """Divide a signal among sources in proportion to their power in each bin.

    This turns a blended `other` into guitar, piano and the rest, in the ratios that a six-stem model finds.

    Parameters
    ----------
    whole
        (channels, samples) float32.
    parts
        Estimates of the sources, (sources, channels, samples) float32.

    Returns
    -------
    (sources, channels, samples) float32, which sum to `whole`.
    """
    spectrum = stft(whole)
    power = np.stack([(np.abs(stft(part)) ** 2).sum(axis=0) for part in parts]) + POWER_FLOOR
    shares = power / power.sum(axis=0)
    return np.stack([istft(share * spectrum, whole.shape[-1]) for share in shares])
