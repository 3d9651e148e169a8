"""Streams the body of a request to its view as it arrives.

Django calls a view only once the whole body has arrived, and not at all if the connection breaks before. Resumable
uploads, however, must keep what arrived before the break.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpRequest

from webapp.http.body_limit import App, Message, Receive, Scope, Send

STREAMED = b"application/offset+octet-stream"  # type of a chunk in the tus protocol
KEY = "soundscape.receive"
IDLE_TIMEOUT = 60.0  # seconds without data after which a connection counts as broken


class StreamedBody:
    """ASGI middleware: shows Django an empty body, and keeps the real one for the view to read with `body`."""

    def __init__(self, app: App):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep the body for the view. Rejects before the upload completes."""
        if dict(scope.get("headers", ())).get(b"content-type") != STREAMED:
            return await self.app(scope, receive, send)
        more = True

        async def counted() -> Message:
            nonlocal more
            message = await receive()
            more = message.get("more_body", False)  # absent from the message of a broken connection
            return message

        async def closing(message: Message) -> None:
            if more and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        return await self.app(scope | {KEY: counted}, _empty_body(), closing)


def _empty_body() -> Receive:
    """Receive an empty body, and then wait forever."""
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        for message in messages:
            return message
        return await asyncio.Future()

    return receive


async def body(request: HttpRequest) -> AsyncIterator[bytes]:
    """The chunks of the body as they arrive, until it ends or the connection breaks."""
    receive: Any = getattr(request, "scope", {}).get(KEY)
    if receive is None:  # not under ASGI: the whole body is there
        yield request.body
        return
    more = True
    while more:
        try:
            message = await asyncio.wait_for(receive(), IDLE_TIMEOUT)
        except TimeoutError:
            return
        more = message.get("more_body", False)
        yield message.get("body", b"")
