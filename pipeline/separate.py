"""A song to its stems, read top to bottom: decode, separate block by block, write."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from ensemble import registry
from ensemble.demucs import Level
from ensemble.separator import Separator
from pipeline.audio import CHANNELS, RATE, Audio, Encoder, Recording, clips, decode, disk_full, interleaved
from pipeline.options import RESIDUAL, Options

T = TypeVar("T")

FLOOR_DB = -200.0  # what "nothing at all" is called in decibels
TOLD = ("name", "title", "sha256", "licence", "origin")  # of a model, in the report
CHUNK = 10 * RATE  # samples encoded at a time


@dataclass(frozen=True, slots=True)
class Progress:
    """done of total (0: not known yet): in "decode" seconds of audio, in "separate" blocks, in "encode" stems."""

    stage: str
    done: int
    total: int
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A finished piece of every stem: samples start to stop of total; stems: (2, stop - start) each, RESIDUAL last."""

    start: int
    stop: int
    total: int
    stems: dict[str, Audio]


@dataclass
class Report:
    """What came out and how.

    residual: whether files also holds what the bleed filter took out of the stems, which belongs to their sum.
    null_db: energy of mixture minus that sum over the mixture's, before encoding.
    """

    title: str
    samples: int
    stems: list[str]
    residual: bool
    preset: str
    bleed: str
    models: list[dict[str, Any]]
    provider: str
    sample_rate: int = RATE
    files: dict[str, Path] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    null_db: float = FLOOR_DB
    gain_db: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"files": {stem: str(path) for stem, path in self.files.items()}}


OnProgress = Callable[[Progress], None]
OnBlock = Callable[[Block], None]


def separate_file(
    source: Path,
    directory: Path,
    options: Options | None = None,
    *,
    on_progress: OnProgress = lambda _: None,
    on_block: OnBlock = lambda _: None,
) -> Report:
    """Write the stems of `source` to directory/<stem>.<format> and report.

    Callbacks run in this thread; what they raise stops the work and comes out here. Memory doesn't grow with the song:
    it is spilled to a scratch folder in `directory`, which is always removed.
    Raises InvalidAudio for a file that is no song, ModelUnavailable, SeparationError when the disk is full.
    """
    options = options or Options()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".soundscape-", dir=directory) as scratch:
            return _Separation(source, directory, Path(scratch), options, on_progress, on_block).run()
    except OSError as error:
        raise disk_full(error, directory) from error


def separate(recording: Recording, separator: Separator) -> Iterator[Block]:
    """Yield the song's finished blocks in time order."""
    for start, audio in separator.blocks(recording.read, recording.samples):
        stems = dict(zip(separator.stems, audio, strict=True))
        yield Block(start, start + audio.shape[-1], recording.samples, stems)


class _Separation:
    """One run of separate_file."""

    def __init__(
        self, source: Path, directory: Path, scratch: Path, options: Options, on_progress: OnProgress, on_block: OnBlock
    ) -> None:
        self.source, self.directory, self.scratch, self.options = source, directory, scratch, options
        self.on_progress, self.on_block = on_progress, on_block
        self.seconds: dict[str, float] = {}
        self.peak = 0.0

    def run(self) -> Report:
        recording = self._timed("decode", self._decode)
        report = self._timed("separate", lambda: self._separate(recording))
        self._timed("encode", lambda: self._encode(report))
        report.seconds = self.seconds
        return report

    def _timed(self, stage: str, work: Callable[[], T]) -> T:
        began = time.monotonic()
        result = work()
        self.seconds[stage] = round(time.monotonic() - began, 3)
        return result

    def _decode(self) -> Recording:
        self.on_progress(Progress("decode", 0, 0))
        for recording in decode(self.source, self.scratch / "mixture.f32", self.options.max_seconds):
            self.on_progress(Progress("decode", recording.samples // RATE, 0))
        return recording

    def _separate(self, recording: Recording) -> Report:
        level = Level(recording.mean, recording.std)
        separator = Separator(registry.ensemble(self.options.preset), level, self.options.bleed)
        count, began, missed = separator.count(recording.samples), time.monotonic(), 0.0
        self.on_progress(Progress("separate", 0, count))
        with ExitStack() as stack:
            spools = {stem: stack.enter_context(self._spool(stem).open("wb")) for stem in separator.stems}
            for done, block in enumerate(separate(recording, separator), 1):
                missed += self._keep(block, recording, spools)
                self.on_block(block)
                left = (time.monotonic() - began) / done * (count - done)
                self.on_progress(Progress("separate", done, count, left))
        return self._report(recording, separator, missed)

    def _keep(self, block: Block, recording: Recording, spools: Mapping[str, IO[bytes]]) -> float:
        """Spool a block; returns the energy that its stems miss of the mixture."""
        for stem, audio in block.stems.items():
            interleaved(audio).tofile(spools[stem])
            self.peak = max(self.peak, float(np.abs(audio).max()))
        summed = np.sum(list(block.stems.values()), axis=0, dtype=np.float64)
        return float(np.square(recording.read(block.start, block.stop) - summed).sum())

    def _spool(self, stem: str) -> Path:
        return self.scratch / f"{stem}.f32"

    def _report(self, recording: Recording, separator: Separator, missed: float) -> Report:
        cards = [registry.card(member.model.name) for member in separator.loaded]
        left_out = [f"The model {name} is not installed and was left out." for name in separator.missing]
        return Report(
            title=recording.title or self.source.stem,
            samples=recording.samples,
            stems=separator.sources,
            residual=RESIDUAL in separator.stems,
            preset=self.options.preset,
            bleed=self.options.bleed,
            models=[{name: getattr(card, name) for name in TOLD} for card in cards],
            provider=separator.loaded[0].provider,
            null_db=_decibels(missed, recording.energy),
            warnings=[*recording.warnings, *left_out],
        )

    def _encode(self, report: Report) -> None:
        gain = 1.0
        if clips(self.options.format, self.options.bits) and self.peak > 1:
            gain = 1 / self.peak
            report.gain_db = round(20 * float(np.log10(gain)), 2)
            report.warnings.append(
                f"All stems were lowered by {-report.gain_db:.1f} dB together, so that the loudest doesn't clip in "
                f"{self.options.format.upper()}. WAV with float samples keeps the level."
            )
        written = [*report.stems, *([RESIDUAL] if report.residual else [])]
        for done, stem in enumerate(written):
            self.on_progress(Progress("encode", done, len(written)))
            report.files[stem] = self._write(stem, report.title, np.float32(gain))
        self.on_progress(Progress("encode", len(written), len(written), 0.0))

    def _write(self, stem: str, title: str, gain: np.float32) -> Path:
        part = self.scratch / f"{stem}.part"
        with (
            self._spool(stem).open("rb") as spool,
            Encoder(part, self.options.format, self.options.bits, {"title": f"{title} - {stem}"}) as encoder,
        ):
            while (audio := np.fromfile(spool, np.float32, CHUNK * CHANNELS)).size:
                encoder.write(audio.reshape(-1, CHANNELS).T * gain)
        self._spool(stem).unlink()
        return part.replace(self.directory / f"{stem}.{self.options.format}")


def _decibels(part: float, whole: float) -> float:
    """10 log10(part / whole), not below FLOOR_DB; nothing missed of silence is FLOOR_DB too."""
    least = 10 ** (FLOOR_DB / 10)
    return round(10 * float(np.log10(max(part / whole if whole else part, least))), 2)
