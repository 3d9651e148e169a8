"""A mix of finished stems, exactly as the player plays it: the gain law, and its rendering to a file.

The law is the player's (webapp/static/webapp/gain.js), and both are tested against the same numbers
(tests/mix_vectors.json): faders go from silence to MAX_DB, soloed lanes add up, mute beats solo.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isnan
from pathlib import Path
from typing import IO

import numpy as np

from ensemble.errors import InvalidOption
from pipeline import segments
from pipeline.audio import CHANNELS, RATE, Audio, Encoder, clips
from pipeline.segments import load
from pipeline.tags import Tags

MAX_DB = 6.0


@dataclass(frozen=True, slots=True)
class Lane:
    """One stem in a mix. db: its fader, -inf (silence) to MAX_DB."""

    name: str
    db: float = 0.0
    mute: bool = False
    solo: bool = False


@dataclass(frozen=True, slots=True)
class Mix:
    """What is heard: lanes, the master fader in dB, and the stretch in seconds; end is the song's where None.

    Raises InvalidOption for a fader above MAX_DB or a stretch of nothing.
    """

    lanes: Sequence[Lane]
    master_db: float = 0.0
    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        """Check every number."""
        for name, db in [*((lane.name, lane.db) for lane in self.lanes), ("master", self.master_db)]:
            if isnan(db) or db > MAX_DB:
                raise InvalidOption(f"{name}: {db:g} dB is not between -inf (silence) and {MAX_DB:g}.")
        end = inf if self.end is None else self.end
        if not 0 <= self.start < end:
            raise InvalidOption(f"There is nothing between {self.start:g} and {end:g} seconds.")


def gains(lanes: Sequence[Lane]) -> list[float]:
    """The amplitude with which each lane is heard."""
    soloing = any(lane.solo for lane in lanes)
    return [0.0 if lane.mute or (soloing and not lane.solo) else float(10 ** (lane.db / 20)) for lane in lanes]


def render(directory: Path, mix: Mix, target: Path | IO[bytes], format: str, bits: str, title: str) -> float:
    """Write the mix of a complete folder of segments to a file; returns by how many dB it was lowered not to clip.

    Raises InvalidOption for a lane that isn't there or a stretch after the end.
    """
    loudest = 0.0
    if clips(format, bits):
        loudest = max(float(np.abs(block).max()) for block in blocks(directory, mix))
    lowered = max(1.0, loudest)
    with Encoder(target, format, bits, Tags(title)) as encoder:
        for block in blocks(directory, mix):
            encoder.write(block / np.float32(lowered))
    return float(20 * np.log10(lowered))


def blocks(directory: Path, mix: Mix) -> Iterator[Audio]:
    """The mix as (2, n) blocks of up to a segment, exact to the sample."""
    found = segments.index(directory)
    unknown = [lane.name for lane in mix.lanes if lane.name not in found.stems]
    if unknown:
        raise InvalidOption(f"There is no stem {unknown[0]!r}. There are: {', '.join(found.stems)}.")
    seconds = found.total / RATE
    start, stop = (round(min(time, seconds) * RATE) for time in (mix.start, inf if mix.end is None else mix.end))
    if start >= stop:
        raise InvalidOption(f"The song ends after {seconds:.1f} seconds, before the stretch begins.")
    master = 10 ** (mix.master_db / 20)
    heard = [(lane.name, gain * master) for lane, gain in zip(mix.lanes, gains(mix.lanes), strict=True) if gain]
    for number, first in enumerate(found.starts):
        a, b = max(start - first, 0), min(stop - first, segments.SEGMENT)
        if a < b:
            parts = [np.float32(gain) * load(directory, name, number, found.gain)[:, a:b] for name, gain in heard]
            yield np.sum([np.zeros((CHANNELS, b - a), np.float32), *parts], axis=0)
