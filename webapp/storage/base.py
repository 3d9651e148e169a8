"""Where files are kept: the media folder, or a bucket that speaks S3 (`s3.py`).

A path below the media folder names a file in either; its key in a bucket is the path relative to that folder. With a
bucket the media folder is only a place to work: whoever makes files makes them there and publishes them, and whoever
needs files has them brought. With the folder nothing is ever copied.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from django.core.files.storage import default_storage

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
