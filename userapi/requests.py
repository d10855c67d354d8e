"""Content-Lengths, and request classes that decode text as UTF-8 and that no Content-Type keeps from being made."""

from typing import Any

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.encoding import iri_to_uri


def exceeds(content_length: str, limit: int) -> bool:
    """Return whether a Content-Length is a number of more than `limit` bytes."""
    digits = content_length.lstrip("0")
    # Python reads no number of thousands of digits.
    return digits.isdecimal() and (len(digits) > len(str(limit)) or int(digits) > limit)


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


# A Content-Type's parameter in an unknown charset (RFC 2231) raises ValueError outside Django's error handling.


class UTF8Request(_UTF8, WSGIRequest):  # type: ignore[misc]  # the property instead of Django's
    """A WSGI server's request; a Content-Type that cannot be read counts as none.

    The bytes of a query that is not ASCII, which runserver and waitress pass on, are percent-encoded: Django takes them
    for UTF-8 where it reads parameters, but for ISO-8859-1 in links and redirects.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        query = environ.setdefault("QUERY_STRING", "")
        if not query.isascii():
            environ["QUERY_STRING"] = iri_to_uri(query.encode("iso-8859-1"))
        try:
            super().__init__(environ)
        except ValueError:
            environ["CONTENT_TYPE"] = ""
            super().__init__(environ)


class UTF8AsyncRequest(_UTF8, ASGIRequest):  # type: ignore[misc]
    """An ASGI server's request; a Content-Type that cannot be read counts as none."""

    def __init__(self, scope: dict[str, Any], body_file: Any) -> None:
        try:
            super().__init__(scope, body_file)
        except ValueError:
            scope["headers"] = [header for header in scope["headers"] if header[0].lower() != b"content-type"]
            super().__init__(scope, body_file)


def install() -> None:
    """Make the handlers of all servers use these classes."""
    WSGIHandler.request_class = UTF8Request
    ASGIHandler.request_class = UTF8AsyncRequest
