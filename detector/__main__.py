"""Command line of the detector: python -m detector SONG | evaluate DIR | train | refine | compose DIR."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from detector import classifier
from detector.classifier import Detection
from detector.features import Array
from ensemble.errors import InvalidAudio, SeparationError
from ensemble.stft import SAMPLE_RATE

BARS = " ▁▂▃▄▅▆▇█"
COLUMNS = 72


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    commands = {"evaluate": evaluate, "train": train, "refine": refine, "compose": compose}
    command = commands.get(arguments[0], detect) if arguments else detect
    try:
        command(arguments[1:] if command is not detect else arguments)
    except SeparationError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def detect(argv: Sequence[str]) -> None:
    """Print the instruments of one song."""
    parser = argparse.ArgumentParser(
        prog="python -m detector",
        description="Detect the instruments of a song: how likely each one is, and when it plays.",
        epilog="Other commands: python -m detector evaluate DIR, train, refine, compose DIR.",
    )
    parser.add_argument("song", type=Path, metavar="SONG", help="an audio file")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    arguments = parser.parse_args(argv)
    audio = load(arguments.song)
    found = classifier.listen(lambda start, stop: audio[:, start:stop], audio.shape[1])
    print(json.dumps(found.as_dict()) if arguments.json else bars(found))


def evaluate(argv: Sequence[str]) -> None:
    """Measure the detector on a folder of songs in stems."""
    from detector import evaluate as stages  # noqa: PLC0415  only this command needs a separator

    parser = argparse.ArgumentParser(prog="python -m detector evaluate", description=stages.__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="folder with a folder per song that contains its stems"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to FILE")
    parser.add_argument("--cases", type=int, default=8, help="subsets of stems per song (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="random seed of subsets, moments and gains (default: 0)")
    parser.add_argument("--mixture-only", action="store_true", help="skip the second stage, which separates")
    arguments = parser.parse_args(argv)
    separate = None if arguments.mixture_only else stages.separator()
    report = stages.report(stages.tallies(arguments.folder, separate, arguments.cases, arguments.seed))
    print(stages.table(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


def train(argv: Sequence[str]) -> None:
    """Fit the head (detector.training.train)."""
    from detector.training import train as training  # noqa: PLC0415  needs the training dependencies

    training.main(argv)


def refine(argv: Sequence[str]) -> None:
    """Fit the second regression, for mixtures (detector.training.train)."""
    from detector.training import train as training  # noqa: PLC0415  needs the training dependencies

    training.refine_main(argv)


def compose(argv: Sequence[str]) -> None:
    """Write composed songs in stems (detector.training.compose)."""
    from detector.training import compose as songs  # noqa: PLC0415  needs the training dependencies

    songs.main(argv)


def load(path: Path) -> Array:
    """Decode an audio file to (2, samples) float32 at SAMPLE_RATE. Raises InvalidAudio."""
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
            blocks = [part.to_ndarray() for part in [*frames, *resampler.resample(None)]]
    except (av.error.FFmpegError, IndexError) as error:
        raise InvalidAudio(f"{path} can't be read as audio ({error}). Export it again as WAV, FLAC or MP3.") from error
    if not sum(block.shape[1] for block in blocks):
        raise InvalidAudio(f"{path} contains no sound. Export it again from your audio program.")
    return np.concatenate(blocks, axis=1)


def bars(found: Detection) -> str:
    """Format a detection: a line per instrument with its presence, probability and timeline."""
    lines = [f"{found.seconds:.1f} s; each column is {max(1.0, found.seconds / COLUMNS):.1f} s"]
    for kind, row in found.stems.items():
        columns = np.array_split(np.asarray(row.timeline), min(COLUMNS, len(row.timeline)))
        drawn = "".join(BARS[round(float(column.mean()) * (len(BARS) - 1))] for column in columns)
        lines.append(f"{kind:8} {row.presence:9} {row.probability:4.2f} |{drawn}|")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
