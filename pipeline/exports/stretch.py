"""Time-stretching and pitch-shifting of a mix with the player's library (Signalsmith Stretch), in constant memory.

The library only processes complete signals, so the song goes through it in overlapping windows. Where two meet, the
later one is shifted by up to 10 ms to match the earlier one, and they are cross-faded.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.recording import CHANNELS, Audio

TONALITY = 8000  # Hz, above which timbre is preserved rather than shifted; as in the player
SILENCE = 1e-9  # energy below which similarity is meaningless
SEED = 1  # of the library's random phases, so that the same mix gives the same file


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths in frames.

    window: between two joins. margin: in which the library settles. fade: of a cross-fade. lag: the largest shift.
    """

    window: int
    margin: int
    fade: int
    lag: int

    @classmethod
    def at(cls, rate: int) -> "Lengths":
        """Lengths of 30, 0.5, 0.05 and 0.01 seconds."""
        return cls(30 * rate, rate // 2, rate // 20, rate // 100)


def stretched(blocks: Iterable[Audio], samples: int, tempo: float, pitch: float, rate: int) -> Iterator[Audio]:
    """Change tempo and pitch of a stream. The library blocks all other threads, so it runs in a separate process.

    Parameters
    ----------
    blocks
        (2, n) float32.
    samples
        Their total length.
    tempo
        1 keeps the tempo, 2 doubles it.
    pitch
        Semitones.
    rate
        Hz.

    Yields
    ------
    Blocks, (2, n) float32, round(samples / tempo) frames in total.
    """
    lengths = Lengths.at(rate)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        pieces = _windows(blocks, lengths)
        windows = (process.submit(_stretch, piece, tempo, pitch, rate).result() for piece in pieces)
        yield from _joined(windows, samples, tempo, lengths)


def _windows(blocks: Iterable[Audio], lengths: Lengths) -> Iterator[Audio]:
    """The song between margins of silence, in overlapping windows that start one window length apart."""
    silence = np.zeros((CHANNELS, lengths.margin), np.float32)
    whole = lengths.window + 2 * lengths.margin
    held = silence
    for block in chain(blocks, [silence]):
        held = np.concatenate([held, block], axis=1)
        while held.shape[1] >= whole:
            yield held[:, :whole]
            held = held[:, lengths.window :]
    if held.shape[1] > 2 * lengths.margin:
        yield held


def _stretch(audio: Audio, tempo: float, pitch: float, rate: int) -> Audio:
    # Imported here, because only the separate process needs it.
    from python_stretch.Signalsmith import Stretch  # noqa: PLC0415

    stretch = Stretch(SEED)
    stretch.preset(CHANNELS, rate)
    stretch.setTransposeSemitones(pitch, TONALITY / rate)
    stretch.setTimeFactor(tempo)
    return np.asarray(stretch.process(np.ascontiguousarray(audio)), np.float32)


def _joined(windows: Iterable[Audio], samples: int, tempo: float, lengths: Lengths) -> Iterator[Audio]:
    """Join stretched windows, without their margins."""
    total, written = round(samples / tempo), 0
    fade, lag = lengths.fade, lengths.lag
    before: Audio | None = None
    for number, window in enumerate(windows):
        # Frame `written` of the song is this one of the window.
        place = written - round((number * lengths.window - lengths.margin) / tempo)
        if before is not None:
            place += _lag(before, window[:, place - lag : place + fade + lag])
            window[:, place : place + fade] = _crossfade(before, window[:, place : place + fade])
        stop = min(round((number + 1) * lengths.window / tempo) - fade // 2, total)
        part = window[:, place : place + stop - written]
        before = window[:, place + stop - written :][:, :fade]
        written += part.shape[1]
        yield part
    if before is not None and written < total:  # the song ends where another window would have begun
        yield before[:, : total - written]


def _lag(before: Audio, around: Audio) -> int:
    """The shift that makes the following window most similar to `before`, (2, fade), within its surroundings."""
    likeness = sum(np.correlate(offered, wanted, "valid") for offered, wanted in zip(around, before, strict=True))
    alike = np.ones(before.shape[1], np.float32)
    energy = sum(np.convolve(offered**2, alike, "valid") for offered in around)
    best = int(np.argmax(likeness / np.sqrt(np.maximum(energy, SILENCE))))
    middle: int = (around.shape[1] - before.shape[1]) // 2
    return best - middle


def _crossfade(before: Audio, after: Audio) -> NDArray[np.float32]:
    """Cross-fade two signals, (2, n), at constant loudness, however similar they are."""
    power = float(np.sqrt(np.square(before, dtype=np.float64).sum() * np.square(after, dtype=np.float64).sum()))
    alike = float(np.vdot(before, after)) / power if power else 1.0
    coming = (np.arange(before.shape[1]) + 0.5) / before.shape[1]
    going = 1 - coming
    loudness = np.sqrt(coming**2 + going**2 + 2 * max(alike, 0.0) * coming * going)
    return np.asarray((going * before + coming * after) / loudness, np.float32)
