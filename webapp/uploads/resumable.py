"""Uploads in pieces, which go on after a break where they stopped; once whole, a song like any other.

The row's offset says how much is there, and moves by conditional UPDATE: of two requests that send the same piece one
wins, and what the other wrote is the same bytes at the same place.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import IO, TYPE_CHECKING

from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.core.files import File
from django.db import transaction
from django.utils import timezone

from pipeline.options import Options
from webapp.models import Upload, User
from webapp.songs import actions
from webapp.uploads.limits import validate_song

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

KEPT = timedelta(days=1)  # since its last piece
BLOCK = 4_000_000  # bytes between two notes of how far it is


class Moved(Exception):
    """The upload doesn't stand where the piece begins: another request was faster."""


class TooMuch(Exception):
    """More came than was announced."""


class Damaged(Exception):
    """What came is not what was sent, by its checksum."""


class Whole(File[bytes]):
    """A finished upload, which a disk keeps by moving it."""

    def temporary_file_path(self) -> str:
        """Where it may be taken from."""
        return str(self.name)


def begin(owner: User, length: int, filename: str, title: str, options: Options, metadata: str) -> Upload:
    """Make room for a song of so many bytes. metadata: what the client wants to be told again."""
    with transaction.atomic():
        upload = Upload.objects.create(
            owner=owner,
            length=length,
            filename=filename,
            title=title,
            options=options.as_dict(),
            metadata=metadata,
            expires_at=timezone.now() + KEPT,
        )
        upload.path.touch()
    return upload


async def receive(
    upload: Upload, offset: int, pieces: AsyncIterator[bytes], digest: "Hash | None" = None, expected: bytes = b""
) -> int:
    """Write what comes, from the offset on. Where the upload stands then; once it is whole there is a job.

    With a digest, all that comes counts or nothing. Raises Moved, TooMuch, Damaged, FileNotFoundError if the upload was
    removed meanwhile, and ValidationError if the whole can't be separated: then the upload is gone.
    """
    end = noted = offset
    with await asyncio.to_thread(upload.path.open, "r+b") as file:
        async for block in _blocks(pieces, upload.length - offset):
            await asyncio.to_thread(_write, file, end, block)
            end += len(block)
            if digest is None:
                noted = await sync_to_async(_note)(upload, noted, end)
            else:
                digest.update(block)
    if digest is not None:
        if digest.digest() != expected:
            raise Damaged
        noted = await sync_to_async(_note)(upload, noted, end)
    return noted


async def _blocks(pieces: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    """The same bytes, so many at a time that noting each block costs little."""
    block = bytearray()
    async for piece in pieces:
        block += piece
        most -= len(piece)
        if most < 0:
            raise TooMuch
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _write(file: IO[bytes], start: int, block: bytes) -> None:
    file.seek(start)
    file.write(block)
    file.flush()


def _note(upload: Upload, start: int, end: int) -> int:
    """The upload has come from start to end, unless another request moved it."""
    if start == end:
        return end
    if end == upload.length:
        _require_song(upload, start)
    with transaction.atomic():
        here = Upload.objects.filter(pk=upload.pk, offset=start)
        if not here.update(offset=end, expires_at=timezone.now() + KEPT):
            raise Moved
        if end == upload.length:
            _finish(upload)
    return end


def _require_song(upload: Upload, start: int) -> None:
    """Remove an upload that can't be separated, and raise ValidationError."""
    try:
        validate_song(upload.path)
    except ValidationError:
        if not Upload.objects.filter(pk=upload.pk, offset=start, job=None).delete()[0]:
            raise Moved from None  # it was finished by another request, and its file moved
        raise


def _finish(upload: Upload) -> None:
    """Make the job. The piecemeal file stays until that is certain: what is moved is another name of it."""
    whole = upload.path.with_suffix(".whole")
    whole.unlink(missing_ok=True)
    whole.hardlink_to(upload.path)
    try:
        with whole.open("rb") as file:
            options = Options(**upload.options | {"stems": tuple(upload.options["stems"])})
            job = actions.upload_and_enqueue(
                upload.owner, Whole(file, name=str(whole)), upload.filename, options, upload.title
            )
    finally:
        whole.unlink(missing_ok=True)
    Upload.objects.filter(pk=upload.pk).update(job=job)
    transaction.on_commit(lambda: upload.path.unlink(missing_ok=True))


def forget() -> None:
    """Drop uploads that nobody went on with, and what is known of finished ones."""
    Upload.objects.filter(expires_at__lt=timezone.now()).delete()
