"""Storage in a folder of this machine."""

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
    """Stores everything below one folder, which may be on a network file system shared by all machines."""

    def stat(self, path: Path) -> Stat:
        stat = path.stat()
        return Stat(stat.st_size, stat.st_mtime, f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"')

    def open_from(self, path: Path, start: int = 0) -> IO[bytes]:
        file = path.open("rb")
        file.seek(start)
        return file

    def nginx_path(self, path: Path) -> str:
        """Return the address below nginx's internal location /media/."""
        return quote(f"/media/{path.relative_to(settings.MEDIA_ROOT)}") if settings.X_ACCEL else ""

    @contextmanager
    def local_copy(self, path: Path, *_names: str) -> Iterator[Path]:
        yield path

    @contextmanager
    def workplace(self, folder: Path) -> Iterator[Publish]:
        """Files written here are public at once, so publishing does nothing."""
        folder.mkdir(parents=True)
        yield lambda: None

    def put(self, local: Path, path: Path) -> None:
        local.replace(path)

    def discard(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    def is_writable(self) -> bool:
        return os.access(settings.DATA, os.W_OK | os.X_OK)
