"""Odd requests to the WSGI application inside this process, and what is left of them at /metrics.

    python -m tests.signals.in_process REQUESTS

Prints the number of series after one request of each kind, and the number after all of them.
"""

import io
import sys
from itertools import islice
from typing import Any
from urllib.parse import unquote_to_bytes

from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.signals.odd_requests import KINDS, OddRequests


def environ(method: str, target: str, headers: dict[str, str]) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        **{
            name if name == "CONTENT_TYPE" else f"HTTP_{name}": value
            for name, value in ((name.upper().replace("-", "_"), value) for name, value in headers.items())
        },
    }


def call(application: Any, method: str, target: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Return status and body of one request, as a server would."""
    answered: list[str] = []
    body = application(environ(method, target, headers), lambda status, _headers: answered.append(status))
    try:
        return int(answered[0].split()[0]), b"".join(body)
    finally:
        body.close()


def series(application: Any) -> set[tuple[Any, ...]]:
    text = call(application, "GET", "/metrics", {})[1].decode()
    return {(s.name, *sorted(s.labels.items())) for family in parse_text(text) for s in family.samples}


def main(requests: int) -> None:
    from userapi.wsgi import application

    odd = iter(OddRequests(seed=1))
    before: set[tuple[Any, ...]] = set()
    for number, request in enumerate(islice(odd, requests)):
        if number == KINDS:
            before = series(application)
        status, _ = call(application, *request)
        if status >= 500:
            raise RuntimeError(f"{status} for {request}")
    after = series(application)
    print(len(before), len(after), *sorted(after - before)[:5])  # noqa: T201  (the parent reads it)


if __name__ == "__main__":
    main(int(sys.argv[1]))
