"""Audio segments, waveforms, pictures and files of a song, for its owner and for staff."""

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

spectrograms = ThreadPoolExecutor(1, "spectrogram")  # its own thread, so that playback does not wait for it


@require_safe
async def segment(request: HttpRequest, pk: UUID, name: str, index: int) -> HttpResponseBase:
    """A few seconds of a stem, as soon as they are finished."""
    job = (await _get_stem(request, pk, name)).job
    return await _send_segment(request, job.published / name, index, job.segments_done)


@require_safe
async def draft_segment(request: HttpRequest, pk: UUID, name: str, index: int) -> HttpResponseBase:
    """A few seconds of a stem's draft, until the stem is finished."""
    job = (await _get_stem(request, pk, name)).job
    return await _send_segment(request, job.draft / name, index, job.draft_done)


async def _send_segment(request: HttpRequest, folder: Path, index: int, done: int) -> HttpResponseBase:
    if index >= done:
        raise Http404
    return await send_file(request, folder / f"{index:05d}.flac", "audio/flac")


@require_safe
async def original_segment(request: HttpRequest, pk: UUID, index: int) -> HttpResponseBase:
    """A few seconds of the original song, which exist before any stem."""
    job = await _get_job(request, pk)
    if index >= job.original_done:
        raise Http404
    return await send_file(request, job.original / f"{index:05d}.flac", "audio/flac")


@require_safe
async def original_peaks(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The waveform of the original song."""
    job = await _get_job(request, pk)
    return await send_file(request, job.original / "peaks.i8", "application/octet-stream")


@require_safe
async def thumbnail(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The waveform of the original song with few peaks, for lists."""
    job = await _get_job(request, pk)
    return await send_file(request, job.original / THUMBNAIL, "application/octet-stream")


@require_safe
async def cover(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The cover picture in the uploaded file."""
    job = await _get_job(request, pk)
    return await send_file(request, job.original / COVER, job.tags.get("cover_type", "application/octet-stream"))


@require_safe
async def peaks(request: HttpRequest, pk: UUID, name: str) -> HttpResponseBase:
    """The waveform of a stem, followed by that of its draft where the stem is not finished."""
    stem = await _get_stem(request, pk, name)
    path = Path(name, "peaks.i8")
    if not stem.job.draft_done:
        return await send_file(request, stem.job.published / path, "application/octet-stream")
    folders = (stem.job.directory, stem.job.draft)
    finished, draft = [await asyncio.to_thread(_read, folder / path) for folder in folders]
    known = finished + draft[len(finished) :]
    return HttpResponse(known, "application/octet-stream", headers={"Cache-Control": CACHING})


def _read(path: Path) -> bytes:
    """The content of a file; nothing if it does not exist yet."""
    try:
        with closing(store().open_from(path)) as file:
            return file.read()
    except FileNotFoundError:
        return b""


@require_safe
async def spectrogram(request: HttpRequest, pk: UUID, name: str) -> HttpResponseBase:
    """The spectrogram of a finished stem: X-Columns columns of X-Bands bytes (see `pipeline.playback.spectrogram`)."""
    stem = await _get_stem(request, pk, name)
    if stem.job.finished is None:
        raise Http404
    try:
        path, bands, columns = await asyncio.wrap_future(spectrograms.submit(_drawn_spectrogram, stem))
    except FileNotFoundError as error:  # deleted or reselected a moment ago
        raise Http404 from error
    response = await send_file(request, path, "application/octet-stream")
    response["X-Bands"], response["X-Columns"] = str(bands), str(columns)
    return response


def _drawn_spectrogram(stem: Stem) -> tuple[Path, int, int]:
    """Path, bands and columns of the spectrogram, which is drawn at the first request."""
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
    """The file of a finished export."""
    job = await _get_job(request, pk)
    found = await Export.objects.filter(job=job, pk=export, state=State.DONE).afirst()
    if found is None:
        raise Http404
    response = await send_file(request, found.path, TYPES[found.path.suffix])
    return as_attachment(response, found.filename)


@require_safe
async def track(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The song as it was uploaded."""
    reachable = reach(await user_of(request), request.method, "owner")
    found = await all_tracks().filter(reachable, pk=pk).afirst()
    if found is None:
        raise Http404
    path = found.path
    response = await send_file(request, path, TYPES.get(path.suffix, "application/octet-stream"))
    return as_attachment(response, f"{tame(found.title)}{path.suffix}")


@require_safe
async def detection(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The detected instruments over time."""
    job = await _get_job(request, pk)
    return await send_file(request, job.published / DETECTION, "application/json")


async def _get_job(request: HttpRequest, pk: UUID) -> Job:
    """The job with its track, if it is within reach and not deleted. Raises Http404 otherwise."""
    reachable = Job.objects.select_related("track").filter(reach(await user_of(request), request.method))
    job = await reachable.filter(pk=pk, deleted_at=None).afirst()
    if job is None:
        raise Http404
    return job


async def _get_stem(request: HttpRequest, pk: UUID, name: str) -> Stem:
    reachable = reach(await user_of(request), request.method, "job__track__owner")
    kept = Stem.objects.select_related("job__track").filter(job__deleted_at=None)
    stem = await kept.filter(reachable, job_id=pk, name=name).afirst()
    if stem is None:
        raise Http404
    return stem
