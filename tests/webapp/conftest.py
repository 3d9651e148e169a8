"""Accounts, jobs in any state, and requests as a browser makes them. Tests write only to a folder of their own."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client
from moto.server import ThreadedMotoServer
from support.acting import SONG, Answer, claimed, files_below, finish, noise, upload

from pipeline.options import model_cards
from pipeline.playback.segments import Block, SegmentWriter
from webapp.exports import renderer
from webapp.models import Job, State, User
from webapp.monitoring import checks, health
from webapp.songs import actions, queue
from webapp.storage.base import store
from webapp.storage.s3 import Bucket
from webapp.worker import heartbeat


@pytest.fixture(autouse=True)
def own_folder(settings, tmp_path):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # others are slow by design
    settings.DATA = tmp_path
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    settings.DEMO_SONG = tmp_path / "demo.flac"
    settings.STATIC_ROOT = tmp_path
    cache.clear()  # requests that other tests made


@pytest.fixture
def models_installed(monkeypatch) -> None:
    """Makes health and system checks see installed models, also on a machine without any."""
    cards = [replace(card, installed=True) for card in model_cards()]
    for module in (health, checks):
        monkeypatch.setattr(module, "model_cards", lambda: cards)


@pytest.fixture(scope="session")
def s3() -> Iterator[Bucket]:
    """A bucket on a local S3 server."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", "http://{}:{}".format(*server.get_host_and_port()))
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        bucket = Bucket(bucket_name="songs", region_name="us-east-1")
        bucket.client.create_bucket(Bucket="songs")
        yield bucket
    server.stop()


@pytest.fixture
def bucket(s3, monkeypatch) -> Callable[[], list[str]]:
    """Stores songs and stems in a bucket, empty at first. Returns a function that lists its keys."""
    s3.bucket.objects.delete()
    monkeypatch.setattr(default_storage, "_wrapped", s3)
    return lambda: [found.key for found in s3.bucket.objects.all()]


@pytest.fixture(autouse=True)
def sent(monkeypatch) -> list[str]:
    """Names of the messages sent to the queue, which go nowhere."""
    messages: list[str] = []
    monkeypatch.setattr(queue.app, "send_task", lambda name, **_: messages.append(name))
    monkeypatch.setattr(heartbeat.stopping, "is_set", lambda: False)
    return messages


@pytest.fixture
def committing(django_capture_on_commit_callbacks):
    """Runs on_commit callbacks at the end of the block, which the test's transaction would otherwise prevent."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def owner(db) -> User:
    return User.objects.create_user("owner", password="wonderwall-1995")


@pytest.fixture
def stranger(db) -> User:
    return User.objects.create_user("stranger", password="parklife-1994")


@pytest.fixture
def browser(owner) -> Client:
    """A browser in which the owner is logged in."""
    client = Client()
    client.force_login(owner)
    return client


@pytest.fixture
def guest(db) -> Client:
    """A visitor's browser after the first upload."""
    client = Client()
    assert upload(client, "Mine.mp3").status_code == 201
    return client


@pytest.fixture
def make_job(owner) -> Callable[..., Job]:
    """Makes a job of the owner, and brings it into a state by the site's own functions."""

    def make(state: str = State.QUEUED, title: str = "Song", user: User | None = None, worker: str = "w") -> Job:
        job = actions.upload_and_enqueue(user or owner, SimpleUploadedFile("x", SONG), f"{title}.wav")
        if state == State.CANCELLED:
            actions.cancel(job)
        elif state != State.QUEUED:
            job = claimed(job, worker)
            if state == State.DONE:
                finish(job)
            elif state == State.FAILED:
                queue.fail(job, "No good.")
        return Job.objects.get(pk=job.pk)

    return make


@pytest.fixture
def real_job(make_job) -> Callable[..., Job]:
    """Makes a finished job whose stems are real audio, by default `noise`."""

    def make(stems: dict[str, Any] | None = None, **more: Any) -> Job:
        job, stems = make_job(State.DONE, **more), stems or noise()
        total = next(iter(stems.values())).shape[1]
        with SegmentWriter(job.directory) as writer:
            writer.write(Block(0, total, total, stems))
            writer.close()
        for path in files_below(job.directory):
            store().put(job.directory / path, job.directory / path)
        for name in stems:
            job.stems.get_or_create(name=name, defaults={"file": f"{name}.wav"})
        return job

    return make


class Immediately(Executor):
    """Runs work in this thread, the only one that sees the test's transaction."""

    def submit(self, work: Any, *args: Any, **named: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        done.set_result(work(*args, **named))
        return done


@pytest.fixture
def immediately(monkeypatch) -> None:
    """Renders exports before the response to their request."""
    monkeypatch.setattr(renderer, "renderer", Immediately())
    monkeypatch.setattr(
        renderer, "close_old_connections", lambda: None
    )  # the renderer's thread has its own; here it is the test's


@pytest.fixture
def fetch() -> Callable[..., Answer]:
    """Requests an asynchronous view as a user, with GET or HEAD, and reads the streamed body to its end."""

    def ask(path: str, user: User | None = None, method: str = "get", **headers: str) -> Answer:
        async def run() -> Answer:
            client = AsyncClient(raise_request_exception=False)  # as people see it, without exceptions
            if user:
                await client.aforce_login(user)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            response: Any = await getattr(client, method)(path, headers=named)
            body = b"".join([part async for part in response]) if response.streaming else response.content
            return Answer(response.status_code, dict(response.headers), body)

        return async_to_sync(run)()

    return ask
