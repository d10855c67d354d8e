"""The request class: text in UTF-8, whatever the client claims."""

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest


class _UTF8:
    """Makes query and form of a request UTF-8.

    Django decodes them by the Content-Type's charset, before any middleware can look at it, and takes every codec
    that Python has: `charset=zlib` ends in an exception outside of Django's error handling.
    """

    @property
    def encoding(self) -> None:
        return None

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        pass


class UTF8Request(_UTF8, WSGIRequest):  # type: ignore[misc]  # the property instead of Django's
    """A WSGI server's request."""


class UTF8AsyncRequest(_UTF8, ASGIRequest):  # type: ignore[misc]
    """An ASGI server's request."""


def install() -> None:
    """Make every handler, whatever the server, use the classes."""
    WSGIHandler.request_class = UTF8Request
    ASGIHandler.request_class = UTF8AsyncRequest
