"""How loud voices, drums, bass and the rest are in a mixture, by the masks of the network that drafts are made of.

Nothing is separated: the powers of the bands that it gives to each stem are enough, which takes a third of the time.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detector.features import SILENCE, Array, Read
from ensemble import registry, runtime
from ensemble.stft import HOP, stft
from ensemble.unmix import STARTS, Unmix

NETWORK = "unmix"
RATE = 44_100  # Hz, of the network
STEMS = registry.model(NETWORK).stems
LEVEL_DB = -20.0  # full-scale RMS: the network too hears quiet music differently
FRAME = HOP / RATE  # seconds
FRAMES = 432  # heard at once, ten seconds
AUDIBLE = 2  # bins below it, up to 20 Hz, are no sound
FAINTEST, LOUDEST = -30.0, 3.0  # dB: beyond them levels tell nothing more, nor may they, of what the network mishears
TINY = 1e-12  # power that is silence

Heard = Callable[[int], None]
"""heard(samples): how many have been heard so far"""


def installed() -> bool:
    """Whether the network is there. Who may not use its weights removes them."""
    return registry.installed(NETWORK)


def powers(read: Read, samples: int, rms: float, heard: Heard = lambda _: None) -> Array:
    """(frames, 1 + STEMS): power of the mixture and of each stem's share, a frame every HOP samples.

    read(start, stop): (2, stop - start) at RATE. rms: of the whole, which is brought to LEVEL_DB.
    Raises ModelUnavailable.
    """
    network = Unmix(runtime.session(registry.verified(NETWORK)))
    gain = np.float32(10 ** (LEVEL_DB / 20) / rms if rms > SILENCE else 1.0)
    step, found = FRAMES * HOP, []
    for start in range(0, samples, step):
        audio = gain * read(start, min(start + step, samples))
        magnitudes = np.abs(stft(np.broadcast_to(audio, (2, audio.shape[1]))))
        found.append(shares(magnitudes, network.masks(magnitudes))[:FRAMES])
        heard(min(start + step, samples))
    return np.concatenate(found)


def shares(magnitudes: Array, masks: Array) -> Array:
    """Powers, as above, from magnitudes (2, bins, frames) and masks (stems, 2, frames, bands)."""
    power = np.square(np.moveaxis(magnitudes, -1, -2))
    power[..., :AUDIBLE] = 0
    bands = np.add.reduceat(power, STARTS, axis=-1)
    stems = np.einsum("sctb,sctb,ctb->ts", masks, masks, bands)
    return np.concatenate([bands.sum(axis=(0, 2))[:, None], stems], axis=1)


def in_windows(found: Array, starts: NDArray[np.floating], stops: NDArray[np.floating]) -> Array:
    """(windows, STEMS): levels in dB relative to the mixture from `starts` to `stops`, both in seconds."""
    sums = np.concatenate([np.zeros((1, found.shape[1])), np.cumsum(found, axis=0, dtype=np.float64)])
    first, last = (np.clip(np.rint(times / FRAME).astype(int), 0, len(found)) for times in (starts, stops))
    first = np.minimum(first, len(found) - 1)
    power = sums[np.maximum(last, first + 1)] - sums[first]
    level = 10 * np.log10((power[:, 1:] + TINY * TINY) / (power[:, :1] + TINY))
    return np.asarray(np.clip(level, FAINTEST, LOUDEST), np.float32)
