"""The player's look-ahead limiter: nothing exceeds the ceiling, and quieter sound passes unchanged.

The algorithm equals the player's (webapp/static/webapp/audio/nodes/limiter.js) frame by frame; both are tested against
tests/vectors/mix.json. Per frame: the gain that brings the louder channel down to the ceiling; its minimum over the
look-ahead; recovery limited to RELEASE; and a mean over the look-ahead, which removes steps.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from pipeline.audio.recording import CHANNELS, Audio

CEILING = 1.0  # largest output amplitude
LOOKAHEAD = 0.005  # seconds of delay; 220 frames at 44.1 kHz, as in the player
RELEASE = 30.0  # recovery of the gain in dB per second


def limited(blocks: Iterable[Audio], rate: int) -> Iterator[Audio]:
    """Limit a stream and compensate the delay.

    Parameters
    ----------
    blocks
        (2, n) float32.
    rate
        Hz.

    Yields
    ------
    Blocks, (2, n) float32, from -CEILING to CEILING and of the same total length.
    """
    limiter = Limiter(rate)
    late = limiter.lookahead
    for block in chain(blocks, [np.zeros((CHANNELS, late), np.float32)]):
        audio = limiter.process(block)
        yield audio[:, late:]
        late = max(0, late - audio.shape[1])


class Limiter:
    """Limits a stream at `rate`, Hz, block by block, with a delay of `lookahead` frames."""

    def __init__(self, rate: int) -> None:
        self.lookahead = 2 * round(LOOKAHEAD * rate / 2)  # frames; even, so that the minimum has a centre
        self._window = self.lookahead + 1  # frames of the minimum and the mean: from input to output, both included
        self._rise = RELEASE / rate  # dB per frame
        self._sound = np.zeros((CHANNELS, self.lookahead), np.float32)
        self._required = np.zeros(self.lookahead)
        self._held = 0.0
        self._gains = np.ones(self.lookahead)

    def process(self, audio: Audio) -> Audio:
        """Take a block, (2, n) float32, and return as many limited frames, (2, n), `lookahead` frames late."""
        samples = audio.shape[1]
        sound = np.concatenate([self._sound, audio], axis=1)
        gain = self._gain(np.abs(audio).max(axis=0).astype(np.float64))
        self._sound = sound[:, samples:]
        return np.asarray(sound[:, :samples] * gain, np.float32)

    def _gain(self, peak: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gains of the frames that leave while these arrive."""
        required = np.concatenate([self._required, 20 * np.log10(CEILING / np.maximum(peak, CEILING))])
        self._required = required[peak.size :]
        least = minimum_filter1d(required, self._window)[self.lookahead // 2 :][: peak.size]
        gains = np.concatenate([self._gains, 10 ** (self._rising(least) / 20)])
        self._gains = gains[peak.size :]
        sums = np.concatenate([[0.0], np.cumsum(gains)])
        return np.asarray((sums[self._window :] - sums[: -self._window]) / self._window)

    def _rising(self, least: NDArray[np.float64]) -> NDArray[np.float64]:
        """Limit the recovery of the gain, in dB, to RELEASE.

        A running minimum in coordinates that rise at that rate.
        """
        rise = self._rise * np.arange(least.size + 1)
        held = np.minimum.accumulate(np.concatenate([[self._held], least]) - rise) + rise
        self._held = float(held[-1])
        return np.asarray(held[1:])
