"""Real music to train on: python -m ensemble.training.gather DIR [--sung SONG... [--only-sung]].

Takes the free songs that songs.toml names out of packages of Debian, and songs of one's own in which somebody sings,
cuts the loudest part out of each and separates it by the preset `default`. Every song becomes a folder of drums.flac,
bass.flac, other.flac and, if it was sung, vocals.flac. Separators take synthesisers and lead guitars for singers: what
they call vocals where nobody sings stays in other.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from ensemble import registry
from ensemble.errors import InvalidOption, SeparationError
from ensemble.evaluation.datasets import SAMPLE_RATE, read
from ensemble.evaluation.evaluate import separator
from ensemble.stft import Audio

SONGS = Path(__file__).with_name("songs.toml")
SECONDS = 36
LEVEL_DB, PEAK = -17.0, 0.99  # RMS of every excerpt, if its peaks allow
ARCHIVES = (".pk3", ".zip")

Stems = tuple[str, ...]
Separate = Callable[[Audio], dict[str, Audio]]

PLAYED: Stems = ("drums", "bass")
SUNG: Stems = ("vocals", *PLAYED)


def main(argv: Sequence[str] | None = None) -> int:
    """Make the folders that aren't there yet. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.training.gather", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--sung", type=Path, nargs="+", default=[], metavar="SONG", help="songs with a singer")
    parser.add_argument("--only-sung", action="store_true", help="take no song out of a package")
    parser.add_argument("--packages", type=Path, default=Path("data/packages"), metavar="DIR", help="kept there")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each song")
    parser.add_argument(
        "--bleed",
        choices=registry.bleeds(),
        default=registry.DEFAULT_BLEED,
        help="off is less work (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            wanted = dict.fromkeys(arguments.sung, SUNG)
            if not arguments.only_sung:
                wanted |= dict.fromkeys(free_songs(arguments.packages, Path(scratch)), PLAYED)
            separate = separator("default", [arguments.bleed])
            for song, stems in tqdm(wanted.items(), unit="song"):
                folder = arguments.folder / song.stem
                if not folder.exists():
                    excerpt = loudest(read(song), arguments.seconds)
                    write(folder, divided(excerpt, lambda mixture: separate(mixture)[arguments.bleed], stems))
    except SeparationError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def free_songs(packages: Path, scratch: Path) -> Iterator[Path]:
    """The songs of songs.toml, unpacked. Packages that aren't there are fetched. Raises InvalidOption."""
    packages.mkdir(parents=True, exist_ok=True)
    for name, row in tomllib.loads(SONGS.read_text()).items():
        place = scratch / name
        run("dpkg-deb", "--extract", str(package(name, packages)), str(place))
        for archive in [path for path in place.rglob("*") if path.suffix in ARCHIVES]:
            zipfile.ZipFile(archive).extractall(archive.with_suffix(""))
        found = {path.stem: path for path in place.rglob("*") if path.suffix in (".ogg", ".opus", ".mp3")}
        missing = [song for song in row["songs"] if song not in found]
        if missing:
            raise InvalidOption(f"{name} has no {', '.join(missing)}. Give the edition of Debian 12 in --packages.")
        for song in row["songs"]:
            yield found[song].rename(place / f"{name}-{song}{found[song].suffix}")


def package(name: str, packages: Path) -> Path:
    """The file of a package of Debian. Raises InvalidOption."""
    if not list(packages.glob(f"{name}_*.deb")):
        run("apt-get", "download", name, cwd=packages)
    return next(packages.glob(f"{name}_*.deb"))


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a tool of Debian. Raises InvalidOption with its complaint."""
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise InvalidOption(f"{command[0]} is missing. Run this on Debian or Ubuntu.") from error
    except subprocess.CalledProcessError as error:
        raise InvalidOption(f"{' '.join(command)} failed: {error.stderr.strip()}") from error


def loudest(song: Audio, seconds: int) -> Audio:
    """The loudest so many whole seconds of (2, samples), at LEVEL_DB."""
    power = np.add.reduceat(np.square(song).sum(axis=0), np.arange(0, song.shape[-1], SAMPLE_RATE))
    sums = np.convolve(power, np.ones(min(seconds, len(power))), "valid")
    start = int(sums.argmax()) * SAMPLE_RATE
    found = song[:, start : start + seconds * SAMPLE_RATE]
    rms, peak = float(np.sqrt(np.square(found).mean())), float(np.abs(found).max())
    return np.asarray(found * min(10 ** (LEVEL_DB / 20) / max(rms, 1e-6), PEAK / max(peak, 1e-6)), np.float32)


def divided(mixture: Audio, separate: Separate, stems: Stems) -> dict[str, Audio]:
    """(2, samples) of each of the stems, and of `other`, which is whatever they leave."""
    found = separate(mixture)
    kept = {stem: found[stem] for stem in stems}
    return kept | {"other": mixture - np.sum(list(kept.values()), axis=0)}


def write(folder: Path, stems: dict[str, Audio]) -> None:
    """One file per stem; the folder appears when all are there."""
    part = folder.with_name(f".{folder.name}")
    part.mkdir(parents=True, exist_ok=True)
    for name, audio in stems.items():
        soundfile.write(part / f"{name}.flac", audio.T, SAMPLE_RATE, subtype="PCM_16")
    part.rename(folder)


if __name__ == "__main__":
    sys.exit(main())
