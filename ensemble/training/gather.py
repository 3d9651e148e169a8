"""Collect real music for training: python -m ensemble.training.gather DIR [--sung SONG... [--only-sung]].

Takes the free songs listed in songs.toml from Debian packages, and sung songs of your own, cuts out the loudest part of
each and separates it with the preset `default`. Every song becomes a folder of drums.flac, bass.flac, other.flac and,
if sung, vocals.flac. Separators mistake synthesisers and lead guitars for singers, so the "vocals" of instrumentals
stay in other.
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
from ensemble.evaluation.datasets import read
from ensemble.evaluation.evaluate import separator
from ensemble.stft import SAMPLE_RATE, Audio

SONGS = Path(__file__).with_name("songs.toml")
SECONDS = 36
LEVEL_DB, PEAK = -17.0, 0.99  # RMS of every excerpt, unless its peaks would clip
ARCHIVES = (".pk3", ".zip")

Stems = tuple[str, ...]
Separate = Callable[[Audio], dict[str, Audio]]

PLAYED: Stems = ("drums", "bass")
SUNG: Stems = ("vocals", *PLAYED)


def main(argv: Sequence[str] | None = None) -> int:
    """Create the missing folders. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ensemble.training.gather", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--sung", type=Path, nargs="+", default=[], metavar="SONG", help="songs with vocals")
    parser.add_argument("--only-sung", action="store_true", help="use no songs from packages")
    parser.add_argument(
        "--packages", type=Path, default=Path("data/packages"), metavar="DIR", help="where packages are kept"
    )
    parser.add_argument("--seconds", type=int, default=SECONDS, help="length of an excerpt (default: 36)")
    parser.add_argument(
        "--bleed",
        choices=registry.bleeds(),
        default=registry.DEFAULT_BLEED,
        help="bleed setting; off is faster (default: %(default)s)",
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
    """Unpack the songs of songs.toml, downloading missing packages. Raises InvalidOption."""
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
    """The file of a Debian package, downloaded if missing. Raises InvalidOption."""
    if not list(packages.glob(f"{name}_*.deb")):
        run("apt-get", "download", name, cwd=packages)
    return next(packages.glob(f"{name}_*.deb"))


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a Debian tool. Raises InvalidOption with its error message."""
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise InvalidOption(f"{command[0]} is missing. Run this on Debian or Ubuntu.") from error
    except subprocess.CalledProcessError as error:
        raise InvalidOption(f"{' '.join(command)} failed: {error.stderr.strip()}") from error


def loudest(song: Audio, seconds: int) -> Audio:
    """Cut out the loudest whole seconds of a song and bring them to LEVEL_DB.

    Parameters
    ----------
    song
        (2, samples) float32 at SAMPLE_RATE.
    seconds
        Length of the excerpt.

    Returns
    -------
    (2, seconds * SAMPLE_RATE) float32, or less if the song is shorter; peaks are at most PEAK.
    """
    power = np.add.reduceat(np.square(song).sum(axis=0), np.arange(0, song.shape[-1], SAMPLE_RATE))
    sums = np.convolve(power, np.ones(min(seconds, len(power))), "valid")
    start = int(sums.argmax()) * SAMPLE_RATE
    found = song[:, start : start + seconds * SAMPLE_RATE]
    rms, peak = float(np.sqrt(np.square(found).mean())), float(np.abs(found).max())
    return np.asarray(found * min(10 ** (LEVEL_DB / 20) / max(rms, 1e-6), PEAK / max(peak, 1e-6)), np.float32)


def divided(mixture: Audio, separate: Separate, stems: Stems) -> dict[str, Audio]:
    """Separate a mixture, and assign what is left by the named stems to `other`.

    Parameters
    ----------
    mixture
        (2, samples) float32.
    separate
        Function from the mixture to stems by name.
    stems
        Names to keep.

    Returns
    -------
    (2, samples) float32 by name.
    """
    found = separate(mixture)
    kept = {stem: found[stem] for stem in stems}
    return kept | {"other": mixture - np.sum(list(kept.values()), axis=0)}


def write(folder: Path, stems: dict[str, Audio]) -> None:
    """Write one FLAC file per stem, (2, samples). The folder appears once all files are complete."""
    part = folder.with_name(f".{folder.name}")
    part.mkdir(parents=True, exist_ok=True)
    for name, audio in stems.items():
        soundfile.write(part / f"{name}.flac", audio.T, SAMPLE_RATE, subtype="PCM_16")
    part.rename(folder)


if __name__ == "__main__":
    sys.exit(main())
