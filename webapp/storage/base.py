"""Where files are kept: the media folder, or a bucket that speaks S3 (`bucket.py`).

A path below the media folder names a file in either; its key in a bucket is the path relative to that folder. With a
bucket the media folder is only a place to work: whoever makes files makes them there and publishes them, and whoever
needs files has them brought. With the folder nothing is ever copied.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast
from urllib.parse import quote

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage

Publish = Callable[[], None]

DISK_FULL = "The disk of the server is full. Once there is room, try again."


@dataclass(frozen=True, slots=True)
class Stat:
    """What answers to requests say of a file. size: bytes; modified: seconds since 1970; etag: with its quotes."""

    size: int
    modified: float
    etag: str


class Store(Protocol):
    """What a place for files can do besides what Django wants of it."""

    def stat(self, path: Path) -> Stat:
        """Raises FileNotFoundError."""

    def part(self, path: Path, start: int = 0) -> IO[bytes]:
        """The file from that byte on, to be read and closed. Raises FileNotFoundError."""

    def sent_by_nginx(self, path: Path) -> str:
        """The address at which nginx has the file, for X-Accel-Redirect; "" if the site sends it itself."""

    def at_hand(self, path: Path, *names: str) -> AbstractContextManager[Path]:
        """Meanwhile a local copy of a file, or of a folder: all of it, or what has one of these names."""

    def workplace(self, folder: Path) -> AbstractContextManager[Publish]:
        """A new folder to make files in. What is called publishes those that are new or changed since the last time.

        What begins with a dot stays private. Raises FileExistsError.
        """

    def put(self, local: Path, path: Path) -> None:
        """Publish one file under another path, where it isn't there already."""

    def discard(self, folder: Path) -> None:
        """Remove a folder with all in it; there may be none."""

    def answers(self) -> bool:
        """Whether files can be written. May raise what tells why not."""


def store() -> Store:
    """The one in use."""
    return cast(Store, default_storage)


class Folder(FileSystemStorage):
    """Everything in one folder of this machine, or of a network file system that all of them see."""

    def stat(self, path: Path) -> Stat:
        """See Store."""
        stat = path.stat()
        return Stat(stat.st_size, stat.st_mtime, f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"')

    def part(self, path: Path, start: int = 0) -> IO[bytes]:
        """See Store."""
        file = path.open("rb")
        file.seek(start)
        return file

    def sent_by_nginx(self, path: Path) -> str:
        """Inside its location /media/."""
        return quote(f"/media/{path.relative_to(settings.MEDIA_ROOT)}") if settings.X_ACCEL else ""

    @contextmanager
    def at_hand(self, path: Path, *_names: str) -> Iterator[Path]:
        """It is here already."""
        yield path

    @contextmanager
    def workplace(self, folder: Path) -> Iterator[Publish]:
        """What is made there is public at once."""
        folder.mkdir(parents=True)
        yield lambda: None

    def put(self, local: Path, path: Path) -> None:
        """See Store."""
        local.replace(path)

    def discard(self, folder: Path) -> None:
        """See Store."""
        shutil.rmtree(folder, ignore_errors=True)

    def answers(self) -> bool:
        """See Store."""
        return os.access(settings.DATA, os.W_OK | os.X_OK)
