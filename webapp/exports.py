"""What programs take along at once: all stems in one archive, or a mix. Pages ask for the same as exports."""

import asyncio
import errno
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_GET
from rest_framework.exceptions import ValidationError
from zipstream import ZIP_STORED, ZipStream

from pipeline.options import InvalidOption
from webapp import rendering
from webapp.files import CHUNK, TYPES, as_attachment, chunks, tame
from webapp.jobs import DISK_FULL
from webapp.models import Job, Stem
from webapp.permissions import reach, user_of
from webapp.problems import Busy, StorageFull
from webapp.storage import store
from webapp.wishes import Wish, wish


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
    return as_attachment(StreamingHttpResponse(packed(archive), headers=headers), f"{title}.zip")


@require_GET
async def mix(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The mix that the query describes, as a file.

    See `wishes` for how. X-Lowered-dB tells by how much it was lowered so as not to clip.
    """
    found = await _finished(request, pk)
    job = found[0].job
    try:
        wished = wish(request.GET, [stem.name for stem in found], beside=())
        file, size, lowered = await asyncio.wrap_future(rendering.admit(_render, job, wished))
    except InvalidOption as error:
        raise ValidationError(error.message) from error
    except rendering.Busy as error:
        raise Busy(str(error)) from error
    except FileNotFoundError as error:
        raise Http404 from error
    except OSError as error:
        raise StorageFull(DISK_FULL if error.errno == errno.ENOSPC else error.strerror) from error
    headers = {"Content-Length": str(size), "Content-Type": TYPES[wished.suffix], "X-Lowered-dB": f"{lowered:.2f}"}
    response = StreamingHttpResponse(_sent(file, size), headers=headers)
    return as_attachment(response, wished.filename(tame(job.track.title)))


def _render(job: Job, wished: Wish) -> tuple[IO[bytes], int, float]:
    """An open file that is gone once it is closed, its size, and the dB by which the mix was lowered."""
    from pipeline.mix import render  # noqa: PLC0415
    from pipeline.segments import WORK  # noqa: PLC0415
    from webapp.original import tags_of  # noqa: PLC0415

    rendering.require_room()
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR))
        with store().at_hand(job.published, *WORK) as folder:
            tags = tags_of(job).version("mix")
            lowered = render(folder, wished.mix, file, wished.format, wished.bits, tags)
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
        name = f"{title}/{title} - {stem.name}{stem.path.suffix}"
        archive.add(parts(stem.path), name, size=store().stat(stem.path).size)
    return archive


def parts(path: Path) -> Iterator[bytes]:
    """Read no sooner than its turn comes."""
    with closing(store().part(path)) as file:
        while chunk := file.read(CHUNK):
            yield chunk


async def packed(archive: ZipStream) -> AsyncIterator[bytes]:
    """The archive, read in another thread so that a slow disk holds nobody up."""
    parts = iter(archive)
    while chunk := await asyncio.to_thread(next, parts, b""):
        yield chunk


async def _finished(request: HttpRequest, pk: UUID) -> list[Stem]:
    """One's finished stems, with job and track; any for staff. 404 if there are none."""
    mine = reach(await user_of(request), request.method, "job__track__owner")
    stems = Stem.objects.select_related("job__track").exclude(file="").filter(mine)
    found = [stem async for stem in stems.filter(job_id=pk, job__deleted_at=None, job__finished__isnull=False)]
    if not found:
        raise Http404
    return found
