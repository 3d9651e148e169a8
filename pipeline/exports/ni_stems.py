"""NI Stems (.stem.mp4): the mix and four stems in one MP4 file, for DJ software and decks that play stems.

The file has five AAC tracks. The mix comes first and is the only enabled one, so that an ordinary player plays the
song; then drums, bass, other and vocals. Their names, and the mastering that a deck may apply to their sum, are JSON in
a box named `stem` in the file's user data. All further stems go into `other`, so that the four sum to the mix.
"""

import json
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np

from ensemble.errors import InvalidOption
from ensemble.levels import gain_db
from pipeline.audio import tags as tagging
from pipeline.audio.encode import Sound, coding, output
from pipeline.audio.recording import Audio
from pipeline.audio.tags import Tags
from pipeline.exports.song import UNITY, Song

COLOURS = {"drums": "#E07A2F", "bass": "#8B6CF0", "other": "#7B8696", "vocals": "#E0518D"}  # in the file's order
# Disabled, since the sum is the song itself. Decks expect the numbers anyway; these are common values.
MASTERING = {
    "compressor": {
        "enabled": False, "input_gain": 0.5, "output_gain": 0.5, "threshold": 0, "ratio": 3, "attack": 0.003,
        "release": 0.3, "hp_cutoff": 300, "dry_wet": 50,
    },
    "limiter": {"enabled": False, "threshold": 0, "ceiling": -0.35, "release": 0.05},
}  # fmt: skip
HEADER = 8  # bytes of a box's size and name


def write(song: Song, target: Path, tags: Tags, on_progress: Callable[[float], None] = lambda _: None) -> float:
    """Write a separated song as NI Stems. on_progress(done) goes from 0 to 1.

    Returns the number of dB by which all tracks were lowered to avoid clipping. Raises InvalidOption if one of the four
    stems is missing.
    """
    missing = [stem for stem in COLOURS if stem not in song.stems]
    if missing:
        raise InvalidOption(f"NI Stems need {', '.join(COLOURS)}. This song has no {' and no '.join(missing)}.")
    loudest = 1.0
    for done, tracks in _blocks(song):
        loudest = max(loudest, float(np.abs(tracks).max()))
        on_progress(done / 2)
    with closing(output(target, "mp4", song.rate)) as container:
        sounds = [Sound(container, coding("m4a", "float"), song.rate) for _ in range(1 + len(COLOURS))]
        tagging.write(container, tags)
        for done, tracks in _blocks(song):
            for sound, audio in zip(sounds, tracks / np.float32(loudest), strict=True):
                sound.write(audio)
            on_progress((1 + done) / 2)
        for sound in sounds:
            sound.finish()
    with target.open("r+b") as file:
        _describe(file)
    return float(gain_db(loudest))


def _blocks(song: Song) -> Iterator[tuple[float, Audio]]:
    """The tracks segment by segment, (5, 2, n) float32, each preceded by the share of the song that it completes."""
    rest = [stem for stem in song.stems if stem == "other" or stem not in COLOURS]
    tracks = [song.stems, *(rest if stem == "other" else [stem] for stem in COLOURS)]
    segments = zip(*(song.mixed(dict.fromkeys(names, UNITY)) for names in tracks), strict=True)
    for number, audio in enumerate(segments, 1):
        yield number / len(song.index.starts), np.stack(audio)


def description() -> dict[str, Any]:
    """The JSON of the `stem` box."""
    stems = [{"name": stem.capitalize(), "color": colour} for stem, colour in COLOURS.items()]
    return {"mastering_dsp": MASTERING, "version": 1, "stems": stems}


def _describe(file: IO[bytes]) -> None:
    """Insert the `stem` box into the user data of an MP4 file that ends with its index, `moov`."""
    start, moov = _last_box(file)
    box = _box(b"stem", json.dumps(description()).encode())
    at = _child(moov, b"udta")
    (size,) = struct.unpack_from(">I", moov, at)
    end = at + size
    grown = moov[:at] + _box(b"udta", moov[at + HEADER : end] + box) + moov[end:]
    file.seek(start)
    file.write(_box(b"moov", grown[HEADER:]))


def _last_box(file: IO[bytes]) -> tuple[int, bytes]:
    """Where the last box begins, and the whole of it."""
    file.seek(0)
    while True:
        start = file.tell()
        size, name = struct.unpack(">I4s", file.read(HEADER))
        if size == 1:  # beyond 4 GiB the size comes after the name
            (size,) = struct.unpack(">Q", file.read(8))
        if name == b"moov":
            file.seek(start)
            return start, file.read(size)
        file.seek(start + size)


def _child(box: bytes, name: bytes) -> int:
    """Position of a child box of that name."""
    at = HEADER
    while box[at + 4 : at + HEADER] != name:
        at += struct.unpack_from(">I", box, at)[0]
    return at


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", HEADER + len(content), name) + content
