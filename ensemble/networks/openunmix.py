"""Open-Unmix: the networks as waveforms in, waveforms out (Stöter, Uhlich, Liutkus and Mitsufuji 2019).

The exported graph holds one recurrent network per stem, which all read the magnitudes of the mixture. The Fourier
transform is outside it and the phase is the mixture's.
"""

import numpy as np
from numpy.typing import NDArray

from ensemble.networks.runtime import Session
from ensemble.stft import Audio, Spectrum, istft, stft

Magnitudes = NDArray[np.float32]

TINY = np.float32(1e-20)  # magnitude below which a bin has no phase worth keeping


class OpenUnmix:
    """(2, samples) float32 -> (sources, 2, samples) float32, of any length. Sources as in the table."""

    def __init__(self, session: Session) -> None:
        self.session = session
        (self.mixture,), (self.estimates,) = session.inputs, session.outputs

    def __call__(self, segment: Audio) -> Audio:
        """Separate one segment."""
        spectrum = stft(segment)
        return istft(with_phase(self.magnitudes(spectrum), spectrum), segment.shape[-1])

    def magnitudes(self, spectrum: Spectrum) -> Magnitudes:
        """(2, bins, frames) of the mixture -> (sources, 2, bins, frames), not negative: what the networks answer."""
        answer: Magnitudes = self.session.named({self.mixture: np.abs(spectrum)[None]})[self.estimates][0]
        return answer


def with_phase(magnitudes: Magnitudes, spectrum: Spectrum) -> Spectrum:
    """Give magnitudes (sources, 2, bins, frames) the phase of a spectrum (2, bins, frames); silent bins stay silent."""
    phase = spectrum / np.maximum(np.abs(spectrum), TINY)
    return (magnitudes * phase).astype(np.complex64, copy=False)
