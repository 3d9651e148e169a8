"""Command line of the pipeline: soundscape SONG... -o DIR, or python -m pipeline."""

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from detector.classifier import MIXTURE, PRESENT, UNCERTAIN, Detection
from pipeline.audio.probe import clock
from pipeline.options import BITS, DEFAULT_BLEED, FORMATS, SAMPLE_RATES, SOURCE, STEMS, Options, SeparationError, bleeds
from pipeline.report import Progress, Report
from pipeline.separate import separate_file
from pipeline.stem_selection import Merged

NAME_BYTES = 200  # of a folder's name; file systems allow 255
SECONDS_BETWEEN_LINES = 5.0
STAGE_TEXTS = {"decode": "decoded {}", "listen": "detecting instruments", "confirm": "checking the separated stems"}


def main(argv: list[str] | None = None) -> int:
    """Separate every song. Returns 0 only if all succeeded."""
    arguments = parser().parse_args(argv)
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    try:
        options = Options(
            stems=tuple(arguments.stems.split(",")) if arguments.stems else (),
            format=arguments.format,
            bits=arguments.bits,
            sample_rate=arguments.sample_rate,
            preset=arguments.preset,
            bleed=arguments.bleed,
        )
    except SeparationError as error:
        print(f"soundscape: {error.message}", file=sys.stderr)
        return 2
    reports = [separate_one(song, folder, options) for song, folder in folders(arguments.songs, arguments.output)]
    if arguments.report:
        write_report(arguments.report, [report for report in reports if report])
    return 0 if all(reports) else 1


def parser() -> argparse.ArgumentParser:
    """Build the argument parser of the command line."""
    made = argparse.ArgumentParser(prog="soundscape", description="Separate songs into their stems.")
    made.add_argument("songs", nargs="+", type=Path, metavar="SONG", help="audio files, or videos with sound")
    made.add_argument(
        "-o", "--output", type=Path, default=Path("separated"), metavar="DIR", help="output folder (default: separated)"
    )
    made.add_argument(
        "--stems", metavar="A,B", help=f"stems to separate, of {', '.join(STEMS)} (default: those detected)"
    )
    made.add_argument(
        "--format",
        choices=list(FORMATS),
        default="wav",
        help="file type (default: wav); mp3: 320 kbit/s, mp3-v0: VBR V0",
    )
    made.add_argument(
        "--bits", choices=BITS, default="float", help="sample format of WAV and FLAC; float (WAV only) can't clip"
    )
    made.add_argument(
        "--sample-rate",
        choices=SAMPLE_RATES,
        default=SOURCE,
        help="sample rate of the files in Hz (default: the song's)",
    )
    made.add_argument("--bleed", default=DEFAULT_BLEED, help=bleed_help())
    made.add_argument("--preset", default="default", help="models to use; see python -m ensemble list")
    made.add_argument(
        "--report", type=Path, metavar="FILE", help="write a JSON report, or a list of reports for several songs"
    )
    return made


def bleed_help() -> str:
    """Describe the bleed settings for the help text."""
    return " ".join(f"{name}: {setting.meaning}" for name, setting in bleeds().items()) + f" Default: {DEFAULT_BLEED}."


def folders(songs: list[Path], output: Path) -> list[tuple[Path, Path]]:
    """Assign each song a folder named after it; songs of the same name are numbered."""
    taken: dict[str, int] = {}
    pairs = []
    for song in songs:
        name = song.stem.encode()[:NAME_BYTES].decode(errors="ignore").strip() or "song"
        taken[name] = taken.get(name, 0) + 1
        pairs.append((song, output / (name if taken[name] == 1 else f"{name} ({taken[name]})")))
    return pairs


def separate_one(song: Path, folder: Path, options: Options) -> Report | None:
    """Separate a song and print the result. On failure, print the error and return None."""
    with Display(song.name) as display:
        try:
            report = separate_file(song, folder, options, on_progress=display.show, on_detected=display.detected)
        except SeparationError as error:
            display.say(f"failed: {error.message}", sys.stderr)
            return None
        for warning in report.warnings:
            display.say(f"warning: {warning}", sys.stderr)
        took = sum(report.seconds.values())
        display.say(f"{', '.join(report.stems)} in {folder} ({clock(took)} on {report.provider})")
        for stem in [] if report.asked else report.merged:
            display.say(merged_line(stem))
        return report


def stage_line(progress: Progress) -> str:
    """Describe a stage before or after the separation, and its progress."""
    percent = f" ({min(100 * progress.done // progress.total, 100)} %)" if progress.total else ""
    return STAGE_TEXTS[progress.stage].format(clock(progress.done)) + percent


def detected_line(detected: Detection) -> str:
    """Describe what the detector found."""
    sure = ", ".join(detected.named(PRESENT)) or "nothing for sure"
    maybe = detected.named(UNCERTAIN)
    return f"detected {sure}" + (f"; perhaps {', '.join(maybe)}" if maybe else "")


def merged_line(stem: Merged) -> str:
    """Explain why a stem that the caller did not exclude was not delivered, and how to get it."""
    if stem.empty:
        return f"{stem.name} is barely present; its sound is in other"
    why = "was not expected, but is present" if stem.offered else "is barely present"
    return f"{stem.name} {why}; it was left in other (use --stems {stem.name} to separate it)"


def write_report(path: Path, reports: list[Report]) -> None:
    """Write the report of one song, or a list of reports."""
    found = [report.as_dict() for report in reports]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found[0] if len(found) == 1 else found, indent=2, ensure_ascii=False) + "\n", "utf-8")


class Display:
    """Progress display: a bar with the time left on a terminal, an occasional line elsewhere."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bar: tqdm[Any] | None = tqdm(desc=name, bar_format="{desc}", leave=False) if sys.stderr.isatty() else None
        self.began, self.last = time.monotonic(), 0.0

    def show(self, progress: Progress) -> None:
        """Show progress; the pipeline's on_progress."""
        now = time.monotonic()
        if self.bar is not None:
            self._draw(self.bar, progress)
        elif progress.stage == "separate" and now - self.last > SECONDS_BETWEEN_LINES:
            self.last = now
            self.say(f"block {progress.done} of {progress.total}{self._left(progress)}")
        elif progress.stage == "decode" and now - max(self.began, self.last) > SECONDS_BETWEEN_LINES:
            self.last = now
            self.say(stage_line(progress))

    def detected(self, stage: str, detected: Detection) -> None:
        """Show detected instruments; the pipeline's on_detected."""
        if stage == MIXTURE:
            self.say(detected_line(detected))

    def say(self, text: str, file: TextIO | None = None) -> None:
        """Print a line about this song above the bar."""
        tqdm.write(f"{self.name}: {text}", file=file or sys.stdout)

    def _draw(self, bar: "tqdm[Any]", progress: Progress) -> None:
        if progress.stage in STAGE_TEXTS:
            bar.set_description_str(f"{self.name}: {stage_line(progress)}")
            return
        bar.bar_format = "{desc} |{bar}| {n_fmt}/{total_fmt}{postfix}"
        bar.total, bar.n = progress.total, progress.done
        bar.set_description_str(f"{self.name}: {progress.stage}", refresh=False)
        bar.set_postfix_str(self._left(progress))

    def _left(self, progress: Progress) -> str:
        return "" if progress.seconds_left is None else f", {clock(progress.seconds_left)} left"

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()


if __name__ == "__main__":
    sys.exit(main())
