"""Our own Open-Unmix: waveforms in, waveforms out (the network itself is in network.py).

The exported graph answers one mask per stem and band of frequencies; here they are laid upon the spectrum.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ensemble.networks.runtime import Session
from ensemble.stft import BINS, Audio, Spectrum, istft, stft

Masks = NDArray[np.float32]
Hidden = NDArray[np.float32]

MASKS, HIDDEN = "masks", "hidden"  # what the graph answers

EDGES = (0, 192, 384, 768, 1536)  # bins where bands grow wider; the last is 16.5 kHz
WIDTHS = (1, 2, 8, 32)  # bins of a band between two edges
STARTS = np.concatenate([np.arange(*edges, width) for edges, width in zip(pairwise(EDGES), WIDTHS, strict=True)])
BANDS = len(STARTS)
BAND_OF_BIN = np.searchsorted(STARTS, np.arange(BINS), side="right") - 1  # those above the last edge share its band


class Unmix:
    """(2, samples) float32 -> (sources, 2, samples) float32 that sum to it, of any length. Sources as in the table."""

    def __init__(self, session: Session) -> None:
        self.session = session
        (self.mixture,) = session.inputs

    def __call__(self, segment: Audio) -> Audio:
        """Separate one segment."""
        spectrum = stft(segment)
        return masked(segment, spectrum, self.masks(np.abs(spectrum)))

    def masks(self, magnitudes: NDArray[np.float32]) -> Masks:
        """(2, BINS, frames) of the mixture -> (sources, 2, frames, BANDS), which sum to one."""
        return self.listen(magnitudes)[0]

    def listen(self, magnitudes: NDArray[np.float32]) -> tuple[Masks, Hidden]:
        """The same, and what the recurrent layers make of each frame: (frames, units), from -1 to 1."""
        answer = self.session.named({self.mixture: magnitudes[None]})
        return answer[MASKS][0], answer[HIDDEN][:, 0]


def masked(segment: Audio, spectrum: Spectrum, masks: Masks) -> Audio:
    """A segment (2, samples), with its spectrum, in stems (sources, 2, samples), of which the last is what is left."""
    frames = np.moveaxis(spectrum, -1, -2)  # as spectra lie in memory
    stems = masks[:-1, ..., BAND_OF_BIN] * frames
    first = istft(np.moveaxis(stems, -1, -2), segment.shape[-1])
    return np.concatenate([first, (segment - first.sum(axis=0))[None]])
