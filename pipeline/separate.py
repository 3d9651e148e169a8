"""The separation of a song, step by step: decode, detect, draft, separate block by block, confirm, encode."""

import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from detector import classifier, features
from detector.classifier import CONFIRMED, MIXTURE, Detection
from ensemble import registry
from ensemble.errors import ModelUnavailable
from ensemble.levels import gain_db
from ensemble.networks import runtime
from ensemble.networks.demucs import Level
from ensemble.separator import Separator, needed
from ensemble.stft import Reader
from pipeline import stem_selection
from pipeline.audio.decode import decode
from pipeline.audio.encode import output_rate, suffix
from pipeline.audio.probe import probe
from pipeline.audio.recording import SAMPLE_RATE, Audio, Recording, disk_full
from pipeline.options import DRAFT, RESIDUAL, STEMS, Options, experimental_stems, stem_choices
from pipeline.playback import segments
from pipeline.playback.segments import Block
from pipeline.quality import relative_level, weigh
from pipeline.report import OnBlock, OnDecoded, OnDetected, OnDraft, OnProgress, Progress, Report
from pipeline.spool import Files, Spool

T = TypeVar("T")

CARD_FIELDS = ("name", "title", "sha256", "licence", "origin")  # of each model in the report


def separate_file(
    source: Path,
    directory: Path,
    options: Options | None = None,
    *,
    on_progress: OnProgress = lambda _: None,
    on_decoded: OnDecoded = lambda _: None,
    on_detected: OnDetected = lambda *_: None,
    on_draft: OnDraft | None = None,
    on_block: OnBlock = lambda _: None,
) -> Report:
    """Separate `source`, write the stems to directory/<stem>.<format>, and return a report.

    Callbacks run in this thread; an exception in one stops the work and is passed on. on_draft is called if the draft's
    models are installed. Audio is kept in a scratch folder inside `directory`, which is always removed, so that memory
    hardly grows with the song.

    Raises InvalidAudio if the file is no song, ModelUnavailable, and SeparationError if the disk is full.
    """
    with _working(directory, options or Options(), on_progress, on_block) as work:
        recording = work.timed("decode", lambda: _decode(work, source))
        on_decoded(recording)
        detected, problems = work.timed("listen", lambda: _listen(work, recording, on_detected))
        wanted = _wanted(work.options.stems, work.options.preset, detected)
        separator = work.timed("load", lambda: _load(work.options.preset, recording, work.options.bleed, wanted))
        if on_draft and work.options.preset != DRAFT and all(map(registry.installed, registry.ensemble(DRAFT).members)):
            stems = stem_selection.delivered(separator.stems, [*wanted, RESIDUAL])
            work.timed("draft", lambda: on_draft(stems, _draft(work, recording, stems)))
        report = work.timed("separate", lambda: _separate(work, recording, separator, wanted))
        report.title, report.detected = recording.tags.title or source.stem, detected
        report.warnings = [*recording.warnings, *problems, *report.warnings]
        if detected:
            separating = [model["name"] for model in report.models]
            report.models += [_model_entry(name) for name in classifier.networks() if name not in separating]
            work.timed("confirm", lambda: _confirm(work, recording, report, on_detected))
        return work.finish(report, recording)


def warm(preset: str) -> None:
    """Load the networks that a song of this preset is likely to need, so that the first song doesn't wait for them.

    Networks that are not installed are skipped; the song itself will report them.
    """
    ready = {name: weights for name, weights in registry.ensemble(preset).members.items() if registry.installed(name)}
    for name in [*filter(registry.installed, classifier.networks()), *needed(ready)]:
        runtime.session(registry.verified(name))


def reusable(finished: Path, report: Report, options: Options) -> bool:
    """Whether a finished separation contains all stems that these options need and installed models separate."""
    found = segments.index(finished)
    wanted = _wanted(options.stems, report.preset, report.detected)
    return {*wanted} & {*stem_choices(report.preset)} <= {*found.stems, *found.merged}


