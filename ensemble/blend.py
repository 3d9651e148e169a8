"""One estimate per stem from several models' estimates, and estimates that sum to the mixture. Pure functions.

Waveforms are blended, not masks: Demucs' phase is better than the mixture's, and masks would throw it away.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ensemble.stft import Audio, istft, stft

TINY = np.float32(1e-20)  # power below which all stems count as equally silent
ROUNDING = 1e-5  # of the loudest sample (-100 dB), up to which a residual is float32's
LEAST_GAIN = 0.023  # of the error, 0.1 dB, for which another model is worth its time

Weights = Mapping[str, Mapping[str, float]]
"""Weight of each model per stem."""


def blend(estimates: Mapping[str, Mapping[str, Audio]], weights: Weights, stems: Iterable[str]) -> Audio:
    """Weighted mean per stem: {model: {stem: (channels, samples)}} to (stems, channels, samples).

    Weights count relative to each other, so a model that isn't there leaves its share to the rest. A stem for which
    no model has weight is the mean of the models that name it, or else of all that know it.
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
    """Inner products of the errors that the models make on one song: (models, models), which add up over songs."""
    errors = np.stack([np.ravel(estimate - true) for estimate in estimates]).astype(np.float64)
    return np.asarray(errors @ errors.T)


def fit(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (models,), not negative and summing to one, of the blend with the least squared error.

    errors: sums of `moments`. For weights w that sum to one the error of the blend is w' E w, whose least value on a
    set of models has a closed form; every set is tried, being few. A larger set must earn its time by LEAST_GAIN.
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
    """Least w' E w for weights that sum to one: E^-1 1, scaled. Models that make equal errors share equally."""
    solution = np.linalg.pinv(errors, hermitian=True) @ np.ones(len(errors))
    total = solution.sum()
    return solution / total if total > 0 else np.full(len(errors), 1 / len(errors))


def share_residual(mixture: Audio, estimates: Audio) -> Audio:
    """Give what the estimates miss of the mixture back to them, so that they sum to it.

    mixture (channels, samples), estimates (sources, channels, samples); returns new estimates. In every bin of the
    short-time spectrum each source takes the share of the residual that it has of the sources' power (a Wiener gain on
    the residual); where all are silent the shares are equal. The transform is linear, so the sum is exact up to
    rounding. A residual that is no more than that itself is shared equally, without a transform.
    """
    residual = mixture - estimates.sum(axis=0)
    if np.abs(residual).max(initial=0.0) <= ROUNDING * np.abs(mixture).max(initial=0.0):
        shared: Audio = estimates + residual / np.float32(len(estimates))
        return shared
    return estimates + split(residual, estimates)


def split(whole: Audio, parts: Audio) -> Audio:
    """Divide a signal among sources by their power in each bin: (channels, samples), (sources, channels, samples).

    Returns (sources, channels, samples) that sum to `whole`. So a blended `other` becomes guitar, piano and the rest
    by a six-stem model's idea of the three.
    """
    spectrum = stft(whole)
    power = np.stack([(np.abs(stft(part)) ** 2).sum(axis=0) for part in parts]) + TINY
    shares = power / power.sum(axis=0)
    return np.stack([istft(share * spectrum, whole.shape[-1]) for share in shares])
