"""Turns a request away whose body is over the limit. Django would write all of it to disk before any view sees it."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from webapp import problems
from webapp.validators import too_large

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimit:
    """An ASGI application around another. limit: bytes."""

    def __init__(self, app: App, limit: int):
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Go by what the request announces; where it announces nothing, count."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return message if seen <= self.limit else {"type": "http.disconnect"}  # Django lets go of the request

        if _announced(scope) <= self.limit:
            await self.app(scope, counted, send)
            if seen <= self.limit:
                return
        await _refuse(scope, send)


def _announced(scope: Scope) -> int:
    length = dict(scope.get("headers", ())).get(b"content-length", b"")
    return int(length) if length.isdigit() else 0


async def _refuse(scope: Scope, send: Send) -> None:
    headers = [(b"content-type", problems.TYPE.encode()), (b"connection", b"close")]
    body = problems.problem(problems.KINDS["too-large"], scope["path"], too_large())
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
