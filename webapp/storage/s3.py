"""Files in a bucket of any service that speaks S3. Endpoint and credentials are boto3's affair: the AWS_… variables."""

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

AT_ONCE = 8  # files brought at a time
FORGOTTEN_AFTER = 24 * 3600  # seconds without a change, far longer than any work
BROUGHT = "brought"  # folder of copies in the media folder


class Bucket(S3Storage):  # type: ignore[misc]  # the package has no types
    """See `storage.Store` for what it does."""

    def stat(self, path: Path) -> Stat:
        """One question to the service."""
        head = self._ask(self.client.head_object, path)
        return Stat(head["ContentLength"], head["LastModified"].timestamp(), head["ETag"])

    def part(self, path: Path, start: int = 0) -> IO[bytes]:
        """A connection on which the rest of the file comes."""
        wanted = {"Range": f"bytes={start}-"} if start else {}
        body: IO[bytes] = self._ask(self.client.get_object, path, **wanted)["Body"]
        return body

    def sent_by_nginx(self, _path: Path) -> str:
        """It has none of them."""
        return ""

    @contextmanager
    def at_hand(self, path: Path, *names: str) -> Iterator[Path]:
        """Copies that are removed at the end. Raises FileNotFoundError where there is nothing."""
        keys = [key for key in self._keys(path) if not names or Path(key).relative_to(_key(path)).parts[0] in names]
        if not keys:
            raise FileNotFoundError(path)
        _sweep()
        shelf = Path(settings.MEDIA_ROOT, BROUGHT)
        shelf.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=shelf) as scratch, ThreadPoolExecutor(AT_ONCE, "bring") as pool:
            list(pool.map(lambda key: self._bring(key, Path(scratch, key)), keys))
            yield Path(scratch, _key(path))

    @contextmanager
    def workplace(self, folder: Path) -> Iterator[Publish]:
        """A local folder, removed at the end. A file that grows is sent as a whole each time: keep such files small."""
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
        """See Store."""
        self.client.upload_file(str(local), self.bucket_name, _key(path))

    def discard(self, folder: Path) -> None:
        """What can't be removed now is named in the log: its row may be gone already."""
        shutil.rmtree(folder, ignore_errors=True)
        try:
            for key in self._keys(folder):
                self.client.delete_object(Bucket=self.bucket_name, Key=key)
        except (BotoCoreError, ClientError) as error:
            log.warning("%s could not be removed from the bucket (%s). Please remove it by hand.", _key(folder), error)

    def answers(self) -> bool:
        """See Store."""
        self.client.head_bucket(Bucket=self.bucket_name)
        return True

    @cached_property
    def client(self) -> Any:
        """One for all threads: unlike boto3's resources, its clients may be shared."""
        return self.connection.meta.client

    def _keys(self, path: Path) -> list[str]:
        """The file's, or all of the folder's."""
        name = _key(path)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket_name, Prefix=name)
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return [key for key in keys if key == name or key.startswith(f"{name}/")]

    def _bring(self, key: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self.client.download_file(self.bucket_name, key, str(target))

    def _ask(self, question: Any, path: Path, **more: str) -> Any:
        try:
            return question(Bucket=self.bucket_name, Key=_key(path), **more)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise FileNotFoundError(path) from error
            raise


def _key(path: Path) -> str:
    return path.relative_to(settings.MEDIA_ROOT).as_posix()


def _files(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Every public file, with what tells one version of it from the next."""
    for path in sorted(folder.rglob("[!.]*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            stat = path.stat()
            yield path, (stat.st_mtime_ns, stat.st_size)


def _sweep() -> None:
    """Remove the working copies that killed processes have left."""
    limit = time.time() - FORGOTTEN_AFTER
    media = Path(settings.MEDIA_ROOT)
    for folder in (*media.glob("jobs/*"), *media.glob(f"{BROUGHT}/*")):
        with suppress(FileNotFoundError):  # somebody is at work there
            if max(path.stat().st_mtime for path in (folder, *folder.rglob("*"))) < limit:
                shutil.rmtree(folder, ignore_errors=True)
