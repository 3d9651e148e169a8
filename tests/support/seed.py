"""Create songs as if they had been uploaded and separated: a program in a site's environment, run by `conftest.seeded`.

It reads a list of SongSpec as JSON from standard input, and writes a list of {"job": id, "session": the owner's} to
standard output. The stems are sines and bursts of noise that never repeat, so that each can be located in a rendering.
"""

import base64
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import django
import numpy as np
import soundfile
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from pipeline.audio.recording import SAMPLE_RATE, Recording  # noqa: E402
from pipeline.audio.tags import Tags  # noqa: E402
from pipeline.playback.segments import HEADROOM, SEGMENT, Block, SegmentWriter  # noqa: E402
from webapp.models import DETECTION, Job, State, Stem, Track, User, Worker  # noqa: E402
from webapp.songs.source_audio import store_mixture  # noqa: E402

Audio = NDArray[np.float32]

LEVEL = 0.1  # greatest amplitude of a stem
FOREVER = timedelta(days=365)
WORKER = "seed"


@dataclass(frozen=True)
class SongSpec:
    """A song of `seconds`, of which the fraction `separated` has its stems.

    drafted: stems that its draft contains, if there is one; `other` among them has the sound of the rest.
    cover: PNG in base64. job: further fields of its row.
    """

    seconds: float
    stems: list[str]
    title: str = "Seeded song"
    artist: str = ""
    filename: str = ""
    owner: str = "listener"
    state: str = State.DONE
    separated: float = 1.0
    drafted: list[str] = field(default_factory=list)
    cover: str = ""
    job: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    made = [make(SongSpec(**spec)) for spec in json.load(sys.stdin)]
    json.dump([{"job": str(job.pk), "session": session_of(job.track.owner)} for job in made], sys.stdout)


def session_of(owner: User) -> str:
    """Create a session, as if the owner had just logged in."""
    client = Client()
    client.force_login(owner)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def make(spec: SongSpec) -> Job:
    owner, _ = User.objects.get_or_create(username=spec.owner)
    called = {"title": spec.title, "artist": spec.artist, "filename": spec.filename or f"{spec.title}.flac"}
    track = Track(owner=owner, size=0, **called)
    track.file.name = f"tracks/{track.pk}.flac"
    job = Job(track=track, attempts=1, finished=1 if spec.state == State.DONE else None)
    fields = write(spec, job, Path(track.file.path)) | STATES[spec.state] | spec.job
    for name, value in fields.items():
        setattr(job, name, value)
    job.report = job.report | {"title": spec.title}
    track.size = Path(track.file.path).stat().st_size
    track.save(force_insert=True)
    job.state = spec.state
    job.save(force_insert=True)
    if spec.state == State.RUNNING:  # of a worker that never counts as dead
        Worker.objects.update_or_create(name=WORKER, defaults={"heartbeat_at": timezone.now() + FOREVER})
    if job.segments_done or job.draft_done:
        Stem.objects.bulk_create(Stem(job=job, name=name, file=file_of(spec, job, name)) for name in spec.stems)
    return job


NOW = timezone.now()
NOTHING: dict[str, Any] = {"samples": None, "original_done": 0, "draft_done": 0, "segments_done": 0, "detected": {}}
STATES: dict[str, dict[str, Any]] = {
    State.DONE: {
        "finished_at": NOW,
        "report": {"models": [{"name": "seed", "licence": "MIT"}], "null_db": -120.0, "provider": "CPU"},
    },
    State.RUNNING: {
        "worker": WORKER,
        "stage": "separate",
        "blocks_done": 3,
        "blocks_total": 8,
        "heartbeat_at": NOW + FOREVER,
    },
    State.QUEUED: NOTHING,
    State.FAILED: NOTHING | {"finished_at": NOW, "error": "This file holds no sound."},
    State.CANCELLED: NOTHING | {"finished_at": NOW},
}


def write(spec: SongSpec, job: Job, upload: Path) -> dict[str, Any]:
    """Write the upload, the player's segments and, for a finished job, whole stems. Returns fields of the job's row."""
    job.directory.mkdir(parents=True)
    upload.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        kept = store_mixture(job, mix(spec, Recording(Path(scratch, "mix"), tags=tags(spec)), upload))
    (job.directory / DETECTION).write_text(json.dumps(detection(spec)), "utf-8")
    gain = kept["segment_gain"]
    done = {"segments_done": write_stems(spec, job.directory, gain), "draft_done": write_draft(spec, job.draft, gain)}
    return kept | done | {"detected": detected(spec)}


