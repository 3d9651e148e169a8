"""Files in a folder of this machine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

from django.conf import settings
from django.core.files.storage import FileSystemStorage

from webapp.storage.base import Publish, Stat


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
