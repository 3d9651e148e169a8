"""Another tempo and pitch for a mix, by the stretcher that the player uses (Signalsmith Stretch), in bounded memory.

The library stretches only what it is given whole. So the song goes through it in windows that overlap; where two meet,
the next is shifted by at most LAG to where it resembles the one before, and they are cross-faded.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import CHANNELS, RATE, Audio

WINDOW = 30 * RATE  # frames of the song from one join to the next
MARGIN = RATE // 2  # frames more at either end of a window: the library needs a moment to settle
FADE = RATE // 20  # frames of a cross-fade
LAG = RATE // 100  # frames
TONALITY = 8000 / RATE  # cycles per frame: above it, timbre is kept rather than shifted; as in the player
SILENCE = 1e-9  # energy below which nothing is like anything
SEED = 1  # the library chooses phases by chance; the same mix gives the same file


def stretched(blocks: Iterable[Audio], samples: int, tempo: float, pitch: float) -> Iterator[Audio]:
    """The (2, n) blocks, `samples` in all, at another tempo (1: as they are) and pitch (semitones).

    Yields round(samples / tempo) frames in all. Computed in a process of its own: the library lets no other thread run.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        windows = (process.submit(_stretch, window, tempo, pitch).result() for window in _windows(blocks))
        yield from _joined(windows, samples, tempo)


def _windows(blocks: Iterable[Audio]) -> Iterator[Audio]:
    """The song between margins of silence, in windows whose first frames are WINDOW apart."""
    silence = np.zeros((CHANNELS, MARGIN), np.float32)
    held = silence
    for block in chain(blocks, [silence]):
        held = np.concatenate([held, block], axis=1)
        while held.shape[1] >= WINDOW + 2 * MARGIN:
            yield held[:, : WINDOW + 2 * MARGIN]
            held = held[:, WINDOW:]
    if held.shape[1] > 2 * MARGIN:
        yield held


def _stretch(audio: Audio, tempo: float, pitch: float) -> Audio:
    # Here, because only the process that stretches needs it.
    from python_stretch.Signalsmith import Stretch  # noqa: PLC0415

    stretch = Stretch(SEED)
    stretch.preset(CHANNELS, RATE)
    stretch.setTransposeSemitones(pitch, TONALITY)
    stretch.setTimeFactor(tempo)
    return np.asarray(stretch.process(np.ascontiguousarray(audio)), np.float32)


def _joined(windows: Iterable[Audio], samples: int, tempo: float) -> Iterator[Audio]:
    """Stretched windows put together, without margins."""
    total, written = round(samples / tempo), 0
    before: Audio | None = None
    for number, window in enumerate(windows):
        # Frame `written` of the song is this one of the window.
        place = written - round((number * WINDOW - MARGIN) / tempo)
        if before is not None:
            place += _lag(before, window[:, place - LAG : place + FADE + LAG])
            window[:, place : place + FADE] = _crossfade(before, window[:, place : place + FADE])
        stop = min(round((number + 1) * WINDOW / tempo) - FADE // 2, total)
        part = window[:, place : place + stop - written]
        before = window[:, place + stop - written :][:, :FADE]
        written += part.shape[1]
        yield part
    if before is not None and written < total:  # the song ends where another window would have begun
        yield before[:, : total - written]


def _lag(before: Audio, around: Audio) -> int:
    """By how much to shift what follows, to be most like what was before: (2, FADE) in its surroundings of LAG each."""
    likeness = sum(np.correlate(offered, wanted, "valid") for offered, wanted in zip(around, before, strict=True))
    energy = sum(np.convolve(offered**2, np.ones(FADE, np.float32), "valid") for offered in around)
    return int(np.argmax(likeness / np.sqrt(np.maximum(energy, SILENCE)))) - LAG


def _crossfade(before: Audio, after: Audio) -> NDArray[np.float32]:
    """From one to the other at even loudness, however alike they are: both (2, FADE)."""
    power = float(np.sqrt(np.square(before, dtype=np.float64).sum() * np.square(after, dtype=np.float64).sum()))
    alike = float(np.vdot(before, after)) / power if power else 1.0
    coming = (np.arange(FADE) + 0.5) / FADE
    going = 1 - coming
    loudness = np.sqrt(coming**2 + going**2 + 2 * max(alike, 0.0) * coming * going)
    return np.asarray((going * before + coming * after) / loudness, np.float32)
