"""Less bleed between stems, by two filters on their spectra. Pure functions on arrays.

wiener: the textbook multichannel Wiener filter by expectation-maximisation (Nugraha, Liutkus and Vincent 2016; the
same computation as in norbert and Open-Unmix). It rebuilds every stem from the mixture, which suits models that give
magnitudes. After Demucs, whose phase is better than the mixture's, it loses more than it gains.

remove_bleed: works on the estimates themselves, and never on the mixture.
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

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]


EXPONENT = 1.0  # of the magnitudes in the mask
BANDS = 8  # in which correlation is measured, equally wide in pitch above
LOWEST = 4  # bins of the first band
FRAMES = 172  # frames (4 seconds) over which it is measured
WIENER_FRAMES = 300  # frames of one expectation-maximisation, which bounds its memory
EPSILON = np.finfo(np.float64).eps
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


def wiener(mixture: Spectrum | Complex, estimates: Spectrum | Complex, iterations: int = 1) -> Complex:
    """Multichannel Wiener filter by expectation-maximisation.

    mixture (channels, bins, frames), estimates (sources, channels, bins, frames); returns new estimates, complex128.
    Spatial covariances are constant over WIENER_FRAMES frames, each stretch being filtered on its own.
    """
    result = np.empty(estimates.shape, np.complex128)
    for start in range(0, mixture.shape[-1], WIENER_FRAMES):
        where = (..., slice(start, start + WIENER_FRAMES))
        result[where] = _wiener(mixture[where], estimates[where], iterations)
    return result


def _wiener(mixture: Spectrum | Complex, estimates: Spectrum | Complex, iterations: int) -> Complex:
    """One stretch, brought to a level at which the regularisation means the same for every song."""
    scale = max(1.0, float(np.abs(mixture).max(initial=0.0)) / 10)
    observed, result = (spectra.astype(np.complex128) / scale for spectra in (mixture, estimates))
    for _ in range(iterations):
        result = _separate(observed, *local_gaussian_model(result))
    return result * scale


def local_gaussian_model(estimates: Complex) -> tuple[Real, Complex]:
    """M step: power spectral densities (sources, bins, frames), covariances (sources, bins, channels, channels).

    The spatial covariance is the power-weighted mean over frames of each bin.
    """
    density = (np.abs(estimates) ** 2).mean(axis=1)
    by_bin = estimates.transpose(0, 2, 1, 3)  # (sources, bins, channels, frames)
    covariance = by_bin @ by_bin.conj().swapaxes(-1, -2)
    return density, covariance / (EPSILON + density.sum(axis=-1))[..., None, None]


def _separate(mixture: Complex, density: Real, covariance: Complex) -> Complex:
    """E step: posterior mean v_j R_j (sum over k of v_k R_k + sqrt(EPSILON) I)^-1 x in every bin."""
    model = np.einsum("sft,sfcd->ftcd", density, covariance)
    model += np.sqrt(EPSILON) * np.eye(len(mixture))
    whitened = np.linalg.solve(model, mixture.transpose(1, 2, 0)[..., None])[..., 0]
    separated: Complex = np.einsum("sft,sfcd,ftd->scft", density, covariance, whitened, optimize=True)
    return separated
