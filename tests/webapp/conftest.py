"""Accounts, jobs in any state, and requests as a browser makes them. Nothing leaves the test's own folder."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from acting import SONG, Answer, claimed, finish, noise
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client

from pipeline.segments import Block, SegmentWriter
from webapp import jobs, rendering, worker
from webapp.models import Job, State, User


@pytest.fixture(autouse=True)
def own_folder(settings, tmp_path):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # others are slow by design
    settings.DATA = tmp_path
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.DEMO_SONG = tmp_path / "demo.flac"
    settings.STATIC_ROOT = tmp_path


@pytest.fixture(autouse=True)
def sent(monkeypatch) -> list[str]:
    """Names of the messages that would have gone to the queue."""
    messages: list[str] = []
    monkeypatch.setattr(jobs.app, "send_task", lambda name, **_: messages.append(name))
    monkeypatch.setattr(worker.stopping, "is_set", lambda: False)
    return messages


@pytest.fixture
def committing(django_capture_on_commit_callbacks):
    """Runs what waits for the commit at the end of the block, as without the test's own transaction."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def owner(db) -> User:
    return User.objects.create_user("owner", password="wonderwall-1995")


@pytest.fixture
def stranger(db) -> User:
    return User.objects.create_user("stranger", password="parklife-1994")


@pytest.fixture
def browser(owner) -> Client:
    """The owner's."""
    client = Client()
    client.force_login(owner)
    return client


@pytest.fixture
def make_job(owner) -> Callable[..., Job]:
    """A job of the owner's, queued or taken on to another state by the site's own verbs."""

    def make(state: str = State.QUEUED, title: str = "Song", user: User | None = None, worker: str = "w") -> Job:
        job = jobs.create(user or owner, SimpleUploadedFile("x", SONG), f"{title}.wav")
        if state == State.CANCELLED:
            jobs.cancel(job)
        elif state != State.QUEUED:
            job = claimed(job, worker)
            if state == State.DONE:
                finish(job)
            elif state == State.FAILED:
                jobs.fail(job, "No good.")
        return Job.objects.get(pk=job.pk)

    return make


@pytest.fixture
def real_job(make_job) -> Callable[..., Job]:
    """A finished one whose stems are real audio: `noise`, or another."""

    def make(stems: dict[str, Any] | None = None, **more: Any) -> Job:
        job, stems = make_job(State.DONE, **more), stems or noise()
        total = next(iter(stems.values())).shape[1]
        with SegmentWriter(job.directory) as writer:
            writer.write(Block(0, total, total, stems))
            writer.close()
        for name in stems:
            job.stems.get_or_create(name=name, defaults={"file": f"{name}.wav"})
        return job

    return make


class Immediately(Executor):
    """Does the work while it is asked to: in this thread, which alone sees the test's transaction."""

    def submit(self, work: Any, *args: Any, **_: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        done.set_result(work(*args))
        return done


@pytest.fixture
def immediately(monkeypatch) -> None:
    """Exports are made before the answer to their request."""
    monkeypatch.setattr(rendering, "renderer", Immediately())
    monkeypatch.setattr(rendering, "close_old_connections", lambda: None)  # a thread's own; here it is the test's


@pytest.fixture
def fetch() -> Callable[..., Answer]:
    """GET or HEAD of an asynchronous view by somebody, with the streamed body read to its end."""

    def ask(path: str, user: User | None = None, method: str = "get", **headers: str) -> Answer:
        async def run() -> Answer:
            client = AsyncClient()
            if user:
                await client.aforce_login(user)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            response: Any = await getattr(client, method)(path, headers=named)
            body = b"".join([part async for part in response]) if response.streaming else response.content
            return Answer(response.status_code, dict(response.headers), body)

        return async_to_sync(run)()

    return ask
