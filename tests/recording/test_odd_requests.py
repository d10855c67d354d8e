"""What the request's middleware reads, as gunicorn hands it over."""

from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from gunicorn.http.wsgi import create

from telemetry.recording.incoming import IncomingContextReader
from telemetry.recording.middleware import RequestMiddleware
from tests.recording.test_requests_in_process import Process


@pytest.fixture(autouse=True)
def _incoming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RequestMiddleware, "incoming", IncomingContextReader("ignore"), raising=False)
    monkeypatch.setattr(RequestMiddleware, "process", Process(), raising=False)


def on_unix_socket(host: str) -> WSGIRequest:
    """Return the request with this Host header as gunicorn makes it where it listens on a Unix socket."""
    sent = f"GET /users HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    parsed: Any = next(RequestParser(Config(), iter([sent]), ""))
    return WSGIRequest(create(parsed, None, "", "/run/userapi.sock", Config())[1])


@pytest.mark.parametrize("host", ["localhost:x", "localhost:" + "9" * 5000, "localhost:²", "[::1]:80", "localhost"])
def test_port_that_a_client_made_up_fails_no_request(host: str) -> None:
    def answer(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("served")

    assert RequestMiddleware(answer)(on_unix_socket(host)).status_code == 200


def test_path_without_route_is_unmatched_in_a_service_without_static_files(settings: Any) -> None:
    settings.STATIC_URL = None
    middleware = RequestMiddleware(lambda _request: HttpResponse(status=404))
    assert middleware(on_unix_socket("localhost")).status_code == 404
