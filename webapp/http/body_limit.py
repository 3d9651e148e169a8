"""Rejects requests whose body exceeds the limit. Django would write all of it to disk before any view is called."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.http import HttpResponse

from webapp.http import problems
from webapp.uploads.limits import too_large

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimit:
    """ASGI middleware. limit: maximum size of a body in bytes."""

    def __init__(self, app: App, limit: int):
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the announced length first, and then count what arrives."""
        seen, answered = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return message if seen <= self.limit else {"type": "http.disconnect"}  # Django drops the request

        async def tracked(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        if content_length(dict(scope.get("headers", ())).get(b"content-length", b"")) <= self.limit:
            try:
                await self.app(scope, counted, tracked)
            except Exception as error:  # Django handles errors of its views, but not those of storing the body
                response = problems.of_exception(error, scope.get("path", ""))
                if answered or response.status_code == 500:
                    raise
                return await _respond(send, response)
            if seen <= self.limit:
                return None
        return await _respond(send, problems.respond("too-large", scope["path"], too_large()))


def content_length(length: bytes) -> int:
    """The number in a header Content-Length; 0 if it is invalid."""
    return int(length[:19]) if length.isdigit() else 0


async def _respond(send: Send, response: HttpResponse) -> None:
    """Send a response and close the connection, so that the rest of the request is not read."""
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
    start = {"type": "http.response.start", "status": response.status_code}
    await send(start | {"headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": response.content})
