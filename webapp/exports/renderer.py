"""Files made for people to take along, as verbs. No HTTP here.

They are made by a few threads of the web process that was asked, because the workers are busy separating; whoever waits
in line is counted, so that a busy site says so. The row tells how far a file is. A row that nobody beats for is a file
whose process is gone.
"""

import errno
import logging
import os
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from django.conf import settings
from django.db import close_old_connections
from django.db.models import QuerySet
from django.db.utils import InterfaceError, OperationalError
from django.utils import timezone

from pipeline.options import InvalidOption, disk_is_full
from webapp.exports.spec import ExportSpec
from webapp.models import LIVE, Export, Job, State
from webapp.storage.base import DISK_FULL, store
from webapp.storage.filenames import tame

if TYPE_CHECKING:
    from pipeline.exports.song import Song

log = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE, WAITING = 2, 4  # renderings of a process; beyond them a site that is busy says so
KEPT = 10  # files of one song
SPARE = 2**30  # bytes of disk that renderings leave to the separations
WRITE_EVERY = 1.0  # seconds between two notes of progress
BEAT_EVERY = 5.0  # seconds
LOST_AFTER = timedelta(seconds=60)
PROCESS = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"

BUSY = "Several files are being written at the moment. Please try again in a few seconds."
GONE = "The stems of this song are not what they were when this was asked for. Please try again."
LOST = "The server was restarted while this file was being written. Please try again."
BROKEN = (
    "Something went wrong on our side while writing this file. Please try again; if it happens again, ask whoever "
    "runs this site to look at the web server's log."
)

renderer = ThreadPoolExecutor(AT_ONCE, "render")  # of its own, so that playing doesn't wait for it
admission = threading.BoundedSemaphore(AT_ONCE + WAITING)


class Busy(Exception):
    """Too many files are being written."""


class ExportLost(Exception):
    """Nobody waits for the file any more: cancelled, or its song deleted."""


def admit(work: Callable[..., T], *args: Any, **named: Any) -> "Future[T]":
    """Do the work in a thread, once one is free. Raises Busy."""
    if not admission.acquire(blocking=False):
        raise Busy(BUSY)
    rendering = renderer.submit(work, *args, **named)
    rendering.add_done_callback(lambda _: admission.release())  # also when nobody waits for it any more
    return rendering


def require_space() -> None:
    """Raise OSError if a rendering could fill the disk that separations need."""
    if shutil.disk_usage(settings.DATA).free < SPARE:
        raise OSError(errno.ENOSPC, DISK_FULL)


# -- what people do ------------------------------------------------------------------------------------------


def enqueue(job: Job, wish: ExportSpec) -> Export:
    """Begin to make a file of a finished job. Of the older ones only some stay.

    Raises Busy, InvalidOption for a mix of what comes after the song's end, FileNotFoundError if its stems are gone.
    """
    from pipeline.exports.mix import extent  # noqa: PLC0415 - they load NumPy and ffmpeg
    from pipeline.exports.song import Song  # noqa: PLC0415
    from pipeline.playback.segments import INDEX  # noqa: PLC0415

    with store().at_hand(job.published, INDEX) as folder:
        extent(Song.open(folder, None, wish.format, wish.sample_rate), wish.mix)
    export = Export(job=job, process=PROCESS, filename=wish.filename(tame(job.track.title)))
    export.save(force_insert=True)
    try:
        admit(_render, export, wish)
    except Busy:
        export.delete()
        raise
    _make_room(export)
    return export


def _make_room(export: Export) -> None:
    over = export.job.exports.exclude(state__in=LIVE).exclude(pk=export.pk)
    oldest = over.order_by("-created_at").values_list("pk", flat=True)[KEPT - 1 :]
    Export.objects.filter(pk__in=list(oldest)).delete()


# -- what a thread does --------------------------------------------------------------------------------------


