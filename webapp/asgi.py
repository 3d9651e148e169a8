"""The door for web servers: `uvicorn webapp.asgi:application`."""

import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django = get_asgi_application()

from django.conf import settings  # noqa: E402 - there are no settings before the line above

from webapp.validators import too_large  # noqa: E402

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ENVELOPE = 1_000_000  # bytes of a request beside the file that it carries


class BodyLimit:
    """Turns a body over the limit away: Django would write all of it to disk before a view can look at it."""

    def __init__(self, app: App, limit: int):
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return message if seen <= self.limit else {"type": "http.disconnect"}  # Django lets go of the request

        if self._announced(scope) <= self.limit:
            await self.app(scope, counted, send)
            if seen <= self.limit:
                return
        await _refuse(send)

    def _announced(self, scope: Scope) -> int:
        length = dict(scope.get("headers", ())).get(b"content-length", b"")
        return int(length) if length.isdigit() else 0


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"file": [too_large()]}).encode()})


# Django keeps a request in the temporary folder until it is complete, and the system's is often in memory.
tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)
application = BodyLimit(django, settings.MAX_UPLOAD_BYTES + ENVELOPE)
