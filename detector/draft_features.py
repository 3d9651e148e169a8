"""Features of a mixture from the draft's network.

Levels of vocals, drums, bass and the rest by its masks, and the activations
of its recurrent layers, which tell more than four masks.

Nothing is separated: the power of each stem in each band is enough, which takes a third of the time.
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
FEATURES = len(STEMS) + UNITS  # per window: the level of each stem, the mean of each unit
LEVEL_DB = -20.0  # full-scale RMS that music is normalised to, because the network responds to level
FRAME = HOP / SAMPLE_RATE  # seconds
FRAMES = 432  # analysed at once: ten seconds
AUDIBLE = 2  # the bins below it, up to 20 Hz, are inaudible
FAINTEST, LOUDEST = -30.0, 3.0  # dB: levels beyond carry no information, only errors of the network
POWER_FLOOR = 1e-12  # power of silence

OnProgress = Callable[[int], None]
"""on_progress(samples): number of samples analysed so far"""


def installed() -> bool:
    """Whether the network is installed. Those who may not use its weights remove them."""
    return registry.installed(NETWORK)


def extract(
    read: Reader,
    samples: int,
    rms: float,
    starts: NDArray[np.floating],
    stops: NDArray[np.floating],
    on_progress: OnProgress = lambda _: None,
) -> Array:
    """Features of a mixture in given windows.

    Parameters
    ----------
    read
        read(start, stop) -> (channels, stop - start) float32 at SAMPLE_RATE.
    samples
        Length of the mixture.
    rms
        Of the whole mixture, which is normalised to LEVEL_DB.
    starts, stops
        Of each window in seconds, (windows,).
    on_progress
        on_progress(samples analysed so far).

    Returns
    -------
    (windows, FEATURES) float32: levels in dB relative to the mixture, FAINTEST to LOUDEST, then mean activations, -1 to
    1.

    Raises
    ------
    ModelUnavailable
        The network is missing or damaged.
    """
    return in_windows(frames(read, samples, rms, on_progress), starts, stops)


def frames(read: Reader, samples: int, rms: float, on_progress: OnProgress = lambda _: None) -> Iterator[Array]:
    """Features of each frame, of which there is one every HOP samples. Parameters as in `extract`.

    Yields
    ------
    (frames, 1 + FEATURES) float32: power of the mixture and of each stem, then activations.
    """
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
    """Power of the mixture and of each stem per frame.

    Parameters
    ----------
    magnitudes
        (2, BINS, frames) float32.
    masks
        (stems, 2, frames, BANDS) float32.

    Returns
    -------
    (frames, 1 + stems) float32.
    """
    power = np.square(np.moveaxis(magnitudes, -1, -2))
    power[..., :AUDIBLE] = 0
    bands = np.add.reduceat(power, STARTS, axis=-1)
    stems = np.einsum("sctb,sctb,ctb->ts", masks, masks, bands)
    return np.concatenate([bands.sum(axis=(0, 2))[:, None], stems], axis=1)


def in_windows(blocks: Iterable[Array], starts: NDArray[np.floating], stops: NDArray[np.floating]) -> Array:
    """Average frames over windows, in constant memory.

    Parameters
    ----------
    blocks
        (n, 1 + FEATURES), from `frames`.
    starts, stops
        Of each window in seconds, (windows,).

    Returns
    -------
    (windows, FEATURES) float32, as from `extract`.
    """
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
