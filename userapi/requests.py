"""The request class: text in UTF-8, whatever the client claims."""

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest


class UTF8Request(WSGIRequest):
    """A request whose query and form are UTF-8.

    Django decodes them by the Content-Type's charset, before any middleware can look at it, and takes every codec
    that Python has: `charset=zlib` ends in an exception outside of Django's error handling.
    """

    @property
    def encoding(self) -> None:
        return None

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        pass


def install() -> None:
    """Make every WSGI handler, gunicorn's and runserver's, use the class."""
    WSGIHandler.request_class = UTF8Request
