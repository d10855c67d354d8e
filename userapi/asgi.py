"""The ASGI application, for uvicorn and other ASGI servers."""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application

from userapi.requests import exceeds

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "userapi.settings")

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_django = get_asgi_application()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Django's application; it reads no more of a body than the service accepts."""
    await _django(scope, _limited(scope, receive) if scope["type"] == "http" else receive, send)


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Return a `receive` that ends a body which RequestGuardMiddleware refuses.

    Before any middleware sees the request, Django stores its body, a large one on the disk.
    """
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"").decode("latin-1").lstrip("0")
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    refused = exceeds(length, limit) or (b"transfer-encoding" in headers and not length.isdecimal())
    size = 0
    ended = False

    async def limited() -> Message:
        nonlocal ended, size
        if ended:  # Django waits for the client to disconnect
            while (message := await receive())["type"] == "http.request":
                pass
            return message
        if not refused:
            message = await receive()
            size += len(message.get("body", b""))
            if size <= limit:
                return message
            # The middleware refuses it by its length, which HTTP/2 need not give.
            scope["headers"] = [*{**headers, b"content-length": b"%d" % size}.items()]
        ended = True
        return {"type": "http.request"}

    return limited