def reselect_stems(
    source: Path,
    finished: Path,
    report: Report,
    directory: Path,
    options: Options,
    *,
    on_progress: OnProgress = lambda _: None,
    on_decoded: OnDecoded = lambda _: None,
    on_block: OnBlock = lambda _: None,
) -> Report:
    """Write another selection of stems of a separated song, from its complete folder of segments.

    report: of that separation; a new report is returned. Raises the same errors as separate_file.
    """
    with _working(directory, options, on_progress, on_block) as work:
        recording = work.timed("decode", lambda: _decode(work, source))
        on_decoded(recording)
        found = segments.index(finished)
        sources = [stem for stem in STEMS if stem in (*found.stems, *found.merged)]
        stems = stem_selection.delivered(sources, _wanted(options.stems, report.preset, report.detected))
        blocks = segments.replay(finished)
        null_db = work.timed("separate", lambda: work.through(blocks, len(found.starts), recording, sources, stems))
        passing = [_lowered(report.gain_db), *map(_unseparated, STEMS), *map(_not_found, STEMS)]
        warnings = [warning for warning in report.warnings if warning not in passing]
        chosen = replace(
            report,
            asked=list(options.stems),
            stems=stems,
            files={},
            gain_db=0.0,
            null_db=null_db,
            warnings=[*warnings, *(_unseparated(stem) for stem in options.stems if stem not in sources)],
        )
        _settle(chosen, sources, work.levels)
        return work.finish(chosen, recording)


def separate(recording: Recording, separator: Separator) -> Iterator[Block]:
    """Yield the finished blocks of a song in time order, with every separated stem by itself."""
    gain = segments.gain_of(recording.peak)
    for start, audio in separator.blocks(recording.read, recording.samples):
        stems = dict(zip(separator.stems, audio, strict=True))
        stop = start + audio.shape[-1]
        yield Block(start, stop, recording.samples, stems, gain=gain, source=recording.origin)


