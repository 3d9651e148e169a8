"""Less bleed between stems. Pure functions on arrays that work on the estimates themselves, never on the mixture.

1. Unmix.  What two stems have in common within a band and a few seconds is bleed of one into the other, mostly of
   the louder into the quieter one. With K_ij the correlation of stems i and j there and P their powers K_ii,
       y_i  <-  y_i - unmix * sum over j of  K_ij / (P_i + P_j) * y_j
2. Mask.   In every bin, a gain that only bites where the others drown a stem:
       y_i  <-  y_i * A_i / (A_i + mask * sum over j of A_j),          A the magnitude to the power EXPONENT

What is removed is not given to another stem, where it would be bleed again: it is the residual, so that the stems and
the residual still sum to the mixture.
"""

import numpy as np
from numpy.typing import NDArray

from ensemble.registry import Bleed
from ensemble.stft import BINS, Audio, Spectrum, istft, stft

EXPONENT = 1.0  # of the magnitudes in the mask
BANDS = 8  # in which correlation is measured, equally wide in pitch above
LOWEST = 4  # bins of the first band
FRAMES = 172  # frames (4 seconds) over which it is measured
TINY = 1e-12  # power of nothing, which keeps silence from being divided by itself


def remove_bleed(mixture: Audio, estimates: Audio, bleed: Bleed) -> tuple[Audio, Audio]:
    """Filter waveforms: (channels, samples) and (sources, channels, samples) to (new estimates, residual).

    The new estimates and the residual, (channels, samples), sum to the mixture up to rounding.
    """
    spectra = unmix(stft(estimates), bleed.unmix)
    spectra *= mask(spectra, bleed.mask)
    filtered = istft(spectra, mixture.shape[-1])
    return filtered, mixture - filtered.sum(axis=0)


def unmix(spectra: Spectrum, strength: float) -> Spectrum:
    """Subtract from each source what correlates with the others, (sources, channels, bins, frames) in and out."""
    result = spectra.copy()
    for band in bands():
        for start in range(0, spectra.shape[-1], FRAMES):
            where = (..., slice(*band), slice(start, start + FRAMES))
            result[where] -= np.tensordot(leaks(spectra[where], strength), spectra[where], axes=1)
    return result


def leaks(spectra: Spectrum, strength: float) -> NDArray[np.float32]:
    """How much of source j is in source i: (sources, sources), the diagonal 0, from (sources, ...) spectra."""
    flat = spectra.reshape(len(spectra), -1)
    correlation = (flat @ flat.conj().T).real.astype(np.float64)
    power = np.diag(correlation)
    shared = strength * correlation / (power[:, None] + power + TINY)
    return (shared - np.diag(np.diag(shared))).astype(np.float32)


def mask(spectra: Spectrum, weight: float) -> NDArray[np.float32]:
    """Gain per bin, (sources, 1, bins, frames) in 0 to 1, channels together so that nothing moves in the image."""
    power = (spectra.real**2 + spectra.imag**2).sum(axis=1, keepdims=True)
    level = power ** (EXPONENT / 2) + np.float32(TINY)
    gain: NDArray[np.float32] = level / (level + np.float32(weight) * (level.sum(axis=0) - level))
    return gain


def bands() -> list[tuple[int, int]]:
    """First bin and bin after the last of each band."""
    edges = np.geomspace(LOWEST, BINS, BANDS + 1).round().astype(int)
    edges[0] = 0
    return list(zip(edges.tolist(), edges.tolist()[1:], strict=False))
