"""Audio out: segments, peaks and finished stems, with Range and ETag, for the owner alone.

The body is an asynchronous iterator: under ASGI a FileResponse would read the whole file into memory first.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from os import stat_result
from pathlib import Path
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, http_date
from django.views.decorators.http import require_safe

from webapp.models import State, Stem

CHUNK = 256 * 1024
TYPES = {".flac": "audio/flac", ".wav": "audio/wav", ".mp3": "audio/mpeg"}
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@require_safe
async def segment(request: HttpRequest, pk: UUID, name: str, index: int) -> HttpResponseBase:
    """Ten seconds of a stem, as soon as they are finished."""
    stem = await _own_stem(request, pk, name)
    if index >= stem.job.segments_done:
        raise Http404
    return await send_file(request, stem.job.directory / name / f"{index:05d}.flac", "audio/flac")


@require_safe
async def peaks(request: HttpRequest, pk: UUID, name: str) -> HttpResponseBase:
    """The waveform as far as it is known."""
    stem = await _own_stem(request, pk, name)
    return await send_file(request, stem.job.directory / name / "peaks.i8", "application/octet-stream")


@require_safe
async def download(request: HttpRequest, pk: UUID, name: str) -> HttpResponseBase:
    """A finished stem."""
    stem = await _own_stem(request, pk, name)
    if stem.job.state != State.DONE or not stem.file:
        raise Http404
    path = Path(stem.file.path)
    response = await send_file(request, path, TYPES.get(path.suffix, "application/octet-stream"))
    filename = f"{_tame(stem.job.track.title)} - {name}{path.suffix}"
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=filename) or ""
    return response


async def send_file(request: HttpRequest, path: Path, content_type: str) -> HttpResponseBase:
    """The file, a part of it (206), 304, 412 or 416, as the request's headers ask."""
    stat = await _stat(path)
    etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    headers = {
        "ETag": etag,
        "Last-Modified": http_date(stat.st_mtime),
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
    }
    early = get_conditional_response(request, etag, int(stat.st_mtime), HttpResponse(headers=headers))
    if early is not None and early.status_code in (304, 412):
        return early
    wanted = _wanted(request, etag, stat.st_size)
    if wanted is None:
        return HttpResponse(status=416, headers=headers | {"Content-Range": f"bytes */{stat.st_size}"})
    return _body(request, path, wanted, stat.st_size, headers | {"Content-Type": content_type})


def _body(request: HttpRequest, path: Path, wanted: range, size: int, headers: dict[str, str]) -> HttpResponseBase:
    partial = len(wanted) != size
    headers = headers | {"Content-Length": str(len(wanted))}
    if partial:
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
    status = 206 if partial else 200
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=headers)
    return StreamingHttpResponse(_read(path, wanted), status=status, headers=headers)


def _wanted(request: HttpRequest, etag: str, size: int) -> range | None:
    """The bytes asked for; None if there are none such. Unusual forms mean all, as the standard allows."""
    match = RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if not match or request.headers.get("If-Range", etag) != etag or match.groups() == ("", ""):
        return range(size)
    first, last = match.groups()
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    return range(start, stop) if start < stop else None


async def _read(path: Path, wanted: range) -> AsyncIterator[bytes]:
    """The file's bytes, read in another thread so that a slow disk holds nobody up."""
    with await asyncio.to_thread(path.open, "rb") as file:
        file.seek(wanted.start)
        left = len(wanted)
        while left and (chunk := await asyncio.to_thread(file.read, min(CHUNK, left))):
            left -= len(chunk)
            yield chunk


async def _stat(path: Path) -> stat_result:
    try:
        return await asyncio.to_thread(path.stat)
    except FileNotFoundError as error:
        raise Http404 from error


async def _own_stem(request: HttpRequest, pk: UUID, name: str) -> Stem:
    user = await request.auser()
    mine = Stem.objects.select_related("job__track").filter(job__track__owner_id=user.pk, job_id=pk, name=name)
    stem = await mine.afirst()
    if stem is None:
        raise Http404
    return stem


def _tame(title: str) -> str:
    """A title as a file name that every system takes."""
    return re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]+', "_", title).strip(" .") or "song"
