"""Renders files for download in a few threads of the web process, because the workers are busy separating.

Requests beyond the threads wait in line, and beyond that line the site answers that it is busy. The row of an export
holds its progress. An export without a heartbeat belongs to a process that is gone.
"""

import errno
import hashlib
import logging
import os
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import IO, TYPE_CHECKING, Any, TypeVar

from django.conf import settings
from django.db import close_old_connections
from django.db.models import QuerySet
from django.db.utils import InterfaceError, OperationalError
from django.utils import timezone

from pipeline.options import InvalidOption, disk_is_full
from webapp.exports.spec import ExportSpec
from webapp.models import LIVE, Export, Job, State, Stem
from webapp.storage.base import DISK_FULL, store
from webapp.storage.filenames import tame

if TYPE_CHECKING:
    from pipeline.exports.song import Song

log = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE, WAITING = 2, 4  # renderings of a process; beyond them the site answers that it is busy
MAX_PER_SONG = 10
SPARE = 2**30  # bytes of disk that renderings leave to the separations
WRITE_EVERY = 1.0  # seconds between two updates of progress
BEAT_EVERY = 5.0  # seconds
LOST_AFTER = timedelta(seconds=60)
PROCESS = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"

BUSY = "Several files are being written at the moment. Please try again in a few seconds."
GONE = "The stems of this song have changed since this was requested. Please try again."
LOST = "The server was restarted while this file was being written. Please try again."
BROKEN = (
    "Something went wrong on our side while writing this file. Please try again; if it happens again, ask whoever "
    "runs this site to look at the web server's log."
)

renderer = ThreadPoolExecutor(AT_ONCE, "render")  # a pool of its own, so that playback does not wait for it
admission = threading.BoundedSemaphore(AT_ONCE + WAITING)


class Busy(Exception):
    """Too many files are being rendered."""


class ExportLost(Exception):
    """The export no longer exists: it was cancelled, or its song was deleted."""


def admit(work: Callable[..., T], *args: Any, **named: Any) -> "Future[T]":
    """Run work in a thread as soon as one is free. Raises Busy if too much is waiting already."""
    if not admission.acquire(blocking=False):
        raise Busy(BUSY)
    rendering = renderer.submit(work, *args, **named)
    rendering.add_done_callback(lambda _: admission.release())  # also if the request that waits for it is gone
    return rendering


def require_space() -> None:
    """Raise OSError if a rendering could fill the disk that separations need."""
    if shutil.disk_usage(settings.DATA).free < SPARE:
        raise OSError(errno.ENOSPC, DISK_FULL)


# -- Files for the response to a request ---------------------------------------------------------------------


def convert(stem: Stem, format: str, bits: str, sample_rate: str) -> Path:
    """Return the path of a finished stem in that encoding, tagged with the song's present title.

    A converted stem is stored, so that it is encoded only once. Raises OSError, and FileNotFoundError if the stem is
    gone.
    """
    from pipeline.audio.encode import suffix  # noqa: PLC0415 - these load NumPy and ffmpeg
    from pipeline.exports.stem_files import Form, write  # noqa: PLC0415
    from webapp.songs.source_audio import tags_of  # noqa: PLC0415

    title = hashlib.sha256(stem.job.track.title.encode()).hexdigest()[:8]
    path = stem.job.published / stem.name / f"{format}-{bits}-{sample_rate}-{title}.{suffix(format)}"
    with suppress(FileNotFoundError):
        store().stat(path)
        return path
    require_space()
    with (
        open_song(stem.job, format, sample_rate) as song,
        tempfile.TemporaryDirectory(dir=song.directory) as scratch,
    ):
        converted = Path(scratch, path.name)
        write(song, stem.name, converted, Form(format, bits, tags_of(stem.job)))
        store().put(converted, path)
    return path


def render_to_tempfile(job: Job, spec: ExportSpec) -> tuple[IO[bytes], int, float]:
    """Render a mix. Returns an open file, which vanishes when it is closed, its size, and the attenuation in dB.

    Raises OSError, and FileNotFoundError if the stems are gone.
    """
    from pipeline.exports.mix import render  # noqa: PLC0415 - as above
    from webapp.songs.source_audio import tags_of  # noqa: PLC0415

    require_space()
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR))
        with open_song(job, spec.format, spec.sample_rate) as song:
            lowered = render(song, spec.mix, file, spec.format, spec.bits, tags_of(job).version("mix"))
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        stack.pop_all()  # the caller closes it
        return file, size, lowered


@contextmanager
def open_song(job: Job, format: str, sample_rate: str) -> Iterator["Song"]:
    """Open a finished song for rendering in that format. Raises FileNotFoundError if its files are gone."""
    from pipeline.exports.song import Song  # noqa: PLC0415 - as above
    from pipeline.playback.segments import WORK  # noqa: PLC0415

    with store().local_copy(job.published, *WORK) as folder, store().local_copy(job.track.path) as upload:
        yield Song.open(folder, upload, format, sample_rate)


# -- Files that are downloaded later --------------------------------------------------------------------------