def _render(export: Export, wish: ExportSpec) -> None:
    """Make the file. Whatever happens ends up in the row."""
    try:
        _note(export, state=State.RUNNING)
        require_space()
        with store().workplace(export.folder) as publish, _beating():
            lowered = _made(export, wish)
            size = export.path.stat().st_size
            publish()
        _note(export, state=State.DONE, progress=1.0, size=size, lowered_db=round(lowered, 2))
    except ExportLost:
        store().discard(export.folder)
    except Exception as error:
        store().discard(export.folder)
        _fail(export, error)
    finally:
        close_old_connections()


def _made(export: Export, wish: ExportSpec) -> float:
    """Write what is wished for; returns by how many dB it was lowered so as not to clip."""
    from pipeline.exports import mix, ni_stems, stem_files  # noqa: PLC0415 - as above
    from webapp.songs.source_audio import tags_of  # noqa: PLC0415

    job, tags, tell = export.job, tags_of(export.job), _Teller(export)
    form = stem_files.Form(wish.format, wish.bits, tags)
    with separated(job, "m4a" if wish.what == "ni" else wish.format, wish.sample_rate) as song:
        if wish.what == "mix":
            return mix.render(song, wish.mix, export.path, wish.format, wish.bits, tags.version("mix"), tell)
        if wish.what == "stem":
            return stem_files.write(song, wish.stem, export.path, form, tell)
        if wish.what == "stems":
            return stem_files.archive(song, tame(job.track.title), export.path, form, tell)
        return ni_stems.write(song, export.path, tags, tell)


@contextmanager
def separated(job: Job, format: str, sample_rate: str) -> Iterator["Song"]:
    """A finished song at hand, to be read for files of that format. Raises FileNotFoundError if it is gone."""
    from pipeline.exports.song import Song  # noqa: PLC0415
    from pipeline.playback.segments import WORK  # noqa: PLC0415 - as above

    with store().at_hand(job.published, *WORK) as folder, store().at_hand(job.track.path) as upload:
        yield Song.open(folder, upload, format, sample_rate)


class _Teller:
    """Takes progress to the row, sparingly."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._told = monotonic()

    def __call__(self, fraction: float) -> None:
        """fraction: 0..1. Raises ExportLost."""
        if monotonic() - self._told < WRITE_EVERY:
            return
        self._told = monotonic()
        try:
            _note(self._export, progress=fraction)
        except (OperationalError, InterfaceError) as error:
            log.warning("Export %s: progress not noted (%s); the next note catches up.", self._export.pk, error)
            close_old_connections()


@contextmanager
def _beating() -> Iterator[None]:
    """Meanwhile another thread shows that this process lives, however slow the work is."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(BEAT_EVERY):
            _beat()

    thread = threading.Thread(target=run, name="render-pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _beat() -> None:
    """For what is being made and for what waits in line."""
    try:
        Export.objects.filter(process=PROCESS, state__in=LIVE).update(heartbeat_at=timezone.now())
    except (OperationalError, InterfaceError) as error:
        log.warning("The database could not be told that files are still being written (%s).", error)
    finally:
        close_old_connections()


def _note(export: Export, **fields: Any) -> None:
    if not _live(export).update(**fields):
        raise ExportLost(str(export.pk))


def _live(export: Export) -> QuerySet[Export]:
    return Export.objects.filter(pk=export.pk, state__in=LIVE)


def _fail(export: Export, error: Exception) -> None:
    message = BROKEN
    if isinstance(error, InvalidOption):
        message = error.message
    elif isinstance(error, FileNotFoundError):  # deleted, or chosen anew
        message = GONE
    elif disk_is_full(error):
        message = DISK_FULL
    else:
        log.error("Export %s failed.", export.pk, exc_info=error)
    _live(export).update(state=State.FAILED, error=message)


# -- what keeps the shelf tidy -------------------------------------------------------------------------------


def fail_lost() -> None:
    """Fail what was being made by a process that is gone."""
    lost = Export.objects.filter(state__in=LIVE, heartbeat_at__lt=timezone.now() - LOST_AFTER)
    for export in list(lost):
        if lost.filter(pk=export.pk).update(state=State.FAILED, error=LOST):
            store().discard(export.folder)


def forget_old() -> None:
    """Remove files that have been there for long enough."""
    Export.objects.filter(created_at__lt=timezone.now() - timedelta(hours=settings.EXPORT_HOURS)).delete()
