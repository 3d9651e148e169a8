"""Sound at other sample rates than the pipeline's own, and what the pipeline's rate cannot hold.

Separation runs at RATE; files are written at the upload's own sample rate. Resampling is linear, so stems that add up
to the mixture at RATE do so at any other rate. What is lost on the way to RATE, mostly sound above 22.05 kHz, is the
`remainder`: the upload at the target rate minus its RATE version brought to the same rate. One file takes it in
(`carrier`), and then all files together are the upload itself.
"""

from collections.abc import Collection, Iterable, Iterator

import numpy as np
import soxr

from pipeline.audio.recording import CHANNELS, SAMPLE_RATE, Audio, interleaved
from pipeline.options import RESIDUAL


class Resampler:
    """Resamples a stream of (2, n) float32 blocks from one rate to another, Hz, by soxr's very high quality.

    Its output is not late, and as long in all as the input lasts, to a sample. Equal rates pass through.
    """

    def __init__(self, rate: int, target: int) -> None:
        self._stream = soxr.ResampleStream(rate, target, CHANNELS, dtype="float32", quality="VHQ")
        self._passes = rate == target

    def __call__(self, audio: Audio, last: bool = False) -> Audio:
        """Take in (2, n) and give back the (2, m) that are ready; all of them with the last block."""
        if self._passes:
            return audio
        return np.asarray(self._stream.resample_chunk(interleaved(audio), last=last).T)


class StreamReader:
    """Reads a stream of (2, n) blocks any number of frames at a time. After its end comes silence."""

    def __init__(self, blocks: Iterable[Audio]) -> None:
        self._blocks = iter(blocks)
        self._held = silence(0)

    def read(self, frames: int) -> Audio:
        """The next (2, frames)."""
        pieces, missing = [self._held], frames - self._held.shape[1]
        while missing > 0:
            block = next(self._blocks, None)
            pieces.append(silence(missing) if block is None else block)
            missing -= pieces[-1].shape[1]
        audio = np.concatenate(pieces, axis=1)
        self._held = audio[:, frames:]
        return audio[:, :frames]

    def skip(self, frames: int) -> None:
        """Leave out so many frames, without ever holding all of them."""
        for start in range(0, frames, SAMPLE_RATE):
            self.read(min(SAMPLE_RATE, frames - start))


def silence(frames: int) -> Audio:
    """(2, frames) zeros."""
    return np.zeros((CHANNELS, frames), np.float32)


def frames_at(rate: int, source_frames: int, source_rate: int) -> int:
    """Length in frames at `rate` of a song of so many frames at its own rate."""
    return round(source_frames * rate / source_rate)


def resampled(blocks: Iterable[Audio], source_rate: int, rate: int) -> Iterator[Audio]:
    """(2, n) blocks at source_rate as blocks at `rate`."""
    resampler = Resampler(source_rate, rate)
    for block, last in _marked(blocks):
        yield resampler(block, last)


def remainder(blocks: Iterable[Audio], source_rate: int, rate: int) -> Iterator[Audio]:
    """What is lost of (2, n) blocks at source_rate on the way through RATE, as (2, n) blocks at `rate`."""
    whole, down, up = Resampler(source_rate, rate), Resampler(source_rate, SAMPLE_RATE), Resampler(SAMPLE_RATE, rate)
    direct, through = silence(0), silence(0)
    for audio, last in _marked(blocks):
        direct = np.concatenate([direct, whole(audio, last)], axis=1)
        through = np.concatenate([through, up(down(audio, last), last)], axis=1)
        ready = min(direct.shape[1], through.shape[1])
        yield direct[:, :ready] - through[:, :ready]
        direct, through = direct[:, ready:], through[:, ready:]


def _marked(blocks: Iterable[Audio]) -> Iterator[tuple[Audio, bool]]:
    """Each block and False, then an empty one and True."""
    for block in blocks:
        yield block, False
    yield silence(0), True


def carrier(names: Collection[str]) -> str:
    """Which of these files takes the remainder in: `residual`, or where there is none `other`, which always comes."""
    return RESIDUAL if RESIDUAL in names else "other"
