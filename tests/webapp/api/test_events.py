"""Server-sent events: the state at once, then every change, until the browser disconnects."""

import asyncio
import json

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.asgi import ASGIHandler
from django.test import AsyncClient, Client
from support.acting import claimed, run_async, silence, upload

from webapp.api import events
from webapp.models import Job, State
from webapp.songs import actions, queue

pytestmark = pytest.mark.django_db(transaction=True)  # a stream closes its connection after each poll


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(events, "POLL_INTERVAL", 0.01)


class Stream:
    """A client like the EventSource of a browser."""

    def __init__(self, response):
        assert response.status_code == 200
        assert response["Content-Type"] == "text/event-stream"
        assert response["Cache-Control"] == "no-cache"
        self._parts = aiter(response.streaming_content)

    async def next(self):
        """The next event as a pair of name and data."""
        while True:
            part = (await asyncio.wait_for(anext(self._parts), 10)).decode()
            if part.startswith("event: "):
                name, data = part.removeprefix("event: ").rstrip("\n").split("\ndata: ")
                return name, json.loads(data)

    async def comment(self):
        while not (part := (await asyncio.wait_for(anext(self._parts), 10)).decode()).startswith(":"):
            pass
        return part


async def listen(path, user):
    client = AsyncClient()
    if not isinstance(user, AnonymousUser):
        await client.aforce_login(user)
    return Stream(await client.get(path))


def test_one_job_tells_its_state_then_each_change(make_job, owner):
    job = make_job()

    async def follow():
        stream = await listen(f"/api/v1/jobs/{job.pk}/events/", owner)
        name, data = await stream.next()
        assert (name, data["id"], data["state"]) == ("job", str(job.pk), "queued")
        mine = await sync_to_async(claimed)(job)
        assert (await stream.next())[1]["state"] == "running"
        await sync_to_async(queue.progress)(mine, stage="separate", blocks_done=3, blocks_total=9)
        assert (await stream.next())[1]["blocks_done"] == 3
        await sync_to_async(actions.delete)(job)
        assert await stream.next() == ("deleted", {"id": str(job.pk)})

    run_async(follow())


def test_the_event_is_the_json_of_the_api(make_job, owner, browser):
    job = make_job(State.DONE)

    async def first():
        return await (await listen(f"/api/v1/jobs/{job.pk}/events/", owner)).next()

    assert run_async(first()) == ("job", browser.get(f"/api/v1/jobs/{job.pk}/").json())


def test_a_beat_that_changes_nothing_says_nothing(make_job, owner, monkeypatch):
    job = claimed(make_job())

    async def follow():
        stream = await listen(f"/api/v1/jobs/{job.pk}/events/", owner)
        await stream.next()
        await sync_to_async(queue.progress)(job)
        return await stream.next()

    monkeypatch.setattr(events, "KEEP_ALIVE", 1e9)
    with pytest.raises(TimeoutError):
        run_async(asyncio.wait_for(follow(), 0.3))


def test_silence_is_broken_by_comments(make_job, owner, monkeypatch):
    monkeypatch.setattr(events, "KEEP_ALIVE", 0.0)
    job = make_job(State.DONE)

    async def follow():
        stream = await listen(f"/api/v1/jobs/{job.pk}/events/", owner)
        return await stream.comment()

    assert run_async(follow()).startswith(": ")


def test_a_dead_worker_is_news_although_no_row_of_the_job_changed(make_job, owner):
    job = claimed(make_job(), "w")

    async def follow():
        stream = await listen(f"/api/v1/jobs/{job.pk}/events/", owner)
        assert (await stream.next())[1]["notice"] == ""
        await sync_to_async(silence)("w")
        return (await stream.next())[1]["notice"]

    assert "worker has stopped" in run_async(follow())


def test_all_my_jobs_and_nobody_elses(make_job, owner, stranger):
    old, theirs, new = make_job(State.DONE), make_job(user=stranger), make_job(State.FAILED)

    async def follow():
        stream = await listen("/api/v1/jobs/events/", owner)
        assert [(await stream.next())[1]["id"] for _ in range(2)] == [str(old.pk), str(new.pk)]
        await sync_to_async(actions.cancel)(theirs)
        await sync_to_async(actions.retry)(new)
        assert (await stream.next())[1]["state"] == "queued"
        await sync_to_async(actions.delete)(old)
        assert await stream.next() == ("deleted", {"id": str(old.pk)})
        await sync_to_async(actions.restore)(old)
        assert (await stream.next())[1]["id"] == str(old.pk)
        another = await sync_to_async(make_job)()
        assert (await stream.next())[1]["id"] == str(another.pk)

    run_async(follow())


def test_a_stream_of_changes_begins_with_what_goes_on(make_job, owner):
    over, waiting = make_job(State.DONE), make_job()
    track = over.track

    async def follow():
        stream = await listen("/api/v1/jobs/events/?changes=true", owner)
        await sync_to_async(actions.rename)(track, "Changed before the first look")
        first = {data["id"]: data["title"] for _, data in [await stream.next() for _ in range(2)]}
        assert first == {str(over.pk): "Changed before the first look", str(waiting.pk): "Song"}
        await sync_to_async(actions.delete)(over)
        assert await stream.next() == ("deleted", {"id": str(over.pk)})

    run_async(follow())


def test_a_stream_of_changes_says_nothing_of_what_is_over(make_job, owner, monkeypatch):
    make_job(State.DONE)

    async def follow():
        stream = await listen("/api/v1/jobs/events/?changes=true", owner)
        return await stream.next()

    monkeypatch.setattr(events, "KEEP_ALIVE", 1e9)
    with pytest.raises(TimeoutError):
        run_async(asyncio.wait_for(follow(), 0.3))


def test_a_visitors_stream_sees_the_first_upload():
    """The page listens before the account exists, which the upload creates in another request."""
    browser = Client()
    browser.get("/")

    async def follow():
        listener = AsyncClient()
        listener.cookies = browser.cookies
        stream = Stream(await listener.get("/api/v1/jobs/events/"))
        await sync_to_async(upload)(browser, "First.mp3")
        await sync_to_async(upload)(Client(), "Somebody else's.mp3")
        name, data = await stream.next()
        assert (name, data["title"]) == ("job", "First")
        await sync_to_async(Job.objects.filter(track__title="First").delete)()
        return await stream.next()

    assert run_async(follow())[0] == "deleted"


def test_what_is_over_costs_one_query_a_look(make_job, django_assert_num_queries):
    for _ in range(3):
        make_job(State.DONE)
    watch = events.Watch(Job.objects.order_by("-created_at"))
    assert len(watch.changes()) == 3
    with django_assert_num_queries(1):
        assert watch.changes() == []


def test_the_stream_ends_with_the_connection(make_job, owner):
    """Runs the whole ASGI stack in the threads that a server would use."""
    job = make_job()
    client = Client()
    client.force_login(owner)
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/api/v1/jobs/{job.pk}/events/",
        "headers": [(b"host", b"localhost"), (b"cookie", cookie.encode())],
        "query_string": b"",
    }

    async def connect():
        server = ApplicationCommunicator(ASGIHandler(), scope)
        await server.send_input({"type": "http.request"})
        start = await server.receive_output(10)
        assert start["status"] == 200
        received = b""
        while b"event: job" not in received:
            received += (await server.receive_output(10))["body"]
        await server.send_input({"type": "http.disconnect"})
        await server.wait(10)

    run_async(connect())


def test_a_stream_wants_get(browser):
    assert browser.post("/api/v1/jobs/events/").status_code == 405
