"""Makes a song as if it had been uploaded and separated: a program for a site's environment, run by `conftest.seeded`.

Reads a list of wishes (see Wish) as JSON from standard input; writes a list of {"job": id, "session": the owner's} to
standard output.
The stems are sines and bursts of noise that never repeat, so that each can be found again in what is played.
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
class Wish:
    """A song of `seconds`, of which the share `separated` has its stems.

    drafted: those of the stems that its draft has, if there is one; `other` among them has the sound of the rest.
    cover: PNG in base64. job: more of its row.
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
    """Read, make, answer."""
    made = [make(Wish(**wish)) for wish in json.load(sys.stdin)]
    json.dump([{"job": str(job.pk), "session": session_of(job.track.owner)} for job in made], sys.stdout)


def session_of(owner: User) -> str:
    """A session of its own, as if the owner had just logged in."""
    client = Client()
    client.force_login(owner)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def make(wish: Wish) -> Job:
    """The rows and all files."""
    owner, _ = User.objects.get_or_create(username=wish.owner)
    called = {"title": wish.title, "artist": wish.artist, "filename": wish.filename or f"{wish.title}.flac"}
    track = Track(owner=owner, size=0, **called)
    track.file.name = f"tracks/{track.pk}.flac"
    job = Job(track=track, attempts=1, finished=1 if wish.state == State.DONE else None)
    fields = write(wish, job, Path(track.file.path)) | STATES[wish.state] | wish.job
    for name, value in fields.items():
        setattr(job, name, value)
    job.report = job.report | {"title": wish.title}
    track.size = Path(track.file.path).stat().st_size
    track.save(force_insert=True)
    job.state = wish.state
    job.save(force_insert=True)
    if wish.state == State.RUNNING:  # of a worker that no other takes for dead
        Worker.objects.update_or_create(name=WORKER, defaults={"heartbeat_at": timezone.now() + FOREVER})
    if job.segments_done or job.draft_done:
        Stem.objects.bulk_create(Stem(job=job, name=name, file=file_of(wish, job, name)) for name in wish.stems)
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


def write(wish: Wish, job: Job, upload: Path) -> dict[str, Any]:
    """The upload, the players' segments and, of a finished job, whole stems. What the row says of them."""
    job.directory.mkdir(parents=True)
    upload.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        kept = store_mixture(job, mix(wish, Recording(Path(scratch, "mix"), tags=tags(wish)), upload))
    (job.directory / DETECTION).write_text(json.dumps(detection(wish)), "utf-8")
    gain = kept["segment_gain"]
    done = {"segments_done": write_stems(wish, job.directory, gain), "draft_done": write_draft(wish, job.draft, gain)}
    return kept | done | {"detected": detected(wish)}


def tags(wish: Wish) -> Tags:
    """What the upload says about itself."""
    return Tags(cover=base64.b64decode(wish.cover), cover_type="image/png" if wish.cover else "")


def mix(wish: Wish, recording: Recording, upload: Path) -> Recording:
    """All stems together, decoded and as the file that was uploaded."""
    with recording.path.open("wb") as raw, flac(upload) as file:
        for block in blocks(wish):
            mixture = np.sum([*block.stems.values()], axis=0)
            recording.append(mixture, raw)
            file.write(mixture.T)
    return recording


def write_stems(wish: Wish, directory: Path, gain: float) -> int:
    """Segments of as much as is separated, and whole stems of a finished job. How many segments."""
    done, segments = wish.state == State.DONE, 0
    with ExitStack() as files:
        writer = files.enter_context(SegmentWriter(directory))
        wholes = {name: files.enter_context(flac(directory / f"{name}.flac")) for name in wish.stems if done}
        for block in blocks(wish, gain):
            for name, whole in wholes.items():
                whole.write(block.stems[name].T)
            if block.stop <= wish.separated * block.total:
                segments = writer.write(block)
        return writer.close() if wish.separated == 1.0 else segments


def write_draft(wish: Wish, directory: Path, gain: float) -> int:
    """A draft of all the song, if there is to be one. How many segments."""
    if not wish.drafted:
        return 0
    with SegmentWriter(directory) as writer:
        for block in blocks(wish, gain):
            stems = {name: block.stems[name] for name in wish.drafted}
            stems["other"] = np.sum(
                [block.stems[name] for name in wish.stems if name not in stems or name == "other"], axis=0
            )
            writer.write(replace(block, stems=stems))
        return writer.close()


def flac(path: Path) -> soundfile.SoundFile:
    """A file to write (n, 2) to."""
    return soundfile.SoundFile(path, "w", SAMPLE_RATE, 2, "PCM_24", format="FLAC")


def blocks(wish: Wish, gain: float = HEADROOM) -> Iterator[Block]:
    """The song in order."""
    total = round(wish.seconds * SAMPLE_RATE)
    for start in range(0, total, SEGMENT):
        stop = min(start + SEGMENT, total)
        stems = {name: sound(number, start, stop) for number, name in enumerate(wish.stems)}
        yield Block(start, stop, total, stems, gain=gain)


def sound(number: int, start: int, stop: int) -> Audio:
    """Samples start to stop of a stem: a sine of its own pitch and bursts of noise, more to the left or right."""
    time = np.arange(start, stop) / SAMPLE_RATE
    noise = np.random.default_rng([number, start]).uniform(-1, 1, (2, stop - start))
    bursts = np.exp(-20 * np.mod(time + 0.07 * number, 0.5))
    sine = np.sin(2 * np.pi * 110 * 1.5**number * time)
    side = np.array([[1 - number / 12], [0.5 + number / 12]])
    return np.asarray(LEVEL * side / 2 * (sine + bursts * noise), np.float32)


def detection(wish: Wish) -> dict[str, Any]:
    """What a detector would have said: every stem from beginning to end."""
    whole = {"timeline": [0.9] * int(wish.seconds), "spans": [[0.0, wish.seconds]]}
    rows = {name: row | whole for name, row in detected(wish)["stems"].items()}
    return {"seconds": wish.seconds, "stage": "confirmed", "stems": rows}


def detected(wish: Wish) -> dict[str, Any]:
    """The same in short."""
    likely = {"probability": 0.9, "presence": "present"}
    return {"stage": "confirmed", "stems": {name: likely for name in wish.stems if name != "residual"}}


def file_of(wish: Wish, job: Job, name: str) -> str:
    """The whole stem's, as its row names it."""
    return str((job.directory / f"{name}.flac").relative_to(settings.MEDIA_ROOT)) if wish.state == State.DONE else ""


if __name__ == "__main__":
    main()
