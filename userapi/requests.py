"""Request classes that decode text as UTF-8, regardless of the client's charset."""

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest


class _UTF8:
    """Decodes query and form of a request as UTF-8.

    Django decodes them by the Content-Type's charset, before any middleware can check it, with any of Python's codecs:
    `charset=zlib` causes an exception outside Django's error handling.
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
    """Make the handlers of all servers use these classes."""
    WSGIHandler.request_class = UTF8Request
    ASGIHandler.request_class = UTF8AsyncRequest