@dataclass
class _Work:
    """The state of one separation: options, callbacks, spooled stems, and the time of each stage in seconds.

    levels: of the separated stems, in dB relative to the mixture.
    """

    directory: Path
    options: Options
    on_progress: OnProgress
    on_block: OnBlock
    spool: Spool
    levels: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def scratch(self) -> Path:
        """The folder for temporary files."""
        return self.spool.folder

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """Run a stage and record its time."""
        began = time.monotonic()
        result = work()
        self.seconds[stage] = round(time.monotonic() - began, 3)
        return result

    def through(
        self, blocks: Iterable[Block], count: int, recording: Recording, sources: list[str], stems: list[str]
    ) -> float:
        """Spool `count` blocks, and pass them to on_block with all stems but `stems` merged into `other`.

        Returns the energy of the mixture minus the stems, relative to the mixture's, in dB.
        """
        began, missed, energy = time.monotonic(), 0.0, dict.fromkeys(sources, 0.0)
        merged = [stem for stem in sources if stem not in stems]
        self.on_progress(Progress("separate", 0, count))
        with self.spool:
            for done, block in enumerate(blocks, 1):
                self.spool.write(block.stems)
                self.on_block(_merged(block, merged))
                summed = np.sum(list(block.stems.values()), axis=0, dtype=np.float64)
                missed += float(np.square(recording.read(block.start, block.stop) - summed).sum())
                for stem in sources:
                    energy[stem] += float(np.square(block.stems[stem], dtype=np.float64).sum())
                left = (time.monotonic() - began) / done * (count - done)
                self.on_progress(Progress("separate", done, count, left))
        self.levels = {stem: relative_level(energy[stem], recording.energy) for stem in sources}
        return relative_level(missed, recording.energy)

    def reporting(self, stage: str, read: Reader, total: int, before: int = 0, of: int = 1) -> Reader:
        """Wrap a reader so that it reports the progress of a stage, in which `before` of `of` passes are complete."""

        def reading(start: int, stop: int) -> Audio:
            self.on_progress(Progress(stage, (before * total + start) // SAMPLE_RATE, of * total // SAMPLE_RATE))
            return read(start, stop)

        return reading

    def finish(self, report: Report, recording: Recording) -> Report:
        """Write the delivered stems, tagged like the upload, and complete the report."""
        self.timed("encode", lambda: self._encode(report, recording))
        report.seconds = self.seconds
        return report

    def _encode(self, report: Report, recording: Recording) -> None:
        merged = [stem.name for stem in report.merged]
        files = {stem: stem_selection.parts(stem, merged) for stem in report.stems}
        if report.residual:
            files[RESIDUAL] = [RESIDUAL]
        rate = output_rate(self.options.format, self.options.sample_rate, recording.source_rate)
        written = Files(self.spool, files, rate, recording)
        report.sample_rate, report.samples = rate, written.frames
        gain = written.safe_gain(self.options)
        if gain < 1:
            report.gain_db = round(float(gain_db(gain)), 2)
            report.warnings.append(_lowered(report.gain_db))
        report.evidence = weigh(recording, self.spool, files, gain)
        tags = replace(recording.tags, title=report.title)
        report.files = written.encode(
            self.directory, self.options, tags=tags, gain=gain,
            on_file=lambda done: self.on_progress(Progress("encode", done, len(files))),
        )  # fmt: skip
        for stem in {*STEMS, RESIDUAL} - {*files}:
            # A file of an earlier run would be counted twice beside the new ones.
            (self.directory / f"{stem}.{suffix(self.options.format)}").unlink(missing_ok=True)
        self.on_progress(Progress("encode", len(files), len(files), 0.0))


@contextmanager
def _working(directory: Path, options: Options, on_progress: OnProgress, on_block: OnBlock) -> Iterator[_Work]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".soundscape-", dir=directory) as scratch:
            yield _Work(directory, options, on_progress, on_block, Spool(Path(scratch)))
    except OSError as error:
        raise disk_full(error, directory) from error


def _decode(work: _Work, source: Path) -> Recording:
    total = round(probe(source, work.options.max_seconds))
    work.on_progress(Progress("decode", 0, total))
    for recording in decode(source, work.scratch / "mixture.f32", work.options.max_seconds):
        work.on_progress(Progress("decode", recording.samples // SAMPLE_RATE, total))
    return recording


def _listen(work: _Work, recording: Recording, on_detected: OnDetected) -> tuple[dict[str, Detection], list[str]]:
    """Detect instruments in the mixture, or return a warning if the detector is unavailable.

    Separation needs no detector.
    """
    work.on_progress(Progress("listen"))
    total = recording.samples // SAMPLE_RATE
    try:
        detected = classifier.listen(
            recording.read,
            recording.samples,
            lambda done: work.on_progress(Progress("listen", done // SAMPLE_RATE, total)),
        )
    except ModelUnavailable as error:
        return {}, [f"Instruments were not detected, so every stem was separated. {error.message}"]
    on_detected(MIXTURE, detected)
    return {MIXTURE: detected}, []


def _wanted(asked: tuple[str, ...], preset: str, detected: dict[str, Detection]) -> list[str]:
    return stem_selection.wanted(asked, detected.get(MIXTURE), experimental_stems(preset))


def _load(preset: str, recording: Recording, bleed: str, wanted: Collection[str]) -> Separator:
    return Separator(registry.ensemble(preset), Level(recording.mean, recording.std), bleed, wanted)


def _draft(work: _Work, recording: Recording, stems: list[str]) -> Iterator[Block]:
    """The song in those `stems` that the draft's network separates; the sound of the rest is in `other`."""
    separator = _load(DRAFT, recording, "off", stems)
    merged, count = [stem for stem in separator.sources if stem not in stems], separator.count(recording.samples)
    work.on_progress(Progress("draft", 0, count))
    for done, block in enumerate(separate(recording, separator), 1):
        yield replace(_merged(block, merged), merged={})
        work.on_progress(Progress("draft", done, count))


def _separate(work: _Work, recording: Recording, separator: Separator, wanted: list[str]) -> Report:
    stems, count = stem_selection.delivered(separator.sources, wanted), separator.count(recording.samples)
    null_db = work.through(separate(recording, separator), count, recording, separator.sources, stems)
    report = Report(
        title="",
        samples=recording.samples,
        asked=list(work.options.stems),
        stems=stems,
        residual=RESIDUAL in separator.stems,
        preset=work.options.preset,
        bleed=work.options.bleed,
        models=[_model_entry(member.model.name) for member in separator.loaded],
        provider=separator.loaded[0].provider,
        null_db=null_db,
        warnings=_shortcomings(separator, work.options.stems),
    )
    _settle(report, separator.sources, work.levels)
    return report


def _confirm(work: _Work, recording: Recording, report: Report, on_detected: OnDetected) -> None:
    """Run the detector on the separated stems, and merge those that prove empty into `other`."""
    work.on_progress(Progress("confirm"))
    sources = [stem for stem in STEMS if stem in (*report.stems, *(stem.name for stem in report.merged))]
    readers: list[Reader] = [recording.read, *(partial(work.spool.read, stem) for stem in sources)]
    spectrograms = (
        features.spectrogram(
            work.reporting("confirm", read, recording.samples, before, len(readers)), recording.samples, SAMPLE_RATE
        )
        for before, read in enumerate(readers)
    )
    mixture = next(spectrograms)
    # Stems are read one after the other, so that at most two are in memory.
    confirmed = classifier.confirm(mixture, zip(sources, spectrograms, strict=True), recording.samples / SAMPLE_RATE)
    report.detected[CONFIRMED] = confirmed
    _settle(report, sources, work.levels)
    on_detected(CONFIRMED, confirmed)


def _settle(report: Report, sources: list[str], levels: dict[str, float]) -> None:
    """Decide from all that is known about the stems which are kept; the rest is merged into `other`."""
    confirmed = report.detected.get(CONFIRMED)
    report.stems = stem_selection.proven(report.stems, confirmed, levels)
    silent = stem_selection.silent(report.asked, report.detected.get(MIXTURE), confirmed, levels)
    detected = [stem for stem in report.stems if stem not in silent]
    report.merged = stem_selection.merged(sources, detected, report.asked, confirmed, levels)
    missed = [_not_found(stem.name) for stem in report.merged if stem.name in report.asked]
    report.warnings += [warning for warning in missed if warning not in report.warnings]


def _merged(block: Block, names: list[str]) -> Block:
    """Merge some stems of a block into `other`."""
    stems = {stem: audio for stem, audio in block.stems.items() if stem not in names}
    merged = {stem: block.stems[stem] for stem in names}
    stems["other"] = np.asarray(np.sum([stems["other"], *merged.values()], axis=0), np.float32)
    return replace(block, stems=stems, merged=merged)


def _model_entry(model: str) -> dict[str, Any]:
    card = registry.card(model)
    return {name: getattr(card, name) for name in CARD_FIELDS}


def _shortcomings(separator: Separator, asked: tuple[str, ...]) -> list[str]:
    """Collect warnings about requests that could not be met."""
    left_out = [name for name in separator.missing if name in separator.preset.members]
    messages = [f"The model {name} is not installed and was left out." for name in left_out]
    return [*messages, *(_unseparated(stem) for stem in asked if stem not in separator.sources)]


def _unseparated(stem: str) -> str:
    return f"No installed model separates {stem}: its sound is in other."


def _not_found(stem: str) -> str:
    return f"No {stem} could be separated from this song: its sound stays in other."


def _lowered(gain_db: float) -> str:
    return (
        f"All stems were lowered by {-gain_db:.1f} dB together, so that the loudest doesn't clip. "
        "WAV with float samples keeps the level."
    )
