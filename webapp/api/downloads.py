"""What programs take along at once: a stem, all of them in one archive, or a mix. Pages ask for the same as exports."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_GET, require_safe
from rest_framework.exceptions import ValidationError
from zipstream import ZIP_STORED, ZipStream

from pipeline.options import InvalidOption, Options
from webapp.api.permissions import reach, user_of
from webapp.exports import renderer
from webapp.exports.spec import export_spec
from webapp.http.problems import Busy
from webapp.http.ranges import TYPES, as_attachment, chunks, send_file
from webapp.http.zip import packed, parts
from webapp.models import Stem
from webapp.storage.base import store
from webapp.storage.filenames import tame


@require_GET
async def stems(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Every finished stem in a ZIP file, packed while it is sent."""
    found = await _finished(request, pk)
    title = tame(found[0].job.track.title)
    with _explained():
        paths = {stem.name: await _in_form(stem, {}) for stem in found}
        archive = await asyncio.to_thread(_archive, paths, title)
    headers = {"Content-Length": str(len(archive)), "Content-Type": "application/zip"}
    return as_attachment(StreamingHttpResponse(packed(archive), headers=headers), f"{title}.zip")


@require_GET
async def mix(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The mix that the query describes, as a file.

    See `exports.spec` for how. X-Lowered-dB tells by how much it was lowered so as not to clip.
    """
    found = await _finished(request, pk)
    job = found[0].job
    with _explained():
        wished = export_spec(request.GET, [stem.name for stem in found], other_keys=())
        file, size, lowered = await asyncio.wrap_future(renderer.admit(renderer.render_to_tempfile, job, wished))
    headers = {"Content-Length": str(size), "Content-Type": TYPES[wished.suffix], "X-Lowered-dB": f"{lowered:.2f}"}
    response = StreamingHttpResponse(_sent(file, size), headers=headers)
    return as_attachment(response, wished.filename(tame(job.track.title)))


@require_safe
async def stem(request: HttpRequest, pk: UUID, name: str) -> HttpResponseBase:
    """A finished stem; in another format than its own, if the query names one, kept from then on."""
    found = next((each for each in await _finished(request, pk) if each.name == name), None)
    if found is None:
        raise Http404
    with _explained():
        path = await _in_form(found, request.GET)
    response = await send_file(request, path, TYPES.get(path.suffix, "application/octet-stream"))
    return as_attachment(response, f"{tame(found.job.track.title)} - {name}{path.suffix}")


async def _in_form(stem: Stem, query: Mapping[str, str]) -> Path:
    """Where the stem is in the format that a query names, tagged with the song's present title.

    Raises InvalidOption, Busy, FileNotFoundError, OSError.
    """
    own = {name: stem.job.options.get(name, getattr(Options(), name)) for name in ("format", "bits", "sample_rate")}
    asked = {name: query.get(name, value) for name, value in own.items()}
    Options(**asked)
    if asked == own and stem.job.report.get("title") == stem.job.track.title:
        return stem.path
    return await asyncio.wrap_future(renderer.admit(renderer.convert, stem, **asked))


@contextmanager
def _explained() -> Iterator[None]:
    """What can go wrong with a file that is asked for, as a problem."""
    try:
        yield
    except InvalidOption as error:
        raise ValidationError(error.message) from error
    except renderer.Busy as error:
        raise Busy(str(error)) from error
    except FileNotFoundError as error:  # deleted, or chosen anew, a moment ago
        raise Http404 from error


async def _sent(file: IO[bytes], size: int) -> AsyncIterator[bytes]:
    with file:
        async for chunk in chunks(file, size):
            yield chunk


def _archive(paths: dict[str, Path], title: str) -> ZipStream:
    """paths: by stem."""
    archive = ZipStream(compress_type=ZIP_STORED, sized=True)
    for stem, path in paths.items():
        name = f"{title}/{title} - {stem}{path.suffix}"
        archive.add(parts(path), name, size=store().stat(path).size)
    return archive


async def _finished(request: HttpRequest, pk: UUID) -> list[Stem]:
    """One's finished stems, with job and track; any for staff. 404 if there are none."""
    mine = reach(await user_of(request), request.method, "job__track__owner")
    stems = Stem.objects.select_related("job__track").exclude(file="").filter(mine)
    found = [stem async for stem in stems.filter(job_id=pk, job__deleted_at=None, job__finished__isnull=False)]
    if not found:
        raise Http404
    return found
