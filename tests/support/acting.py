"""Helpers for tests of the site that act as workers, browsers and clocks."""

import asyncio
import base64
import io
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from asgiref.sync import async_to_sync
from django.test import Client
from django.utils import timezone
from support.sounds import silent_wav

from webapp.models import COVER, DETECTION, LOST_AFTER, ORIGINAL, THUMBNAIL, Job, Worker
from webapp.songs import queue
from webapp.storage.base import store

DETECTED = {"stage": "confirmed", "stems": {"vocals": {"probability": 0.9, "presence": "present"}}}
RATE, SECONDS = 44_100, 12  # of the stems of a `real_job`
PICTURE = base64.b64decode(  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
SONG = silent_wav()


def claimed(job: Job, worker: str = "w") -> Job:
    mine = queue.claim(job.pk, worker)
    assert mine is not None
    return mine


def finish(job: Job, stems: tuple[str, ...] = ("vocals", "drums"), **more: Any) -> None:
    """Finish a job with files as a worker writes them, two segments long. more: fields of the report."""
    with store().workplace(job.directory) as publish:
        for stem in stems:
            folder = job.directory / stem
            folder.mkdir()
            (folder / "peaks.i8").write_bytes(bytes(range(200)))
            for index in range(2):
                (folder / f"{index:05d}.flac").write_bytes(f"{stem} {index}".encode())
            (job.directory / f"{stem}.wav").write_bytes(stem.encode() * 1000)
        (job.directory / DETECTION).write_text('{"stage": "confirmed"}')
        original = write_original(job)
        publish()
    models = [{"name": "m", "licence": "MIT"}]
    report = {
        "title": job.track.title,
        "asked": [],
        "provider": "CPU",
        "null_db": -120.0,
        "warnings": ["Quiet."],
        "models": models,
    } | more
    files = {stem: job.directory / f"{stem}.wav" for stem in stems}
    done = {"segments_done": 2, "blocks_done": 3, "blocks_total": 3, "detected": DETECTED}
    queue.finish(job, report, files, **original, **done)


def write_original(job: Job) -> dict[str, Any]:
    """Write the mixture as a worker does before the first stem. Returns the fields of the job it then stores."""
    folder = job.directory / ORIGINAL
    folder.mkdir(parents=True)
    for index in range(2):
        (folder / f"{index:05d}.flac").write_bytes(f"original {index}".encode())
    (folder / "peaks.i8").write_bytes(bytes(range(100)))
    (folder / THUMBNAIL).write_bytes(bytes(range(10)))
    (folder / COVER).write_bytes(PICTURE)
    return {"samples": 882_000, "original_done": 2, "tags": {"artist": "Somebody", "cover_type": "image/png"}}


def drafted(job: Job, stems: tuple[str, ...] = ("vocals",)) -> None:
    """Write a draft, one segment long, as a worker does before the first stem, and store that in the job."""
    for stem in stems:
        folder = job.draft / stem
        folder.mkdir(parents=True)
        for index in range(2):
            (folder / f"{index:05d}.flac").write_bytes(f"draft of {stem} {index}".encode())
        (folder / "peaks.i8").write_bytes(bytes(range(100, 250)))
    Job.objects.filter(pk=job.pk).update(draft_done=1)


def noise() -> dict[str, Any]:
    """Return the audio of the stems of a `real_job`, each of shape (2, samples)."""
    rng = np.random.default_rng(5)
    return {stem: rng.uniform(-0.9, 0.9, (2, RATE * SECONDS)).astype(np.float32) for stem in ("vocals", "drums")}


def decoded(answer: "Answer") -> Any:
    """Decode the audio of a response, of shape (2, samples)."""
    audio, rate = soundfile.read(io.BytesIO(answer.body), dtype="float32")
    assert rate == RATE
    return audio.T


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def upload(client: Client, name: str = "Song.mp3", content: bytes = SONG, **more: Any) -> Any:
    file = io.BytesIO(content)
    file.name = name
    return client.post("/api/v1/jobs/", {"file": file} | more)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def run_async(coroutine: Any) -> Any:
    async def run() -> Any:
        return await asyncio.wait_for(coroutine, 10)

    return async_to_sync(run)()


def silence(worker: str, seconds: float | None = None) -> None:
    """Move a worker's last heartbeat into the past."""
    ago = LOST_AFTER * 2 if seconds is None else timedelta(seconds=seconds)
    Worker.objects.filter(name=worker).update(heartbeat_at=timezone.now() - ago)


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)
