"""Responses that send files, with Range, ETag and X-Accel-Redirect for nginx.

Their bodies are asynchronous iterators: under ASGI, FileResponse would read the whole file into memory first.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import IO

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, http_date

from webapp.storage.base import Stat, store

CHUNK = 256 * 1024
CACHING = "private, no-cache"
TYPES = {
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".opus": "audio/ogg",
    ".mp4": "audio/mp4",
    ".zip": "application/zip",
}
RANGE = re.compile(r"bytes=([0-9]{,18})-([0-9]{,18})")  # enough digits for any file


def as_attachment(response: HttpResponseBase, filename: str) -> HttpResponseBase:
    """The response with the header that makes browsers save it under that name."""
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=filename) or ""
    return response


async def send_file(request: HttpRequest, path: Path, content_type: str) -> HttpResponseBase:
    """The file (200), a part of it (206), or 304, 412 or 416, depending on the headers of the request."""
    stat = await _stat(path)
    if address := store().nginx_path(path):
        headers = {"X-Accel-Redirect": address, "Content-Type": content_type, "Cache-Control": CACHING}
        return HttpResponse(headers=headers)
    headers = {
        "ETag": stat.etag,
        "Last-Modified": http_date(stat.modified),
        "Accept-Ranges": "bytes",
        "Cache-Control": CACHING,
    }
    early = get_conditional_response(request, stat.etag, int(stat.modified), HttpResponse(headers=headers))
    if early is not None and early.status_code in (304, 412):
        return early
    size = stat.size
    part = _part(request, stat.etag, size)
    if part is None:
        return _body(request, path, range(size), 200, headers | {"Content-Type": content_type})
    if not part:
        return HttpResponse(status=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return _body(request, path, part, 206, headers | {"Content-Type": content_type})


def _body(request: HttpRequest, path: Path, part: range, status: int, headers: dict[str, str]) -> HttpResponseBase:
    headers = headers | {"Content-Length": str(len(part))}
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=headers)
    return StreamingHttpResponse(_read(path, part), status=status, headers=headers)


def _part(request: HttpRequest, etag: str, size: int) -> range | None:
    """The requested bytes, empty if out of bounds. None for the whole file: no Range, or one of an unsupported form."""
    match = RANGE.fullmatch(request.headers.get("Range", ""))
    if not match or request.headers.get("If-Range", etag) != etag:
        return None
    first, last = match.groups()
    if first and last and int(first) > int(last):
        return None
    if first:
        return range(int(first), min(int(last) + 1, size) if last else size)
    return range(max(size - int(last), 0), size) if last else None


async def _read(path: Path, part: range) -> AsyncIterator[bytes]:
    """The bytes of the file, read in another thread so that a slow disk or network does not block the event loop."""
    with closing(await asyncio.to_thread(store().open_from, path, part.start)) as file:
        async for chunk in chunks(file, len(part)):
            yield chunk


async def chunks(file: IO[bytes], count: int) -> AsyncIterator[bytes]:
    """The next `count` bytes of an open file, in chunks."""
    while count and (chunk := await asyncio.to_thread(file.read, min(CHUNK, count))):
        count -= len(chunk)
        yield chunk


async def _stat(path: Path) -> Stat:
    try:
        return await asyncio.to_thread(store().stat, path)
    except FileNotFoundError as error:
        raise Http404 from error
