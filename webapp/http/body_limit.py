"""Turns a request away whose body is over the limit. Django would write all of it to disk before any view sees it."""

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
    """An ASGI application around another. limit: bytes."""

    def __init__(self, app: App, limit: int):
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Go by what the request announces; where it announces nothing, count."""
        seen, answered = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return message if seen <= self.limit else {"type": "http.disconnect"}  # Django lets go of the request

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        if announced(dict(scope.get("headers", ())).get(b"content-length", b"")) <= self.limit:
            try:
                await self.app(scope, counted, noted)
            except Exception as error:  # Django answers for its views, but not where it keeps the body
                response = problems.of_exception(error, scope.get("path", ""))
                if answered or response.status_code == 500:
                    raise
                return await _answer(send, response)
            if seen <= self.limit:
                return None
        return await _answer(send, problems.answer("too-large", scope["path"], too_large()))


def announced(length: bytes) -> int:
    """The bytes that a header Content-Length promises; 0 if it makes no sense."""
    return int(length[:19]) if length.isdigit() else 0


async def _answer(send: Send, response: HttpResponse) -> None:
    """What is left of the request is not read."""
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
    start = {"type": "http.response.start", "status": response.status_code}
    await send(start | {"headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": response.content})
