"""ZIP archives that are packed while they are sent."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

from django.http import HttpResponseBase, StreamingHttpResponse
from zipstream import ZIP_STORED, ZipStream

from webapp.http.ranges import CHUNK, as_attachment
from webapp.storage.base import store


def new_archive() -> ZipStream:
    """An empty archive. It does not compress: its size must be known before it is packed, and audio hardly shrinks."""
    return ZipStream(compress_type=ZIP_STORED, sized=True)


def add_file(archive: ZipStream, name: str, path: Path) -> None:
    """Add a stored file, which is opened only when its turn comes. Raises FileNotFoundError."""
    archive.add(_chunks_of(path), name, size=store().stat(path).size)


def send_archive(archive: ZipStream, filename: str) -> HttpResponseBase:
    """A response that packs the archive while it is sent."""
    headers = {"Content-Length": str(len(archive)), "Content-Type": "application/zip"}
    return as_attachment(StreamingHttpResponse(_packed(archive), headers=headers), filename)


def _chunks_of(path: Path) -> Iterator[bytes]:
    with closing(store().open_from(path)) as file:
        while chunk := file.read(CHUNK):
            yield chunk


async def _packed(archive: ZipStream) -> AsyncIterator[bytes]:
    """The archive, packed in another thread so that a slow disk does not block the event loop."""
    chunks = iter(archive)
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk
