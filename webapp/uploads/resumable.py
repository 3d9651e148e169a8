"""Resumable uploads: they continue where they stopped, and a complete one becomes a track with a job.

The row's offset says how many bytes have arrived, and advances by conditional UPDATE. If two requests send the same
piece, one wins, and the other wrote the same bytes at the same place.
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

LIFETIME = timedelta(days=1)  # since the last piece
BLOCK = 4_000_000  # bytes between two updates of the offset


class OffsetConflict(Exception):
    """The piece does not begin at the upload's offset, because another request was faster."""


class LengthExceeded(Exception):
    """The client sent more bytes than it announced."""


class ChecksumMismatch(Exception):
    """The bytes received do not match their checksum."""


class CompleteFile(File[bytes]):
    """A complete upload, which local storage can move instead of copying it."""

    def temporary_file_path(self) -> str:
        """Return the path of the file that may be moved."""
        return str(self.name)


def begin(owner: User, length: int, filename: str, title: str, options: Options, metadata: str) -> Upload:
    """Create an upload of `length` bytes. metadata: the Upload-Metadata header, which is returned to the client."""
    with transaction.atomic():
        upload = Upload.objects.create(
            owner=owner,
            length=length,
            filename=filename,
            title=title,
            options=options.as_dict(),
            metadata=metadata,
            expires_at=timezone.now() + LIFETIME,
        )
        upload.path.touch()
    return upload


async def receive(
    upload: Upload, offset: int, pieces: AsyncIterator[bytes], digest: "Hash | None" = None, expected: bytes = b""
) -> int:
    """Write bytes at the offset and return the new offset. Once the upload is complete, its job is queued.

    With a digest, the piece is accepted as a whole or not at all. Raises OffsetConflict, LengthExceeded,
    ChecksumMismatch, FileNotFoundError if the upload was removed meanwhile, and ValidationError if the complete file
    cannot be separated, in which case the upload is removed.
    """
    end = stored = offset
    with await asyncio.to_thread(upload.path.open, "r+b") as file:
        async for block in _blocks(pieces, upload.length - offset):
            await asyncio.to_thread(_write, file, end, block)
            end += len(block)
            if digest is None:
                stored = await sync_to_async(_advance)(upload, stored, end)
            else:
                digest.update(block)
    if digest is not None:
        if digest.digest() != expected:
            raise ChecksumMismatch
        stored = await sync_to_async(_advance)(upload, stored, end)
    return stored


async def _blocks(pieces: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Join pieces to blocks large enough that storing the offset after each costs little."""
    block = bytearray()
    async for piece in pieces:
        block += piece
        limit -= len(piece)
        if limit < 0:
            raise LengthExceeded
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _write(file: IO[bytes], start: int, block: bytes) -> None:
    file.seek(start)
    file.write(block)
    file.flush()


def _advance(upload: Upload, start: int, end: int) -> int:
    """Advance the offset from start to end. Raises OffsetConflict if another request has moved it."""
    if start == end:
        return end
    if end == upload.length:
        _require_song(upload, start)
    with transaction.atomic():
        here = Upload.objects.filter(pk=upload.pk, offset=start)
        if not here.update(offset=end, expires_at=timezone.now() + LIFETIME):
            raise OffsetConflict
        if end == upload.length:
            _finish(upload)
    return end


def _require_song(upload: Upload, start: int) -> None:
    """Raise ValidationError for an upload that cannot be separated, and remove it."""
    try:
        validate_song(upload.path)
    except ValidationError:
        if not Upload.objects.filter(pk=upload.pk, offset=start, job=None).delete()[0]:
            raise OffsetConflict from None  # another request finished it and moved its file
        raise


def _finish(upload: Upload) -> None:
    """Queue the job. The partial file stays until the transaction is committed: a hard link to it is moved instead."""
    complete = upload.path.with_suffix(".complete")
    complete.unlink(missing_ok=True)
    complete.hardlink_to(upload.path)
    try:
        with complete.open("rb") as file:
            options = Options(**upload.options | {"stems": tuple(upload.options["stems"])})
            job = actions.upload_and_enqueue(
                upload.owner, CompleteFile(file, name=str(complete)), upload.filename, options, upload.title
            )
    finally:
        complete.unlink(missing_ok=True)
    Upload.objects.filter(pk=upload.pk).update(job=job)
    transaction.on_commit(lambda: upload.path.unlink(missing_ok=True))


def delete_expired() -> None:
    """Delete abandoned uploads, and the rows of finished ones."""
    Upload.objects.filter(expires_at__lt=timezone.now()).delete()
