"""What people take along: all stems in one archive, or the mix exactly as they hear it."""

import asyncio
import errno
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse, QueryDict, StreamingHttpResponse
from django.views.decorators.http import require_GET
from zipstream import ZIP_STORED, ZipStream

from pipeline.options import InvalidOption, Options
from webapp.files import TYPES, as_attachment, chunks, tame
from webapp.jobs import DISK_FULL
from webapp.models import Job, Stem

NAMED = ("mute", "solo", "master", "start", "end", "format", "bits")  # of a mix's query, beside its stems
if TYPE_CHECKING:
    from pipeline.mix import Mix

AT_ONCE, WAITING = 2, 4  # renderings; beyond them a site that is busy says so
SPARE = 2**30  # bytes of disk that renderings leave to the separations
BUSY = "Several mixes are being written at the moment. Please try again in a few seconds."

renderer = ThreadPoolExecutor(AT_ONCE, "mix")  # of its own, so that playing doesn't wait for it
admission = threading.BoundedSemaphore(AT_ONCE + WAITING)


@require_GET
async def stems(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Every finished stem in a ZIP file, packed while it is sent."""
    found = await _finished(request, pk)
    title = tame(found[0].job.track.title)
    try:
        archive = await asyncio.to_thread(_archive, found, title)
    except FileNotFoundError as error:  # deleted, or chosen anew, a moment ago
        raise Http404 from error
    headers = {"Content-Length": str(len(archive)), "Content-Type": "application/zip"}
    return as_attachment(StreamingHttpResponse(_packed(archive), headers=headers), f"{title}.zip")


@require_GET
async def mix(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The mix that the query describes, as a file.

    <stem>=dB (-inf is silence, 0 where not named), mute=<stem> and solo=<stem> as often as needed, master=dB, start and
    end in seconds, format and bits as of stems. X-Lowered-dB tells by how much it was lowered so as not to clip.
    """
    found = await _finished(request, pk)
    job, title = found[0].job, tame(found[0].job.track.title)
    try:
        wish = Options(format=request.GET.get("format", "wav"), bits=request.GET.get("bits", "float"))
        described = describe(request.GET, [stem.name for stem in found])
    except InvalidOption as error:
        return _refusal(error.message, 400)
    if not admission.acquire(blocking=False):
        return _refusal(BUSY, 503, {"Retry-After": "5"})
    rendering = renderer.submit(_render, job, described, wish)
    rendering.add_done_callback(lambda _: admission.release())  # also when the browser doesn't wait for it
    try:
        file, size, lowered = await asyncio.wrap_future(rendering)
    except InvalidOption as error:
        return _refusal(error.message, 400)
    except FileNotFoundError as error:
        raise Http404 from error
    except OSError as error:
        return _refusal(DISK_FULL if error.errno == errno.ENOSPC else str(error.strerror), 507)
    headers = {
        "Content-Length": str(size),
        "Content-Type": TYPES[f".{wish.format}"],
        "X-Lowered-dB": f"{lowered:.2f}",
    }
    response = StreamingHttpResponse(_sent(file, size), headers=headers)
    return as_attachment(response, f"{title} - mix.{wish.format}")


def describe(query: QueryDict, names: list[str]) -> "Mix":
    """The mix of those stems that a query asks for. Raises InvalidOption."""
    # Here, because it loads NumPy and ffmpeg, which a site that exports nothing does without.
    from pipeline.mix import Lane, Mix  # noqa: PLC0415

    for key in query:
        if key not in (*names, *NAMED):
            raise InvalidOption(f"{key!r} is no part of a mix. Known: {', '.join([*names, *NAMED])}.")
    mute, solo = (_stems(query, key, names) for key in ("mute", "solo"))
    lanes = [Lane(name, _number(query, name, 0.0), name in mute, name in solo) for name in names]
    end = _number(query, "end", 0.0) if "end" in query else None
    return Mix(lanes, _number(query, "master", 0.0), _number(query, "start", 0.0), end)


def _stems(query: QueryDict, key: str, names: list[str]) -> list[str]:
    for name in query.getlist(key):
        if name not in names:
            raise InvalidOption(f"{key}: there is no stem {name!r}. There are: {', '.join(names)}.")
    return query.getlist(key)


def _number(query: QueryDict, key: str, default: float) -> float:
    try:
        return float(query.get(key) or default)
    except ValueError as error:
        raise InvalidOption(f"{key}: {query[key]!r} is not a number.") from error


def _render(job: Job, described: "Mix", wish: Options) -> tuple[IO[bytes], int, float]:
    """An open file that is gone once it is closed, its size, and the dB by which the mix was lowered."""
    from pipeline.mix import render  # noqa: PLC0415

    if shutil.disk_usage(job.published).free < SPARE:
        raise OSError(errno.ENOSPC, DISK_FULL)
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(dir=job.published))
        lowered = render(job.published, described, file, wish.format, wish.bits, f"{job.track.title} - mix")
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        stack.pop_all()  # from here on it is the response's to close
        return file, size, lowered


async def _sent(file: IO[bytes], size: int) -> AsyncIterator[bytes]:
    with file:
        async for chunk in chunks(file, size):
            yield chunk


def _archive(found: list[Stem], title: str) -> ZipStream:
    archive = ZipStream(compress_type=ZIP_STORED, sized=True)
    for stem in found:
        path = Path(stem.file.path)
        archive.add_path(path, f"{title}/{title} - {stem.name}{path.suffix}")
    return archive


def _refusal(detail: str, status: int, headers: dict[str, str] | None = None) -> JsonResponse:
    return JsonResponse({"detail": detail}, status=status, headers=headers)


async def _packed(archive: ZipStream) -> AsyncIterator[bytes]:
    """The archive, read in another thread so that a slow disk holds nobody up."""
    parts = iter(archive)
    while chunk := await asyncio.to_thread(next, parts, b""):
        yield chunk


async def _finished(request: HttpRequest, pk: UUID) -> list[Stem]:
    """One's finished stems, with job and track. 404 if there are none."""
    user = await request.auser()
    mine = Stem.objects.select_related("job__track").exclude(file="")
    own = {"job__track__owner_id": user.pk, "job_id": pk, "job__deleted_at": None, "job__finished__isnull": False}
    found = [stem async for stem in mine.filter(**own)]
    if not found:
        raise Http404
    return found
