"""The player's look-ahead limiter: nothing leaves it beyond the ceiling, and what stays below leaves it unchanged.

The arithmetic is the player's (webapp/static/webapp/audio/nodes/limiter.js), frame by frame the same, and both are
tested against the same numbers (tests/vectors/mix.json). For each frame: the gain that brings the louder channel to
the ceiling; the least of it over the look-ahead; its rise held to RELEASE; a mean over the look-ahead, so that it
never steps.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from pipeline.audio.recording import CHANNELS, Audio

CEILING = 1.0  # greatest amplitude that leaves it
LOOKAHEAD = 0.005  # seconds by which sound is late in it; the player's 220 frames at 44.1 kHz
RELEASE = 30.0  # dB per second, how fast the gain comes back


def limited(blocks: Iterable[Audio], rate: int) -> Iterator[Audio]:
    """The blocks (2, n) at `rate`, Hz, limited, as long in all, and not late."""
    limiter = Limiter(rate)
    late = limiter.lookahead
    for block in chain(blocks, [np.zeros((CHANNELS, late), np.float32)]):
        audio = limiter.process(block)
        yield audio[:, late:]
        late = max(0, late - audio.shape[1])


class Limiter:
    """Limits a stream at `rate`, Hz, block by block."""

    def __init__(self, rate: int) -> None:
        self.lookahead = 2 * round(LOOKAHEAD * rate / 2)  # frames; even, for a minimum around a middle
        self._window = self.lookahead + 1  # frames of the minimum and the mean: from arrival to leaving, both included
        self._rise = RELEASE / rate  # dB per frame
        self._sound = np.zeros((CHANNELS, self.lookahead), np.float32)
        self._required = np.zeros(self.lookahead)
        self._held = 0.0
        self._gains = np.ones(self.lookahead)

    def process(self, audio: Audio) -> Audio:
        """What came in `lookahead` frames earlier, (2, n) as the block that comes in."""
        samples = audio.shape[1]
        sound = np.concatenate([self._sound, audio], axis=1)
        gain = self._gain(np.abs(audio).max(axis=0).astype(np.float64))
        self._sound = sound[:, samples:]
        return np.asarray(sound[:, :samples] * gain, np.float32)

    def _gain(self, peak: NDArray[np.float64]) -> NDArray[np.float64]:
        """For the frames that go out while these come in."""
        required = np.concatenate([self._required, 20 * np.log10(CEILING / np.maximum(peak, CEILING))])
        self._required = required[peak.size :]
        least = minimum_filter1d(required, self._window)[self.lookahead // 2 :][: peak.size]
        gains = np.concatenate([self._gains, 10 ** (self._rising(least) / 20)])
        self._gains = gains[peak.size :]
        sums = np.concatenate([[0.0], np.cumsum(gains)])
        return np.asarray((sums[self._window :] - sums[: -self._window]) / self._window)

    def _rising(self, least: NDArray[np.float64]) -> NDArray[np.float64]:
        """The least gain, dB, rising no faster than RELEASE: in coordinates that rise with it, the least so far."""
        rise = self._rise * np.arange(least.size + 1)
        held = np.minimum.accumulate(np.concatenate([[self._held], least]) - rise) + rise
        self._held = float(held[-1])
        return np.asarray(held[1:])
