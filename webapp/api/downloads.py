"""Files that programs download with one request: a stem, all stems in an archive, or a mix. Pages use exports."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_GET, require_safe
from rest_framework.exceptions import ValidationError

from pipeline.options import InvalidOption, Options
from webapp.api.permissions import reach, user_of
from webapp.exports import renderer
from webapp.exports.spec import export_spec
from webapp.http.problems import Busy
from webapp.http.ranges import TYPES, as_attachment, chunks, send_file
from webapp.http.zip import add_file, new_archive, send_archive
from webapp.models import Stem
from webapp.storage.filenames import tame


@require_GET
async def stems(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """All stems of a finished job in a ZIP archive."""
    found = await _finished(request, pk)
    title = tame(found[0].job.track.title)
    with _as_problems():
        paths = {stem.name: await _path_of(stem, {}) for stem in found}
        archive = new_archive()
        for name, path in paths.items():
            await asyncio.to_thread(add_file, archive, f"{title}/{title} - {name}{path.suffix}", path)
    return send_archive(archive, f"{title}.zip")


@require_GET
async def mix(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The mix that the query describes (see `exports.spec`).

    The header X-Lowered-dB is the attenuation that kept the mix from clipping, in dB.
    """
    found = await _finished(request, pk)
    job = found[0].job
    with _as_problems():
        spec = export_spec(request.GET, [stem.name for stem in found], other_keys=())
        file, size, lowered = await asyncio.wrap_future(renderer.admit(renderer.render_to_tempfile, job, spec))
    headers = {"Content-Length": str(size), "Content-Type": TYPES[spec.suffix], "X-Lowered-dB": f"{lowered:.2f}"}
    response = StreamingHttpResponse(_chunks_of(file, size), headers=headers)
    return as_attachment(response, spec.filename(tame(job.track.title)))


@require_safe
async def stem(request: HttpRequest, pk: UUID, name: str) -> HttpResponseBase:
    """The file of a finished stem. If the query names another format, it is converted once and kept."""
    found = next((each for each in await _finished(request, pk) if each.name == name), None)
    if found is None:
        raise Http404
    with _as_problems():
        path = await _path_of(found, request.GET)
    response = await send_file(request, path, TYPES.get(path.suffix, "application/octet-stream"))
    return as_attachment(response, f"{tame(found.job.track.title)} - {name}{path.suffix}")


async def _path_of(stem: Stem, query: Mapping[str, str]) -> Path:
    """The path of the stem in the format that a query names, tagged with the present title of the song.

    Raises InvalidOption, Busy, FileNotFoundError, OSError.
    """
    own = {name: stem.job.options.get(name, getattr(Options(), name)) for name in ("format", "bits", "sample_rate")}
    asked = {name: query.get(name, value) for name, value in own.items()}
    Options(**asked)
    if asked == own and stem.job.report.get("title") == stem.job.track.title:
        return stem.path
    return await asyncio.wrap_future(renderer.admit(renderer.convert, stem, **asked))


@contextmanager
def _as_problems() -> Iterator[None]:
    """Turns what can go wrong with a file into problems."""
    try:
        yield
    except InvalidOption as error:
        raise ValidationError(error.message) from error
    except renderer.Busy as error:
        raise Busy(str(error)) from error
    except FileNotFoundError as error:  # deleted or reselected a moment ago
        raise Http404 from error


async def _chunks_of(file: IO[bytes], size: int) -> AsyncIterator[bytes]:
    with file:
        async for chunk in chunks(file, size):
            yield chunk


async def _finished(request: HttpRequest, pk: UUID) -> list[Stem]:
    """The stems of a finished job within reach, with job and track. Raises Http404 if there are none."""
    reachable = reach(await user_of(request), request.method, "job__track__owner")
    stems = Stem.objects.select_related("job__track").exclude(file="").filter(reachable)
    found = [stem async for stem in stems.filter(job_id=pk, job__deleted_at=None, job__finished__isnull=False)]
    if not found:
        raise Http404
    return found