def enqueue(job: Job, spec: ExportSpec) -> Export:
    """Start to render a file of a finished job, and delete the oldest beyond MAX_PER_SONG.

    Raises Busy, InvalidOption for a mix that begins after the song's end, FileNotFoundError if its stems are gone.
    """
    from pipeline.exports.mix import extent  # noqa: PLC0415 - as above
    from pipeline.exports.song import Song  # noqa: PLC0415
    from pipeline.playback.segments import INDEX  # noqa: PLC0415

    with store().local_copy(job.published, INDEX) as folder:
        extent(Song.open(folder, None, spec.format, spec.sample_rate), spec.mix)
    export = Export(job=job, process=PROCESS, filename=spec.filename(tame(job.track.title)))
    export.save(force_insert=True)
    try:
        admit(_render, export, spec)
    except Busy:
        export.delete()
        raise
    ended = job.exports.exclude(state__in=LIVE).exclude(pk=export.pk)
    oldest = ended.order_by("-created_at").values_list("pk", flat=True)[MAX_PER_SONG - 1 :]
    Export.objects.filter(pk__in=list(oldest)).delete()
    return export


def _render(export: Export, spec: ExportSpec) -> None:
    """Render an export in a thread. Success and failure are both stored in its row."""
    try:
        _update(export, state=State.RUNNING)
        require_space()
        with store().workplace(export.folder) as publish, _heartbeat():
            lowered = _write(export, spec)
            size = export.path.stat().st_size
            publish()
        _update(export, state=State.DONE, progress=1.0, size=size, lowered_db=round(lowered, 2))
    except ExportLost:
        store().discard(export.folder)
    except Exception as error:
        store().discard(export.folder)
        _fail(export, error)
    finally:
        close_old_connections()


def _write(export: Export, spec: ExportSpec) -> float:
    """Write the file of an export. Returns the attenuation in dB that keeps it from clipping."""
    from pipeline.exports import mix, ni_stems, stem_files  # noqa: PLC0415 - as above
    from webapp.songs.source_audio import tags_of  # noqa: PLC0415

    job, tags, on_progress = export.job, tags_of(export.job), _ProgressWriter(export)
    form = stem_files.Form(spec.format, spec.bits, tags)
    with open_song(job, "m4a" if spec.what == "ni" else spec.format, spec.sample_rate) as song:
        if spec.what == "mix":
            return mix.render(song, spec.mix, export.path, spec.format, spec.bits, tags.version("mix"), on_progress)
        if spec.what == "stem":
            return stem_files.write(song, spec.stem, export.path, form, on_progress)
        if spec.what == "stems":
            return stem_files.archive(song, tame(job.track.title), export.path, form, on_progress)
        return ni_stems.write(song, export.path, tags, on_progress)


class _ProgressWriter:
    """Stores progress in the row, at most once in WRITE_EVERY seconds."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._written = monotonic()

    def __call__(self, fraction: float) -> None:
        """fraction: 0..1. Raises ExportLost."""
        if monotonic() - self._written < WRITE_EVERY:
            return
        self._written = monotonic()
        try:
            _update(self._export, progress=fraction)
        except (OperationalError, InterfaceError) as error:
            log.warning("Export %s: progress not stored (%s); the next update catches up.", self._export.pk, error)
            close_old_connections()


@contextmanager
def _heartbeat() -> Iterator[None]:
    """Beat in another thread meanwhile, because the work may be slow to report progress."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(BEAT_EVERY):
            _beat()

    thread = threading.Thread(target=run, name="render-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _beat() -> None:
    """Store a heartbeat for all exports of this process, running and waiting."""
    try:
        Export.objects.filter(process=PROCESS, state__in=LIVE).update(heartbeat_at=timezone.now())
    except (OperationalError, InterfaceError) as error:
        log.warning("The heartbeat of the exports was not stored (%s); the next one catches up.", error)
    finally:
        close_old_connections()


def _update(export: Export, **fields: Any) -> None:
    if not _live(export).update(**fields):
        raise ExportLost(str(export.pk))


def _live(export: Export) -> QuerySet[Export]:
    return Export.objects.filter(pk=export.pk, state__in=LIVE)


def _fail(export: Export, error: Exception) -> None:
    message = BROKEN
    if isinstance(error, InvalidOption):
        message = error.message
    elif isinstance(error, FileNotFoundError):  # the song was deleted, or its stems were reselected
        message = GONE
    elif disk_is_full(error):
        message = DISK_FULL
    else:
        log.error("Export %s failed.", export.pk, exc_info=error)
    _live(export).update(state=State.FAILED, error=message)


# -- Upkeep ---------------------------------------------------------------------------------------------------


def fail_lost() -> None:
    """Fail the exports of processes that are gone."""
    lost = Export.objects.filter(state__in=LIVE, heartbeat_at__lt=timezone.now() - LOST_AFTER)
    for export in list(lost):
        if lost.filter(pk=export.pk).update(state=State.FAILED, error=LOST):
            store().discard(export.folder)


def delete_old_exports() -> None:
    """Delete exports, with their files, after EXPORT_HOURS."""
    Export.objects.filter(created_at__lt=timezone.now() - timedelta(hours=settings.EXPORT_HOURS)).delete()
