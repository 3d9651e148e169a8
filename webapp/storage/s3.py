"""Storage in a bucket of any service that speaks S3. boto3 reads endpoint and credentials from the AWS_… variables."""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from storages.backends.s3 import S3Storage

from webapp.storage.base import Publish, Stat

log = logging.getLogger(__name__)

PARALLEL_DOWNLOADS = 8
ABANDONED_AFTER = 24 * 3600  # seconds without a change, far longer than any work takes
DOWNLOADS = "downloads"  # folder of local copies in the media folder


class Bucket(S3Storage):  # type: ignore[misc]  # the package has no types
    """Implements `storage.base.Store` with a bucket."""

    def stat(self, path: Path) -> Stat:
        head = self._request(self.client.head_object, path)
        return Stat(head["ContentLength"], head["LastModified"].timestamp(), head["ETag"])

    def open_from(self, path: Path, start: int = 0) -> IO[bytes]:
        wanted = {"Range": f"bytes={start}-"} if start else {}
        body: IO[bytes] = self._request(self.client.get_object, path, **wanted)["Body"]
        return body

    def nginx_path(self, _path: Path) -> str:
        """nginx has none of the files."""
        return ""

    @contextmanager
    def local_copy(self, path: Path, *names: str) -> Iterator[Path]:
        """Download files into a temporary folder, which is removed at the end."""
        keys = [key for key in self._keys(path) if not names or Path(key).relative_to(_key(path)).parts[0] in names]
        if not keys:
            raise FileNotFoundError(path)
        _sweep()
        downloads = Path(settings.MEDIA_ROOT, DOWNLOADS)
        downloads.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=downloads) as scratch, ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            list(pool.map(lambda key: self._download(key, Path(scratch, key)), keys))
            yield Path(scratch, _key(path))

    @contextmanager
    def workplace(self, folder: Path) -> Iterator[Publish]:
        """Create a local folder, removed at the end. A file that grows is uploaded whole each time."""
        _sweep()
        folder.mkdir(parents=True)
        sent: dict[Path, tuple[int, int]] = {}

        def publish() -> None:
            for path, version in _files(folder):
                if sent.get(path) != version:
                    self.put(path, path)
                    sent[path] = version

        try:
            yield publish
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def put(self, local: Path, path: Path) -> None:
        self.client.upload_file(str(local), self.bucket_name, _key(path))

    def discard(self, folder: Path) -> None:
        """Log what cannot be removed, because the row that names it may be gone already."""
        shutil.rmtree(folder, ignore_errors=True)
        try:
            for key in self._keys(folder):
                self.client.delete_object(Bucket=self.bucket_name, Key=key)
        except (BotoCoreError, ClientError) as error:
            log.warning("%s could not be removed from the bucket (%s). Please remove it by hand.", _key(folder), error)

    def is_writable(self) -> bool:
        self.client.head_bucket(Bucket=self.bucket_name)
        return True

    @cached_property
    def client(self) -> Any:
        """A client shared by all threads, which boto3 allows for clients but not for resources."""
        return self.connection.meta.client

    def _keys(self, path: Path) -> list[str]:
        """Return the key of a file, or all keys of a folder."""
        name = _key(path)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket_name, Prefix=name)
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return [key for key in keys if key == name or key.startswith(f"{name}/")]

    def _download(self, key: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self.client.download_file(self.bucket_name, key, str(target))

    def _request(self, operation: Any, path: Path, **more: str) -> Any:
        try:
            return operation(Bucket=self.bucket_name, Key=_key(path), **more)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise FileNotFoundError(path) from error
            raise


def _key(path: Path) -> str:
    return path.relative_to(settings.MEDIA_ROOT).as_posix()


def _files(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Yield every public file with a value that changes when the file does."""
    for path in sorted(folder.rglob("[!.]*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            stat = path.stat()
            yield path, (stat.st_mtime_ns, stat.st_size)


def _sweep() -> None:
    """Remove the working copies that killed processes left behind."""
    limit = time.time() - ABANDONED_AFTER
    media = Path(settings.MEDIA_ROOT)
    for folder in (*media.glob("jobs/*"), *media.glob(f"{DOWNLOADS}/*")):
        with suppress(FileNotFoundError):  # another process works there
            if max(path.stat().st_mtime for path in (folder, *folder.rglob("*"))) < limit:
                shutil.rmtree(folder, ignore_errors=True)
