"""Audio out: segments, peaks, pictures and finished files, with Range and ETag, for the owner, and staff.

The body is an asynchronous iterator: under ASGI a FileResponse would read the whole file into memory first.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, http_date
from django.views.decorators.http import require_safe

from webapp.models import COVER, DETECTION, THUMBNAIL, Export, Job, State, Stem
from webapp.permissions import reach, user_of
from webapp.serializers import all_tracks
from webapp.storage import Stat, store

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
drawer = ThreadPoolExecutor(1, "draw")  # of its own, so that playing doesn't wait for it
LONGEST = 200  # characters of a title in a file's name, which has more to say and mostly may not be over 255
RANGE = re.compile(r"bytes=([0-9]{,18})-([0-9]{,18})")  # no file is longer than that can say


@require_safe
async def segment(request: HttpRequest, pk: UUID, name: str, index: int) -> HttpResponseBase:
    """Some seconds of a stem, as soon as they are finished."""
    job = (await _own_stem(request, pk, name)).job
    return await _send_segment(request, job.published / name, index, job.segments_done)


@require_safe
async def draft_segment(request: HttpRequest, pk: UUID, name: str, index: int) -> HttpResponseBase:
    """The same as a draft, until it is finished."""
    job = (await _own_stem(request, pk, name)).job
    return await _send_segment(request, job.draft / name, index, job.draft_done)


async def _send_segment(request: HttpRequest, folder: Path, index: int, done: int) -> HttpResponseBase:
    if index >= done:
        raise Http404
    return await send_file(request, folder / f"{index:05d}.flac", "audio/flac")


@require_safe
async def original_segment(request: HttpRequest, pk: UUID, index: int) -> HttpResponseBase:
    """Some seconds of the song itself, there before any stem."""
    job = await own_job(request, pk)
    if index >= job.original_done:
        raise Http404
    return await send_file(request, job.original / f"{index:05d}.flac", "audio/flac")


@require_safe
async def original_peaks(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The waveform of the song itself."""
    job = await own_job(request, pk)
    return await send_file(request, job.original / "peaks.i8", "application/octet-stream")


@require_safe
async def thumbnail(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The same in few peaks, for a list."""
    job = await own_job(request, pk)
    return await send_file(request, job.original / THUMBNAIL, "application/octet-stream")


@require_safe
async def cover(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The picture that came with the upload."""
    job = await own_job(request, pk)
    return await send_file(request, job.original / COVER, job.tags.get("cover_type", "application/octet-stream"))


@require_safe
async def peaks(request: HttpRequest, pk: UUID, name: str) -> HttpResponseBase:
    """The waveform as far as it is known: the draft's, where the stem itself isn't finished."""
    stem = await _own_stem(request, pk, name)
    path = Path(name, "peaks.i8")
    if not stem.job.draft_done:
        return await send_file(request, stem.job.published / path, "application/octet-stream")
    folders = (stem.job.directory, stem.job.draft)
    finished, draft = [await asyncio.to_thread(_whole, folder / path) for folder in folders]
    known = finished + draft[len(finished) :]
    return HttpResponse(known, "application/octet-stream", headers={"Cache-Control": CACHING})


def _whole(path: Path) -> bytes:
    """A file, which may not be there yet."""
    try:
        with closing(store().part(path)) as file:
            return file.read()
    except FileNotFoundError:
        return b""


@require_safe
async def spectrogram(request: HttpRequest, pk: UUID, name: str) -> HttpResponseBase:
    """What a finished stem holds over time and pitch: rows of X-Bands bytes, X-Columns of them; see `pipeline`."""
    stem = await _own_stem(request, pk, name)
    if stem.job.finished is None:
        raise Http404
    try:
        path, bands, columns = await asyncio.wrap_future(drawer.submit(_drawn, stem))
    except FileNotFoundError as error:  # deleted, or chosen anew, a moment ago
        raise Http404 from error
    response = await send_file(request, path, "application/octet-stream")
    response["X-Bands"], response["X-Columns"] = str(bands), str(columns)
    return response


def _drawn(stem: Stem) -> tuple[Path, int, int]:
    from pipeline.segments import INDEX  # noqa: PLC0415 - they load NumPy
    from pipeline.spectrogram import BANDS, FILE, cached  # noqa: PLC0415

    path = stem.job.published / stem.name / FILE
    try:
        size = store().stat(path).size
    except FileNotFoundError:
        with store().at_hand(stem.job.published, INDEX, stem.name) as folder:
            drawn = cached(folder, stem.name)
            size = drawn.stat().st_size
            store().put(drawn, path)
    return path, BANDS, size // BANDS


@require_safe
async def export(request: HttpRequest, pk: UUID, export: UUID) -> HttpResponseBase:
    """A file that was made to be taken along."""
    job = await own_job(request, pk)
    made = await Export.objects.filter(job=job, pk=export, state=State.DONE).afirst()
    if made is None:
        raise Http404
    response = await send_file(request, made.path, TYPES[made.path.suffix])
    return as_attachment(response, made.filename)


@require_safe
async def track(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The song as it was uploaded."""
    mine = reach(await user_of(request), request.method, "owner")
    found = await all_tracks().filter(mine, pk=pk).afirst()
    if found is None:
        raise Http404
    path = found.path
    response = await send_file(request, path, TYPES.get(path.suffix, "application/octet-stream"))
    return as_attachment(response, f"{tame(found.title)}{path.suffix}")


def as_attachment(response: HttpResponseBase, filename: str) -> HttpResponseBase:
    """A response that browsers save under that name."""
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=filename) or ""
    return response


@require_safe
async def detection(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """What the detector heard, second by second."""
    job = await own_job(request, pk)
    return await send_file(request, job.published / DETECTION, "application/json")


async def send_file(request: HttpRequest, path: Path, content_type: str) -> HttpResponseBase:
    """The file, a part of it (206), 304, 412 or 416, as the request's headers ask."""
    stat = await _stat(path)
    if address := store().sent_by_nginx(path):
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
    """The bytes asked for, an empty range if there are none such. None means all: no range or an unusual form of it."""
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
    """The file's bytes, read in another thread so that a slow disk or network holds nobody up."""
    with closing(await asyncio.to_thread(store().part, path, part.start)) as file:
        async for chunk in chunks(file, len(part)):
            yield chunk


async def chunks(file: IO[bytes], count: int) -> AsyncIterator[bytes]:
    """So many bytes of an open file, from where it stands."""
    while count and (chunk := await asyncio.to_thread(file.read, min(CHUNK, count))):
        count -= len(chunk)
        yield chunk


async def _stat(path: Path) -> Stat:
    try:
        return await asyncio.to_thread(store().stat, path)
    except FileNotFoundError as error:
        raise Http404 from error


async def own_job(request: HttpRequest, pk: UUID) -> Job:
    """One's job, with its track; any for staff. 404 for others' and deleted ones."""
    mine = Job.objects.select_related("track").filter(reach(await user_of(request), request.method))
    job = await mine.filter(pk=pk, deleted_at=None).afirst()
    if job is None:
        raise Http404
    return job


async def _own_stem(request: HttpRequest, pk: UUID, name: str) -> Stem:
    mine = reach(await user_of(request), request.method, "job__track__owner")
    kept = Stem.objects.select_related("job__track").filter(job__deleted_at=None)
    stem = await kept.filter(mine, job_id=pk, name=name).afirst()
    if stem is None:
        raise Http404
    return stem


def tame(title: str) -> str:
    """A title as a file name that every system takes."""
    return re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]+', "_", title)[:LONGEST].strip(" .") or "song"
