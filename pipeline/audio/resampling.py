"""Conversion between sample rates, and the part of a song that the pipeline's own rate loses.

Songs are separated at SAMPLE_RATE and written at the upload's own rate. Resampling is linear, so stems that sum to the
mixture at SAMPLE_RATE do so at any other rate. What SAMPLE_RATE loses, mostly sound above 22.05 kHz, is the
`remainder`: the upload at the target rate minus its SAMPLE_RATE version at that rate. One file takes it in (`carrier`),
so that all files together are the upload itself.
"""

from collections.abc import Collection, Iterable, Iterator

import numpy as np
import soxr

from pipeline.audio.recording import CHANNELS, SAMPLE_RATE, Audio, interleaved
from pipeline.options import RESIDUAL


class Resampler:
    """Resamples a stream of blocks, (2, n) float32, from `rate` to `target`, Hz, with soxr's very high quality.

    The output has no delay and the duration of the input, to the sample. Equal rates pass through.
    """

    def __init__(self, rate: int, target: int) -> None:
        self._stream = soxr.ResampleStream(rate, target, CHANNELS, dtype="float32", quality="VHQ")
        self._passes = rate == target

    def __call__(self, audio: Audio, last: bool = False) -> Audio:
        """Take a block, (2, n) float32, and return what is ready, (2, m); all of it with the last block."""
        if self._passes:
            return audio
        return np.asarray(self._stream.resample_chunk(interleaved(audio), last=last).T)


class StreamReader:
    """Reads a stream of blocks, (2, n), in pieces of any size. Silence follows its end."""

    def __init__(self, blocks: Iterable[Audio]) -> None:
        self._blocks = iter(blocks)
        self._held = silence(0)

    def read(self, frames: int) -> Audio:
        """Read the next frames, (2, frames) float32."""
        pieces, missing = [self._held], frames - self._held.shape[1]
        while missing > 0:
            block = next(self._blocks, None)
            pieces.append(silence(missing) if block is None else block)
            missing -= pieces[-1].shape[1]
        audio = np.concatenate(pieces, axis=1)
        self._held = audio[:, frames:]
        return audio[:, :frames]

    def skip(self, frames: int) -> None:
        """Skip frames without holding all of them in memory."""
        for start in range(0, frames, SAMPLE_RATE):
            self.read(min(SAMPLE_RATE, frames - start))


def silence(frames: int) -> Audio:
    """Create silence: zeros, (2, frames) float32."""
    return np.zeros((CHANNELS, frames), np.float32)


def frames_at(rate: int, source_frames: int, source_rate: int) -> int:
    """Length in frames at `rate` of a song of source_frames at source_rate, Hz."""
    return round(source_frames * rate / source_rate)


def resampled(blocks: Iterable[Audio], source_rate: int, rate: int) -> Iterator[Audio]:
    """Resample a stream of blocks, (2, n) float32, from source_rate to `rate`, Hz."""
    resampler = Resampler(source_rate, rate)
    for block, last in _marked(blocks):
        yield resampler(block, last)


def remainder(blocks: Iterable[Audio], source_rate: int, rate: int) -> Iterator[Audio]:
    """The part of a signal that is lost on the way through SAMPLE_RATE.

    Parameters
    ----------
    blocks
        (2, n) float32 at source_rate.
    source_rate, rate
        Hz.

    Yields
    ------
    Blocks, (2, n) float32, at `rate`.
    """
    whole, down, up = Resampler(source_rate, rate), Resampler(source_rate, SAMPLE_RATE), Resampler(SAMPLE_RATE, rate)
    direct, through = silence(0), silence(0)
    for audio, last in _marked(blocks):
        direct = np.concatenate([direct, whole(audio, last)], axis=1)
        through = np.concatenate([through, up(down(audio, last), last)], axis=1)
        ready = min(direct.shape[1], through.shape[1])
        yield direct[:, :ready] - through[:, :ready]
        direct, through = direct[:, ready:], through[:, ready:]


def _marked(blocks: Iterable[Audio]) -> Iterator[tuple[Audio, bool]]:
    """Yield each block with False, then an empty block with True."""
    for block in blocks:
        yield block, False
    yield silence(0), True


def carrier(names: Collection[str]) -> str:
    """The file that takes in the remainder: `residual`, or else `other`, which is always delivered."""
    return RESIDUAL if RESIDUAL in names else "other"
