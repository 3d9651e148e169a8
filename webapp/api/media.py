"""Segments, peaks, pictures and files of a song, for its owner and for staff."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe

from webapp.api.permissions import reach, user_of
from webapp.http.ranges import CACHING, TYPES, as_attachment, send_file
from webapp.models import COVER, DETECTION, THUMBNAIL, Export, Job, State, Stem
from webapp.songs.queries import all_tracks
from webapp.storage.base import store
from webapp.storage.filenames import tame

drawer = ThreadPoolExecutor(1, "draw")  # of its own, so that playing doesn't wait for it


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
        with closing(store().open_from(path)) as file:
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
    from pipeline.playback.segments import INDEX  # noqa: PLC0415 - they load NumPy
    from pipeline.playback.spectrogram import BANDS, FILE, cached  # noqa: PLC0415

    path = stem.job.published / stem.name / FILE
    try:
        size = store().stat(path).size
    except FileNotFoundError:
        with store().local_copy(stem.job.published, INDEX, stem.name) as folder:
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


@require_safe
async def detection(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """What the detector heard, second by second."""
    job = await own_job(request, pk)
    return await send_file(request, job.published / DETECTION, "application/json")


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
