"""Archives that are packed while they are sent."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

from zipstream import ZipStream

from webapp.http.ranges import CHUNK
from webapp.storage.base import store


def parts(path: Path) -> Iterator[bytes]:
    """Read no sooner than its turn comes."""
    with closing(store().open_from(path)) as file:
        while chunk := file.read(CHUNK):
            yield chunk


async def packed(archive: ZipStream) -> AsyncIterator[bytes]:
    """The archive, read in another thread so that a slow disk holds nobody up."""
    parts = iter(archive)
    while chunk := await asyncio.to_thread(next, parts, b""):
        yield chunk
