"""The limit on request bodies, which applies before Django writes them to disk."""

import json

import pytest
from support.acting import run_async

from webapp.http.body_limit import BodyLimit

LIMIT = 100


async def ask(chunks, announced=None, then="http.disconnect"):
    """Send a body in chunks; returns the messages of the server and the bytes that the application read."""
    read, sent = [], []
    queue = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    queue[-1]["more_body"] = False

    async def receive():
        return queue.pop(0) if queue else {"type": then}

    async def send(message):
        sent.append(message)

    async def app(_scope, receive, send):
        """Reads the body as Django does."""
        while (message := await receive())["type"] == "http.request":
            read.append(message["body"])
            if not message["more_body"]:
                await send({"type": "http.response.start", "status": 201, "headers": []})
                return

    headers = [] if announced is None else [(b"content-length", str(announced).encode())]
    await BodyLimit(app, LIMIT)({"type": "http", "path": "/api/v1/jobs/", "headers": headers}, receive, send)
    return sent, b"".join(read)


@pytest.mark.parametrize("announced", [None, LIMIT])
def test_a_body_at_the_limit_passes(announced):
    sent, read = run_async(ask([b"x" * 60, b"x" * 40], announced))
    assert [message["status"] for message in sent] == [201]
    assert len(read) == LIMIT


@pytest.mark.parametrize("announced", [101, "9" * 5000])
def test_a_body_that_announces_too_much_is_not_read(announced):
    sent, read = run_async(ask([b"x" * 101], announced))
    assert sent[0]["status"] == 413
    assert "larger than" in json.loads(sent[1]["body"])["detail"]
    assert read == b""


@pytest.mark.parametrize("announced", [None, 5])
def test_a_body_that_grows_too_large_is_cut_off(announced):
    sent, read = run_async(ask([b"x" * 60, b"x" * 41, b"x" * 60], announced))
    assert [message.get("status") for message in sent] == [413, None]
    assert len(read) == 60
