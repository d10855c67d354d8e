"""What a server knows of a request (PEP 3333's environ, or ASGI's scope), as its record keeps it."""

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host

_VARIABLES = (
    "REMOTE_PORT",
    "REQUEST_METHOD",
    "REMOTE_HOST",
    "REMOTE_ADDR",
    "HTTP_USER_AGENT",
    # On a Unix socket gunicorn takes it from the Host header, unchecked.
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "wsgi.url_scheme",
)
_NOTHING = ("",) * len(_VARIABLES)
_LONGEST_ATTRIBUTE = 1024  # characters; servers limit a header to 8 KB or more


def environ_of(request: HttpRequest) -> tuple[Any, ...]:
    """Return what the server knows of the request, as texts, "" for what it does not: the exporter reads them.

    The query string is not among it. Each text is within a bound.
    """
    meta = request.META
    texts = (request.path_info, *map(meta.get, _VARIABLES, _NOTHING))
    if not texts[-1]:  # ASGI
        scope = getattr(request, "scope", {})
        texts = (*texts[:-2], f"HTTP/{scope.get('http_version', '')}", scope.get("scheme", ""))
    try:
        is_short = len("".join(texts)) <= _LONGEST_ATTRIBUTE
    except TypeError:  # ASGI's port of the client is a number
        is_short = False
    if not is_short:
        texts = tuple(map(_bounded, map(str, texts)))
    host = meta.get("HTTP_HOST")
    return _server(host) if host else None, *texts


@lru_cache(maxsize=128)
def _server(host: str) -> tuple[str, str] | None:
    """Return name and port of a Host header. A host that is not ours is only what a client wrote."""
    domain, given = split_domain_port(host)
    return (_bounded(domain), given) if validate_host(domain, settings.ALLOWED_HOSTS) else None


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST_ATTRIBUTE else f"{text[: _LONGEST_ATTRIBUTE - 1]}…"
