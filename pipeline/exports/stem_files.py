"""Stems of a separated song as files: a single one, or all in an archive.

Where a format would clip the loudest stem, all stems are lowered equally, so that they still sum to the song.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from ensemble.levels import gain_db
from pipeline.audio.encode import Encoder, clips, suffix
from pipeline.audio.tags import Tags
from pipeline.exports.song import Song

OnProgress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Form:
    """The form of the files: format and bits as in Options, and the song's tags, which are adapted to each stem."""

    format: str
    bits: str
    tags: Tags


def write(song: Song, stem: str, target: Path, form: Form, on_progress: OnProgress = lambda _: None) -> float:
    """Write one stem. Returns the number of dB by which it was lowered.

    on_progress(done) goes from 0 to 1. Raises FileNotFoundError.
    """
    step = _Steps(on_progress, (_scanned(song, form) + 1) * len(song.index.starts))
    loudest = _loudest(song, form, step)
    _encode(song, stem, target, form, loudest, step)
    return float(gain_db(loudest))


def archive(song: Song, title: str, target: Path, form: Form, on_progress: OnProgress = lambda _: None) -> float:
    """Write all stems to a ZIP file as "<title>/<title> - <stem>.<suffix>"; otherwise as `write`."""
    step = _Steps(on_progress, (_scanned(song, form) + len(song.stems)) * len(song.index.starts))
    loudest = _loudest(song, form, step)
    with ZipFile(target, "w", ZIP_STORED) as packed, tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        for stem in song.stems:
            path = Path(scratch) / stem  # one at a time: the disk holds the archive and one more stem
            _encode(song, stem, path, form, loudest, step)
            packed.write(path, f"{title}/{title} - {stem}.{suffix(form.format)}")
            path.unlink()
    return float(gain_db(loudest))


class _Steps:
    """Counts processed segments and reports progress."""

    def __init__(self, on_progress: OnProgress, total: int) -> None:
        self._on_progress, self._total, self._done = on_progress, total, 0

    def __call__(self) -> None:
        self._done += 1
        self._on_progress(self._done / self._total)


def _scanned(song: Song, form: Form) -> int:
    """Number of stems to scan for peaks before the first is written."""
    return len(song.stems) if clips(form.format, form.bits) else 0


def _loudest(song: Song, form: Form, step: _Steps) -> float:
    """The largest absolute sample of all stems if that would clip, else 1."""
    loudest = 1.0
    for stem in song.stems[: _scanned(song, form)]:
        for audio in song.mixed(stem):
            loudest = max(loudest, float(np.abs(audio).max(initial=0.0)))
            step()
    return loudest


def _encode(song: Song, stem: str, target: Path, form: Form, loudest: float, step: _Steps) -> None:
    with Encoder(target, form.format, form.bits, form.tags.version(stem), song.rate) as encoder:
        for audio in song.mixed(stem):
            encoder.write(audio / np.float32(loudest))
            step()
