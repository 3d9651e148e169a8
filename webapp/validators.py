"""Limits of an upload, checked before it is kept. What is inside it is for the worker to find out."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files import File

TOO_LARGE = "too_large"


def validate_upload(file: File[Any]) -> None:
    """Raise ValidationError for an empty file or one over the limit."""
    validate_size(file.size)


def validate_size(size: int) -> None:
    """The same, before there is a file. size: bytes."""
    if size <= 0:
        raise ValidationError("This file is empty. Please choose a song.", code="empty")
    if size > settings.MAX_UPLOAD_BYTES:
        raise ValidationError(too_large(), code=TOO_LARGE)


def too_large() -> str:
    """What to say about a file over the limit."""
    limit = f"{settings.MAX_UPLOAD_BYTES / 1e6:.0f} MB"
    return f"This file is larger than {limit}, the limit here. Try a compressed form of it, such as FLAC or MP3."
