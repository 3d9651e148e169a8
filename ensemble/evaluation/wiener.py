"""The textbook's multichannel Wiener filter by expectation-maximisation, for comparison only.

After Nugraha, Liutkus and Vincent 2016, as implemented in norbert and Open-Unmix. It reconstructs every stem from the
mixture, which suits models that estimate magnitudes. After Demucs, whose phase is better than the mixture's, it loses
more than it gains.
"""

import numpy as np
from numpy.typing import NDArray

from ensemble.stft import Spectrum

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]
WIENER_FRAMES = 300  # frames filtered at once, which bounds memory
EPSILON = np.finfo(np.float64).eps


def wiener(mixture: Spectrum | Complex, estimates: Spectrum | Complex, iterations: int = 1) -> Complex:
    """Multichannel Wiener filter by expectation-maximisation.

    Spatial covariances are constant over WIENER_FRAMES frames; each such stretch is filtered separately.

    Parameters
    ----------
    mixture
        (channels, bins, frames) complex.
    estimates
        (sources, channels, bins, frames) complex.
    iterations
        Of expectation-maximisation.

    Returns
    -------
    New estimates, (sources, channels, bins, frames) complex128.
    """
    result = np.empty(estimates.shape, np.complex128)
    for start in range(0, mixture.shape[-1], WIENER_FRAMES):
        where = (..., slice(start, start + WIENER_FRAMES))
        result[where] = _wiener(mixture[where], estimates[where], iterations)
    return result


def _wiener(mixture: Spectrum | Complex, estimates: Spectrum | Complex, iterations: int) -> Complex:
    """Filter one stretch, scaled so that the regularisation means the same for every song."""
    scale = max(1.0, float(np.abs(mixture).max(initial=0.0)) / 10)
    observed, result = (spectra.astype(np.complex128) / scale for spectra in (mixture, estimates))
    for _ in range(iterations):
        result = _separate(observed, *local_gaussian_model(result))
    return result * scale


def local_gaussian_model(estimates: Complex) -> tuple[Real, Complex]:
    """M step: spectral densities and spatial covariances of the sources.

    The covariance of a bin is the power-weighted mean over its frames.

    Parameters
    ----------
    estimates
        (sources, channels, bins, frames) complex128.

    Returns
    -------
    Densities, (sources, bins, frames) float64, and covariances, (sources, bins, channels, channels) complex128.
    """
    density = (np.abs(estimates) ** 2).mean(axis=1)
    by_bin = estimates.transpose(0, 2, 1, 3)  # (sources, bins, channels, frames)
    covariance = by_bin @ by_bin.conj().swapaxes(-1, -2)
    return density, covariance / (EPSILON + density.sum(axis=-1))[..., None, None]


def _separate(mixture: Complex, density: Real, covariance: Complex) -> Complex:
    """E step: posterior mean v_j R_j (sum over k of v_k R_k + sqrt(EPSILON) I)^-1 x in each bin."""
    model = np.einsum("sft,sfcd->ftcd", density, covariance)
    model += np.sqrt(EPSILON) * np.eye(len(mixture))
    whitened = np.linalg.solve(model, mixture.transpose(1, 2, 0)[..., None])[..., 0]
    separated: Complex = np.einsum("sft,sfcd,ftd->scft", density, covariance, whitened, optimize=True)
    return separated
