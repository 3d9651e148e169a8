"""Hands a request's body to the view that asked for it as it arrives.

Django gives a request to a view once all of it is there, and none of it if the connection breaks on the way. For an
upload that is to be resumed what arrived before the break is all that matters.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpRequest

from webapp.http.body_limit import App, Message, Receive, Scope, Send

STREAMED = b"application/offset+octet-stream"  # the type of a piece of a file in the tus protocol
KEY = "soundscape.receive"
IDLE = 60.0  # seconds without a byte after which a connection is taken for broken


class Streamed:
    """An ASGI application around Django, which sees an empty body where a view will read it by `body`."""

    def __init__(self, app: App):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep the body of such a request for the view. Whoever is refused hears it before having sent all of it."""
        if dict(scope.get("headers", ())).get(b"content-type") != STREAMED:
            return await self.app(scope, receive, send)
        more = True

        async def counted() -> Message:
            nonlocal more
            message = await receive()
            more = message.get("more_body", False)  # the message of a broken connection has none
            return message

        async def closing(message: Message) -> None:
            if more and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        return await self.app(scope | {KEY: counted}, _nothing(), closing)


def _nothing() -> Receive:
    """An empty body, and then nothing for as long as Django listens."""
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        for message in messages:
            return message
        return await asyncio.Future()

    return receive


async def body(request: HttpRequest) -> AsyncIterator[bytes]:
    """The body in pieces as they arrive, up to its end or to where the connection broke."""
    receive: Any = getattr(request, "scope", {}).get(KEY)
    if receive is None:  # a server of another kind, which gives all of it at once
        yield request.body
        return
    more = True
    while more:
        try:
            message = await asyncio.wait_for(receive(), IDLE)
        except TimeoutError:
            return
        more = message.get("more_body", False)
        yield message.get("body", b"")
