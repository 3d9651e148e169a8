"""Bleed removal: two filters on the estimated stems, in the short-time spectrum. Pure functions on arrays.

1. Unmix. Within a frequency band and a few seconds, correlation between two stems is bleed, mostly of the louder stem
   into the quieter one. With K_ij the correlation of stems i and j in such a patch and P_i = K_ii their powers,
       y_i  <-  y_i - unmix * sum over j of  K_ij / (P_i + P_j) * y_j
2. Mask. In each bin, a gain that acts only where the other stems drown stem i:
       y_i  <-  y_i * A_i / (A_i + mask * sum over j of A_j),          A the magnitude to the power EXPONENT

The filters never touch the mixture. The removed signal is not given to another stem, where it would be bleed again; it
becomes the residual, so that the stems and the residual still sum to the mixture.
"""

import numpy as np
from numpy.typing import NDArray

from ensemble.registry import Bleed
from ensemble.stft import BINS, Audio, Spectrum, istft, stft

EXPONENT = 1.0  # of the magnitudes in the mask
BANDS = 8  # in which correlation is measured; all but the first are equally wide in pitch
LOWEST = 4  # bins of the first band
FRAMES = 172  # frames (4 seconds) over which correlation is measured
POWER_FLOOR = 1e-12  # avoids 0 / 0 on silence


def remove_bleed(mixture: Audio, estimates: Audio, bleed: Bleed) -> tuple[Audio, Audio]:
    """Filter separated stems.

    Parameters
    ----------
    mixture
        (channels, samples) float32 at SAMPLE_RATE.
    estimates
        (sources, channels, samples) float32.
    bleed
        Strengths of the two filters.

    Returns
    -------
    The filtered stems, (sources, channels, samples), and the residual, (channels, samples), both float32. Together they
    sum to the mixture, up to rounding.
    """
    spectra = unmix(stft(estimates), bleed.unmix)
    spectra *= mask(spectra, bleed.mask)
    filtered = istft(spectra, mixture.shape[-1])
    return filtered, mixture - filtered.sum(axis=0)


def unmix(spectra: Spectrum, strength: float) -> Spectrum:
    """Subtract from each source its correlation with the others.

    Parameters
    ----------
    spectra
        (sources, channels, BINS, frames) complex64.
    strength
        Share of the correlation to subtract, 0 to 1.

    Returns
    -------
    New spectra of the same shape and type.
    """
    result = spectra.copy()
    for band in bands():
        for start in range(0, spectra.shape[-1], FRAMES):
            where = (..., slice(*band), slice(start, start + FRAMES))
            result[where] -= np.tensordot(leaks(spectra[where], strength), spectra[where], axes=1)
    return result


def leaks(spectra: Spectrum, strength: float) -> NDArray[np.float32]:
    """Estimate how much of each source leaks into each other one.

    Parameters
    ----------
    spectra
        (sources, ...) complex64.
    strength
        Factor on the result, 0 to 1.

    Returns
    -------
    (sources, sources) float32; element (i, j) is the gain of source j in source i. The diagonal is 0.
    """
    flat = spectra.reshape(len(spectra), -1)
    correlation = (flat @ flat.conj().T).real.astype(np.float64)
    power = np.diag(correlation)
    shared = strength * correlation / (power[:, None] + power + POWER_FLOOR)
    return (shared - np.diag(np.diag(shared))).astype(np.float32)


def mask(spectra: Spectrum, weight: float) -> NDArray[np.float32]:
    """Compute a soft mask per source and bin. All channels share it, so that the stereo image stays put.

    Parameters
    ----------
    spectra
        (sources, channels, bins, frames) complex64.
    weight
        Weight of the other sources in the denominator, 0 or more.

    Returns
    -------
    (sources, 1, bins, frames) float32 gains from 0 to 1.
    """
    power = (spectra.real**2 + spectra.imag**2).sum(axis=1, keepdims=True)
    level = power ** (EXPONENT / 2) + np.float32(POWER_FLOOR)
    gain: NDArray[np.float32] = level / (level + np.float32(weight) * (level.sum(axis=0) - level))
    return gain


def bands() -> list[tuple[int, int]]:
    """First bin, and bin after the last, of each band."""
    edges = np.geomspace(LOWEST, BINS, BANDS + 1).round().astype(int)
    edges[0] = 0
    return list(zip(edges.tolist(), edges.tolist()[1:], strict=False))