def tags(spec: SongSpec) -> Tags:
    return Tags(cover=base64.b64decode(spec.cover), cover_type="image/png" if spec.cover else "")


def mix(spec: SongSpec, recording: Recording, upload: Path) -> Recording:
    """Write the sum of all stems, decoded and as the uploaded file."""
    with recording.path.open("wb") as raw, flac(upload) as file:
        for block in blocks(spec):
            mixture = np.sum([*block.stems.values()], axis=0)
            recording.append(mixture, raw)
            file.write(mixture.T)
    return recording


def write_stems(spec: SongSpec, directory: Path, gain: float) -> int:
    """Write segments of the separated part, and whole stems of a finished job. Returns the number of segments."""
    done, segments = spec.state == State.DONE, 0
    with ExitStack() as files:
        writer = files.enter_context(SegmentWriter(directory))
        wholes = {name: files.enter_context(flac(directory / f"{name}.flac")) for name in spec.stems if done}
        for block in blocks(spec, gain):
            for name, whole in wholes.items():
                whole.write(block.stems[name].T)
            if block.stop <= spec.separated * block.total:
                segments = writer.write(block)
        return writer.close() if spec.separated == 1.0 else segments


def write_draft(spec: SongSpec, directory: Path, gain: float) -> int:
    """Write a draft of the whole song, if it has one. Returns the number of segments."""
    if not spec.drafted:
        return 0
    with SegmentWriter(directory) as writer:
        for block in blocks(spec, gain):
            stems = {name: block.stems[name] for name in spec.drafted}
            stems["other"] = np.sum(
                [block.stems[name] for name in spec.stems if name not in stems or name == "other"], axis=0
            )
            writer.write(replace(block, stems=stems))
        return writer.close()


def flac(path: Path) -> soundfile.SoundFile:
    """Open a file for frames of shape (n, 2)."""
    return soundfile.SoundFile(path, "w", SAMPLE_RATE, 2, "PCM_24", format="FLAC")


def blocks(spec: SongSpec, gain: float = HEADROOM) -> Iterator[Block]:
    total = round(spec.seconds * SAMPLE_RATE)
    for start in range(0, total, SEGMENT):
        stop = min(start + SEGMENT, total)
        stems = {name: sound(number, start, stop) for number, name in enumerate(spec.stems)}
        yield Block(start, stop, total, stems, gain=gain)


def sound(number: int, start: int, stop: int) -> Audio:
    """Samples start to stop of a stem: a sine of its own pitch and bursts of noise, more to the left or right."""
    time = np.arange(start, stop) / SAMPLE_RATE
    noise = np.random.default_rng([number, start]).uniform(-1, 1, (2, stop - start))
    bursts = np.exp(-20 * np.mod(time + 0.07 * number, 0.5))
    sine = np.sin(2 * np.pi * 110 * 1.5**number * time)
    side = np.array([[1 - number / 12], [0.5 + number / 12]])
    return np.asarray(LEVEL * side / 2 * (sine + bursts * noise), np.float32)


def detection(spec: SongSpec) -> dict[str, Any]:
    """A detection of every stem from beginning to end."""
    whole = {"timeline": [0.9] * int(spec.seconds), "spans": [[0.0, spec.seconds]]}
    rows = {name: row | whole for name, row in detected(spec)["stems"].items()}
    return {"seconds": spec.seconds, "stage": "confirmed", "stems": rows}


def detected(spec: SongSpec) -> dict[str, Any]:
    """The same without timelines."""
    likely = {"probability": 0.9, "presence": "present"}
    return {"stage": "confirmed", "stems": {name: likely for name in spec.stems if name != "residual"}}


def file_of(spec: SongSpec, job: Job, name: str) -> str:
    """Path of the whole stem as its row stores it, or \"\"."""
    return str((job.directory / f"{name}.flac").relative_to(settings.MEDIA_ROOT)) if spec.state == State.DONE else ""


if __name__ == "__main__":
    main()
