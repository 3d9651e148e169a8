"""What the network that drafts are made of hears in a mixture: how loud voices, drums, bass and the rest are by its
masks, and what its recurrent layers make of it, from which more can be told than from four masks.

Nothing is separated: the powers of the bands that it gives to each stem are enough, which takes a third of the time.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from detector.features import SILENCE, Array
from ensemble import registry
from ensemble.levels import decibels
from ensemble.networks import runtime
from ensemble.networks.draft import STARTS, Unmix
from ensemble.stft import HOP, SAMPLE_RATE, Reader, stft

NETWORK = "unmix"
STEMS = registry.model(NETWORK).stems
UNITS = 256  # of its recurrent layers
FEATURES = len(STEMS) + UNITS  # numbers a window: a level for each stem, the mean of each unit
LEVEL_DB = -20.0  # full-scale RMS: the network too hears quiet music differently
FRAME = HOP / SAMPLE_RATE  # seconds
FRAMES = 432  # heard at once, ten seconds
AUDIBLE = 2  # bins below it, up to 20 Hz, are no sound
FAINTEST, LOUDEST = -30.0, 3.0  # dB: beyond them levels tell nothing more, nor may they, of what the network mishears
POWER_FLOOR = 1e-12  # power that is silence

OnProgress = Callable[[int], None]
"""on_progress(samples): number of samples analysed so far"""


def installed() -> bool:
    """Whether the network is there. Who may not use its weights removes them."""
    return registry.installed(NETWORK)


def extract(
    read: Reader,
    samples: int,
    rms: float,
    starts: NDArray[np.floating],
    stops: NDArray[np.floating],
    on_progress: OnProgress = lambda _: None,
) -> Array:
    """(windows, FEATURES) from `starts` to `stops`, both in seconds: levels in dB relative to the mixture, then units.

    read(start, stop): (2, stop - start) at RATE. rms: of the whole, which is brought to LEVEL_DB.
    Raises ModelUnavailable.
    """
    return in_windows(frames(read, samples, rms, on_progress), starts, stops)


def frames(read: Reader, samples: int, rms: float, on_progress: OnProgress = lambda _: None) -> Iterator[Array]:
    """Block by block (frames, 1 + FEATURES), a frame every HOP samples: power of the mixture and of each stem, units."""
    network = Unmix(runtime.session(registry.verified(NETWORK)))
    gain = np.float32(10 ** (LEVEL_DB / 20) / rms if rms > SILENCE else 1.0)
    step = FRAMES * HOP
    for start in range(0, samples, step):
        audio = gain * read(start, min(start + step, samples))
        magnitudes = np.abs(stft(np.broadcast_to(audio, (2, audio.shape[1]))))
        masks, units = network.listen(magnitudes)
        yield np.concatenate([shares(magnitudes, masks), units], axis=1)[:FRAMES]
        on_progress(min(start + step, samples))


def shares(magnitudes: Array, masks: Array) -> Array:
    """Powers (frames, 1 + STEMS) from magnitudes (2, bins, frames) and masks (stems, 2, frames, bands)."""
    power = np.square(np.moveaxis(magnitudes, -1, -2))
    power[..., :AUDIBLE] = 0
    bands = np.add.reduceat(power, STARTS, axis=-1)
    stems = np.einsum("sctb,sctb,ctb->ts", masks, masks, bands)
    return np.concatenate([bands.sum(axis=(0, 2))[:, None], stems], axis=1)


def in_windows(blocks: Iterable[Array], starts: NDArray[np.floating], stops: NDArray[np.floating]) -> Array:
    """What hear() gives, from the blocks of frames(), of which it keeps none."""
    first, last = (np.rint(times / FRAME).astype(int) for times in (starts, stops))
    last = np.maximum(last, first + 1)
    total, count, at = np.zeros((len(first), 1 + FEATURES)), np.zeros((len(first), 1)), 0
    for block in blocks:
        sums = np.concatenate([np.zeros((1, 1 + FEATURES)), np.cumsum(block, axis=0, dtype=np.float64)])
        begin, end = (np.clip(edges - at, 0, len(block)) for edges in (first, last))
        here = end > begin
        total[here] += sums[end[here]] - sums[begin[here]]
        count[:, 0] += end - begin
        at += len(block)
    mixture, stems, units = np.split(total, [1, 1 + len(STEMS)], axis=1)
    level = decibels((stems + POWER_FLOOR * POWER_FLOOR) / (mixture + POWER_FLOOR))
    return np.concatenate([np.clip(level, FAINTEST, LOUDEST), units / np.maximum(count, 1)], axis=1, dtype=np.float32)
