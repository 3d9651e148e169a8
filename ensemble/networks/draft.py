"""SoundScape's own small Open-Unmix, waveforms in and out. ensemble/training/network.py defines the network.

The exported graph returns one mask per stem and frequency band; this module applies them to the spectrum.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ensemble.networks.runtime import Session
from ensemble.stft import BINS, Audio, Spectrum, istft, stft

Masks = NDArray[np.float32]
Hidden = NDArray[np.float32]

MASKS, HIDDEN = "masks", "hidden"  # outputs of the graph

EDGES = (0, 192, 384, 768, 1536)  # bins at which bands become wider; the last is 16.5 kHz
WIDTHS = (1, 2, 8, 32)  # bins per band between two edges
STARTS = np.concatenate([np.arange(*edges, width) for edges, width in zip(pairwise(EDGES), WIDTHS, strict=True)])
BANDS = len(STARTS)
BAND_OF_BIN = np.searchsorted(STARTS, np.arange(BINS), side="right") - 1  # bins above the last edge use its band


class Unmix:
    """Separate signals of any length: (2, samples) float32 -> (sources, 2, samples) float32, which sum to the input."""

    def __init__(self, session: Session) -> None:
        self.session = session
        (self.mixture,) = session.inputs

    def __call__(self, segment: Audio) -> Audio:
        """Separate a signal, (2, samples) float32, into (sources, 2, samples) float32."""
        spectrum = stft(segment)
        return masked(segment, spectrum, self.masks(np.abs(spectrum)))

    def masks(self, magnitudes: NDArray[np.float32]) -> Masks:
        """Masks for a mixture.

        Parameters
        ----------
        magnitudes
            (2, BINS, frames) float32, 0 or more.

        Returns
        -------
        (sources, 2, frames, BANDS) float32, which sum to one over the sources.
        """
        return self.listen(magnitudes)[0]

    def listen(self, magnitudes: NDArray[np.float32]) -> tuple[Masks, Hidden]:
        """Masks for a mixture, and the activations of the recurrent layers.

        Parameters
        ----------
        magnitudes
            (2, BINS, frames) float32, 0 or more.

        Returns
        -------
        Masks, (sources, 2, frames, BANDS) float32, and activations, (frames, units) float32 from -1 to 1.
        """
        answer = self.session.named({self.mixture: magnitudes[None]})
        return answer[MASKS][0], answer[HIDDEN][:, 0]


def masked(segment: Audio, spectrum: Spectrum, masks: Masks) -> Audio:
    """Apply masks to a segment. The last stem is what the others leave.

    Parameters
    ----------
    segment
        (2, samples) float32.
    spectrum
        Its stft, (2, BINS, frames) complex64.
    masks
        (sources, 2, frames, BANDS) float32, 0 to 1.

    Returns
    -------
    (sources, 2, samples) float32, which sum to the segment.
    """
    frames = np.moveaxis(spectrum, -1, -2)  # as spectra lie in memory
    stems = masks[:-1, ..., BAND_OF_BIN] * frames
    first = istft(np.moveaxis(stems, -1, -2), segment.shape[-1])
    return np.concatenate([first, (segment - first.sum(axis=0))[None]])
