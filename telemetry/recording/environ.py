"""The server's data on a request (PEP 3333's environ, or ASGI's scope), as its record keeps it."""

from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host

from telemetry.journal.records import SEPARATOR

_VARIABLES = (
    "REQUEST_METHOD",
    "REMOTE_HOST",
    "REMOTE_ADDR",
    "HTTP_USER_AGENT",
    # On a Unix socket, gunicorn takes it from the unchecked Host header.
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "wsgi.url_scheme",
)
_NOTHING = ("",) * len(_VARIABLES)
_NO_HOST = SEPARATOR
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SEPARATORS = len(_VARIABLES) + 1
_LONGEST_ATTRIBUTE = 1024  # characters; servers limit a header to 8 KB or more


def environ_of(request: HttpRequest) -> tuple[str, str, str]:
    """Return the server's data on the request: the part that many requests share, the client's port, and the path.

    The first consists of several texts joined by SEPARATOR, "" for unknown ones. The query string is left out. Each
    text is limited in length.
    """
    meta = request.META
    host = meta.get("HTTP_HOST")
    server = _server(host) if host else _NO_HOST
    texts = tuple(map(meta.get, _VARIABLES, _NOTHING))
    if not texts[-1]:  # ASGI
        scope = getattr(request, "scope", {})
        texts = (*texts[:-2], f"HTTP/{scope.get('http_version', '')}", scope.get("scheme", ""))
    path = request.path_info
    try:
        common = SEPARATOR.join((server, *texts))
    except TypeError:  # a number where PEP 3333 requires a string
        common = ""
    if len(common) + len(path) > _LONGEST_ATTRIBUTE or common.count(SEPARATOR) != _SEPARATORS:
        common = SEPARATOR.join([server, *(_cut(str(text).replace(SEPARATOR, _REPLACEMENT)) for text in texts)])
        path = _cut(path)
    return common, str(meta.get("REMOTE_PORT", "")), path


@lru_cache(maxsize=128)
def _server(host: str) -> str:
    """Return name and port of a Host header; empty ones for a host that is not allowed, which any client can invent."""
    domain, given = split_domain_port(host)
    return f"{_cut(domain)}{SEPARATOR}{given}" if validate_host(domain, settings.ALLOWED_HOSTS) else _NO_HOST


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_ATTRIBUTE else f"{text[: _LONGEST_ATTRIBUTE - 1]}…"
