"""A mix of separated stems, exactly as the player plays it: the mix law, and its rendering to a file.

The law equals the player's (described in webapp/static/webapp/audio/mix-law.js); both are tested against
tests/vectors/mix.json. Faders range from silence to MAX_DB, several lanes can be soloed, mute beats solo, and panning
is the Web Audio StereoPannerNode's. The sum of the lanes is stretched, then follow the master gain and the limiter.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import cos, inf, pi, sin
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ensemble.errors import InvalidOption
from ensemble.levels import gain_db
from pipeline.audio.encode import Encoder, clips
from pipeline.audio.recording import CHANNELS, Audio
from pipeline.audio.tags import Tags
from pipeline.exports.limiter import limited
from pipeline.exports.song import Song
from pipeline.exports.stretch import stretched

MAX_DB = 6.0
TEMPO = (0.5, 2.0)
PITCH = (-12.0, 12.0)  # semitones

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Lane:
    """One stem of a mix. db: its fader, -inf (silence) to MAX_DB. pan: -1 (left) to 1 (right)."""

    name: str
    db: float = 0.0
    mute: bool = False
    solo: bool = False
    pan: float = 0.0


@dataclass(frozen=True, slots=True)
class Mix:
    """The settings of a mix.

    master_db: master fader, -inf to MAX_DB. start, end: the part to render, in seconds; end is the song's where None.
    limiter: whether peaks are limited; otherwise a file that would clip is lowered as a whole. tempo: 1 is the
    original. pitch: semitones. Raises InvalidOption for a value out of range.
    """

    lanes: Sequence[Lane]
    master_db: float = 0.0
    start: float = 0.0
    end: float | None = None
    limiter: bool = False
    tempo: float = 1.0
    pitch: float = 0.0

    def __post_init__(self) -> None:
        """Validate all numbers. Raises InvalidOption."""
        for lane in self.lanes:
            _check_fader(lane.name, lane.db)
            _check(f"{lane.name}.pan", lane.pan, (-1, 1))
        _check_fader("master", self.master_db)
        _check("tempo", self.tempo, TEMPO)
        _check("pitch", self.pitch, PITCH)
        end = inf if self.end is None else self.end
        if not 0 <= self.start < end:
            raise InvalidOption(f"There is nothing between {self.start:g} and {end:g} seconds.")

    @property
    def shaped(self) -> bool:
        """Whether tempo or pitch differ from the original."""
        return self.tempo != 1 or self.pitch != 0


def _check_fader(name: str, db: float) -> None:
    if not db <= MAX_DB:
        message = f"{name}: {db:g} dB is not between -inf (silence) and {MAX_DB:g}."
        raise InvalidOption(message, name, db, {"maximum": MAX_DB})


def _check(name: str, value: float, allowed: tuple[float, float]) -> None:
    least, most = allowed
    if not least <= value <= most:
        message = f"{name}: {value:g} is not between {least:g} and {most:g}."
        raise InvalidOption(message, name, value, {"minimum": least, "maximum": most})


def gains(lanes: Sequence[Lane]) -> list[float]:
    """Amplitude of each lane after fader, mute and solo, before its pan: a list of (lanes,) numbers, 0 or more."""
    soloing = any(lane.solo for lane in lanes)
    return [0.0 if lane.mute or (soloing and not lane.solo) else float(10 ** (lane.db / 20)) for lane in lanes]


def panning(pan: float) -> NDArray[np.float32]:
    """Pan matrix, (2, 2) float32, from left and right in (columns) to left and right out (rows).

    It is the identity at 0, with equal power in between (Web Audio, StereoPannerNode). pan: -1 (left) to 1 (right).
    """
    angle = (pan + 1 if pan <= 0 else pan) * pi / 2
    matrix = [[1, cos(angle)], [0, sin(angle)]] if pan <= 0 else [[cos(angle), 0], [sin(angle), 1]]
    return np.asarray(matrix if pan else np.eye(CHANNELS), np.float32)


def render(
    song: Song,
    mix: Mix,
    target: Path | IO[bytes],
    format: str,
    bits: str,
    tags: Tags | None = None,
    on_progress: Progress = lambda _: None,
) -> float:
    """Render the mix of a separated song to a file.

    Parameters
    ----------
    song
        Its stems, (2, n) float32 blocks.
    mix
        Settings of the mix.
    target
        A path, or a file that stays open.
    format, bits, tags
        As in Options and Encoder.
    on_progress
        on_progress(done), from 0 to 1.

    Returns
    -------
    The number of dB by which the mix was lowered to avoid clipping, 0 or more.

    Raises
    ------
    InvalidOption
        A lane doesn't exist, or the part begins after the end.
    """
    scans = clips(format, bits) and not mix.limiter
    share = 0.5 if scans else 1.0
    lowered = 1.0
    if scans:
        passed = _reported(song, mix, lambda fraction: on_progress(share * fraction))
        lowered = max(1.0, *(float(np.abs(block).max(initial=0)) for block in passed))
    with Encoder(target, format, bits, tags, song.rate) as encoder:
        for block in _reported(song, mix, lambda fraction: on_progress(1 - share + share * fraction)):
            encoder.write(block / np.float32(lowered))
    return float(gain_db(lowered))


def _reported(song: Song, mix: Mix, on_progress: Progress) -> Iterator[Audio]:
    """The blocks of a mix, reporting progress as they are consumed."""
    start, stop = extent(song, mix)
    written, total = 0, round((stop - start) / mix.tempo)
    for block in blocks(song, mix):
        if block.shape[1]:
            yield block
        written += block.shape[1]
        on_progress(written / total)


def blocks(song: Song, mix: Mix) -> Iterator[Audio]:
    """The mix in blocks, (2, n) float32 of up to some seconds, exact to the sample.

    Raises InvalidOption as `render`.
    """
    sound: Iterable[Audio] = summed(song, mix)
    if mix.shaped:
        start, stop = extent(song, mix)
        sound = stretched(sound, stop - start, mix.tempo, mix.pitch, song.rate)
    master = np.float32(10 ** (mix.master_db / 20))
    sound = (block * master for block in sound)
    yield from limited(sound, song.rate) if mix.limiter else sound


def extent(song: Song, mix: Mix) -> tuple[int, int]:
    """First frame of the part to render, and the frame after its last. Raises InvalidOption if it is empty."""
    seconds = song.frames / song.rate
    ends = mix.start, inf if mix.end is None else mix.end
    start, stop = (round(min(time, seconds) * song.rate) for time in ends)
    if start >= stop:
        raise InvalidOption(f"The song ends after {seconds:.1f} seconds, before this part begins.")
    return start, stop


def summed(song: Song, mix: Mix) -> Iterator[Audio]:
    """The sum of all lanes after fader and pan in blocks, (2, n) float32. Raises InvalidOption for an unknown lane."""
    unknown = [lane.name for lane in mix.lanes if lane.name not in song.stems]
    if unknown:
        raise InvalidOption(f"There is no stem {unknown[0]!r}. There are: {', '.join(song.stems)}.")
    lanes = zip(mix.lanes, gains(mix.lanes), strict=True)
    matrices = {lane.name: np.float32(gain) * panning(lane.pan) for lane, gain in lanes if gain}
    yield from song.mixed(matrices, *extent(song, mix))
