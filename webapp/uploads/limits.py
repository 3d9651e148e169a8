"""Validation of uploads before they are stored: size, format and length."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files import File

log = logging.getLogger(__name__)

PROBE_SECONDS = 20  # far more than a probe takes, even on a busy machine
PROBE_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")  # no secrets
probes = BoundedSemaphore(4)  # limits the number of simultaneous probes

TOO_LARGE = "too_large"
UNREADABLE = (
    "This file could not be read: it is damaged, or no audio file. Play it in your audio program and export it again "
    "as WAV, FLAC or MP3."
)


def validate_upload(file: File[Any]) -> None:
    """Raise ValidationError for a file over the size limit, or one that cannot be separated."""
    validate_size(file.size)
    validate_song(Path(file.temporary_file_path()))  # type: ignore[attr-defined]


def validate_size(size: int) -> None:
    """Raise ValidationError for an empty file or one over the limit. size: bytes."""
    if size <= 0:
        raise ValidationError("This file is empty. Please choose a song.", code="empty")
    if size > settings.MAX_UPLOAD_BYTES:
        raise ValidationError(too_large(), code=TOO_LARGE)


def too_large() -> str:
    """Return the message for a file over the size limit."""
    limit = f"{settings.MAX_UPLOAD_BYTES / 1e6:.0f} MB"
    return f"This file is larger than {limit}, the limit here. Try a compressed form of it, such as FLAC or MP3."


def validate_song(path: Path) -> None:
    """Raise ValidationError for a file that is not audio, too short or too long.

    The file is probed in another process, because a malicious file may crash or stall the decoder. If no process can be
    started, the worker decides later.
    """
    command = [sys.executable, "-P", "-m", "pipeline.audio.probe", str(path), str(settings.MAX_SECONDS)]
    environment = {name: os.environ[name] for name in PROBE_ENVIRONMENT if name in os.environ}
    with probes:
        try:
            probe = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=PROBE_SECONDS,
                env=environment | {"PYTHONPATH": str(settings.BASE_DIR)},
            )
        except subprocess.TimeoutExpired:
            raise ValidationError(UNREADABLE, code="unreadable") from None
        except OSError:
            log.exception("An upload could not be probed; the worker will check it.")
            return
    if probe.returncode:
        log.warning(
            "An upload ended its probe with %d: %s", probe.returncode, probe.stderr[-500:].decode(errors="replace")
        )
        raise ValidationError(UNREADABLE, code="unreadable")
    if refused := json.loads(probe.stdout).get("refused"):
        raise ValidationError(refused, code="unreadable")
