"""Open-Unmix, waveforms in and out (Stöter, Uhlich, Liutkus and Mitsufuji 2019, "Open-Unmix").

The exported graph contains one recurrent network per stem; all read the magnitudes of the mixture. The Fourier
transform is outside the graph, and the phase is the mixture's.
"""

import numpy as np
from numpy.typing import NDArray

from ensemble.networks.runtime import Session
from ensemble.stft import Audio, Spectrum, istft, stft

Magnitudes = NDArray[np.float32]

MAGNITUDE_FLOOR = np.float32(1e-20)  # below it a bin has no meaningful phase


class OpenUnmix:
    """Separate signals of any length: (2, samples) float32 -> (sources, 2, samples) float32."""

    def __init__(self, session: Session) -> None:
        self.session = session
        (self.mixture,), (self.estimates,) = session.inputs, session.outputs

    def __call__(self, segment: Audio) -> Audio:
        """Separate a signal, (2, samples) float32, into (sources, 2, samples) float32."""
        spectrum = stft(segment)
        return istft(with_phase(self.magnitudes(spectrum), spectrum), segment.shape[-1])

    def magnitudes(self, spectrum: Spectrum) -> Magnitudes:
        """Magnitudes of the stems.

        Parameters
        ----------
        spectrum
            Of the mixture, (2, BINS, frames) complex64.

        Returns
        -------
        (sources, 2, BINS, frames) float32, 0 or more.
        """
        answer: Magnitudes = self.session.named({self.mixture: np.abs(spectrum)[None]})[self.estimates][0]
        return answer


def with_phase(magnitudes: Magnitudes, spectrum: Spectrum) -> Spectrum:
    """Combine magnitudes with the phase of a spectrum. Silent bins stay silent.

    Parameters
    ----------
    magnitudes
        (sources, 2, bins, frames) float32, 0 or more.
    spectrum
        (2, bins, frames) complex64.

    Returns
    -------
    (sources, 2, bins, frames) complex64.
    """
    phase = spectrum / np.maximum(np.abs(spectrum), MAGNITUDE_FLOOR)
    return (magnitudes * phase).astype(np.complex64, copy=False)
