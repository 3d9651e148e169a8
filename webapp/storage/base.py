"""Access to stored files, which are in the media folder or in an S3 bucket (`s3.py`).

A path below the media folder identifies a file in either; its key in a bucket is the path relative to that folder. With
a bucket the media folder is only a workspace: new files are written there and then published, and files to be read are
downloaded to it. Without a bucket nothing is ever copied.
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
    """What HTTP responses state about a file. size: bytes; modified: seconds since 1970; etag: including its quotes."""

    size: int
    modified: float
    etag: str


class Store(Protocol):
    """What SoundScape needs of a storage backend beyond Django's own interface."""

    def stat(self, path: Path) -> Stat:
        """Return size, time and ETag of a file. Raises FileNotFoundError."""

    def open_from(self, path: Path, start: int = 0) -> IO[bytes]:
        """Open a file for reading at byte `start`. The caller closes it. Raises FileNotFoundError."""

    def nginx_path(self, path: Path) -> str:
        """Return the address of the file for X-Accel-Redirect, or "" if the site sends it itself."""

    def local_copy(self, path: Path, *names: str) -> AbstractContextManager[Path]:
        """Provide a file or folder as a local path. names: the entries of the folder that are needed; all by default.

        Raises FileNotFoundError if there is nothing in a bucket under that path.
        """

    def workplace(self, folder: Path) -> AbstractContextManager[Publish]:
        """Create a folder to write files in, and provide a function that publishes new and changed files.

        Files whose names begin with a dot are not published. Raises FileExistsError.
        """

    def put(self, local: Path, path: Path) -> None:
        """Publish a local file as `path`, where no file is yet."""

    def discard(self, folder: Path) -> None:
        """Remove a folder and everything in it. A missing folder is no error."""

    def is_writable(self) -> bool:
        """Check whether files can be written. May raise an error that explains why not."""


def store() -> Store:
    """Return the storage backend that the settings select."""
    return cast(Store, default_storage)
