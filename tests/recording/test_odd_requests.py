"""What the request's middleware reads, as gunicorn hands it over."""

from typing import Any

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import set_script_prefix
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from gunicorn.http.wsgi import create

from telemetry.exporting.items import request_spans
from telemetry.recording.environ import environ_of
from telemetry.recording.incoming import IncomingContextReader
from telemetry.recording.middleware import RequestMiddleware
from telemetry.routes import matched_route
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


def test_static_files_below_any_prefix_are_one_route_and_leave_the_projects_url() -> None:
    """Django adds the script's name to the relative one where it is first asked for."""
    with override_settings(STATIC_URL="static/"):
        for prefix in ("/", "/shop/"):
            set_script_prefix(prefix)
            request = RequestFactory().get("/static/shop.css", SCRIPT_NAME=prefix.rstrip("/"))
            assert request.path == f"{prefix}static/shop.css"
            assert matched_route(request) == "/static/{path}"
        set_script_prefix("/")
        assert "STATIC_URL" not in vars(settings)


def attributes_of(**variables: Any) -> dict[str, Any]:
    """Return the attributes of a request with these variables of its server, as a worker and the exporter make them."""
    return request_spans.start("GET", environ_of(RequestFactory().get("/", **variables)))


SERVERS: dict[str, list[tuple[Any, Any]]] = {
    "SERVER_PORT": [("8080", 8080), (8080, 8080), ("", None)],
    "REMOTE_PORT": [("40000", 40000), (40000, 40000), ("", None), ("a\0b", None)],
    "REMOTE_ADDR": [("10.0.0.7", "10.0.0.7"), ("10.0.0.7\0" * 3, "10.0.0.7\ufffd" * 3)],
    "HTTP_USER_AGENT": [
        ("curl\0 127.0.0.1", "curl\ufffd 127.0.0.1"),
        ("\0" * 8, "\ufffd" * 8),
        ("a" * 1025, "a" * 1023 + "…"),
    ],
    "PATH_INFO": [("/a\0b", "/a\0b"), ("/" + "a" * 2000, "/" + "a" * 1022 + "…")],
    "HTTP_HOST": [("testserver:81", "testserver"), ("testserver\0", None), ("evil.example", None)],
}
ATTRIBUTES = {
    "SERVER_PORT": "server.port",
    "REMOTE_PORT": "client.port",
    "REMOTE_ADDR": "client.address",
    "HTTP_USER_AGENT": "user_agent.original",
    "PATH_INFO": "url.path",
    "HTTP_HOST": "server.address",
}


@pytest.mark.parametrize(
    ("variable", "given", "expected"),
    [(variable, *pair) for variable, pairs in SERVERS.items() for pair in pairs],
)
def test_what_a_server_knows_is_one_attribute_whatever_is_in_it(variable: str, given: Any, expected: Any) -> None:
    usual = attributes_of(HTTP_USER_AGENT="curl/8", REMOTE_PORT="40001")
    found = attributes_of(**{"HTTP_USER_AGENT": "curl/8", "REMOTE_PORT": "40001", variable: given})
    assert found.pop(ATTRIBUTES[variable], None) == expected
    usual.pop(ATTRIBUTES[variable], None)
    if variable == "HTTP_HOST":  # the port is the Host header's, where it is ours
        assert found.pop("server.port") == (81 if expected else usual["server.port"])
        usual.pop("server.port")
    assert found == usual
