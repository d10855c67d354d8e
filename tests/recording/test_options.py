"""What requests do only where it is switched on."""

import re
from functools import partial
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import ResolverMatch, resolve
from django.views.generic import View
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from telemetry.config import ConfigError, TelemetryConfig
from telemetry.recording import options
from telemetry.recording.incoming import IncomingContextReader
from telemetry.recording.middleware import RequestMiddleware
from telemetry.recording.options import OptionsMiddleware, options_of, view_name
from tests.recording.conftest import Recorded
from tests.recording.test_requests_in_process import CONTEXT, TOUCHED, Process

ID = "http.request.header.x-request-id"


@pytest.fixture(autouse=True)
def _connected(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("excluded", "headers", "view_names"):
        monkeypatch.setattr(OptionsMiddleware, name, getattr(OptionsMiddleware, name))
    monkeypatch.setattr(RequestMiddleware, "incoming", IncomingContextReader("trust"), raising=False)
    monkeypatch.setattr(RequestMiddleware, "process", Process(), raising=False)


def answer(environ: dict[str, str], path: str = "/shop", view: Any = None, **headers: str) -> HttpResponse:
    middleware = options_of(TelemetryConfig.from_env(environ))
    request = RequestFactory().get(path, headers=headers)
    response: HttpResponse = middleware(view or (lambda _: HttpResponse("ok")))(request)
    return response


def test_nothing_switched_on_is_the_plain_middleware() -> None:
    assert options_of(TelemetryConfig.from_env({})) is RequestMiddleware


@pytest.mark.parametrize(
    ("pattern", "path", "recorded_requests"),
    [
        ("shop", "/shop", 0),
        ("/shop$,basket", "/basket/1", 0),
        ("/shop$", "/shop/1", 1),
        ("^http://testserver/s", "/s", 0),
    ],
)
def test_excluded_urls(recorded: Recorded, pattern: str, path: str, recorded_requests: int) -> None:
    assert answer({"OTEL_PYTHON_DJANGO_EXCLUDED_URLS": pattern}, path).content == b"ok"
    assert len(recorded()) == recorded_requests


def test_excluded_urls_do_not_switch_off_what_is_answered_here(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RequestMiddleware, "untraced", frozenset({"/metrics"}))
    middleware = options_of(TelemetryConfig.from_env({"OTEL_PYTHON_DJANGO_EXCLUDED_URLS": "metrics"}))
    answers = {"/metrics": lambda _: HttpResponse("all series")}
    assert middleware(lambda _: HttpResponse(status=404), answers)(RequestFactory().get("/metrics")).status_code == 200
    assert recorded() == []


@pytest.mark.parametrize("name", ["OTEL_PYTHON_EXCLUDED_URLS", "OTEL_PYTHON_DJANGO_EXCLUDED_URLS"])
def test_excluded_urls_that_cannot_be_joined_are_refused(name: str) -> None:
    """Contrib's instrumentations join them, too, and would stop the start with a traceback."""
    with pytest.raises(ConfigError, match="invalid together"):
        TelemetryConfig.from_env({name: "healthz,(?i)/internal"})
    assert TelemetryConfig.from_env({name: "healthz,(?i:/internal)"}).excluded_urls == ("healthz", "(?i:/internal)")


def test_excluded_urls_of_all_instrumentations(recorded: Recorded) -> None:
    answer({"OTEL_PYTHON_EXCLUDED_URLS": "shop"})
    assert recorded() == []


def test_headers_of_an_answer(recorded: Recorded) -> None:
    response = answer({"TELEMETRY_RESPONSE_HEADERS": "traceresponse,server-timing"})
    (record,) = recorded()
    trace_id, span_id, _, flags, _ = record[CONTEXT]
    context = f"00-{trace_id.hex()}-{span_id.hex()}-{flags:02x}"
    assert response["traceresponse"] == context
    assert re.fullmatch(rf'total;dur=\d+\.\d, traceparent;desc="{context}"', response["Server-Timing"])
    assert "X-Request-ID" not in response


def test_server_timing_of_the_view_stays(recorded: Recorded) -> None:
    def view(_: HttpRequest) -> HttpResponse:
        return HttpResponse("ok", headers={"Server-Timing": "db;dur=5"})

    assert answer({"TELEMETRY_RESPONSE_HEADERS": "server-timing"}, view=view)["Server-Timing"].startswith("db;dur=5, ")
    assert len(recorded()) == 1


@pytest.mark.parametrize("given", ["a", "f" * 128, "2b7e-1516/28ae+d2=", "01J9Z3NDEK:TSV4@RRFF"])
def test_request_id_of_the_client(recorded: Recorded, given: str) -> None:
    seen: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request.headers["X-Request-ID"])
        return HttpResponse("ok")

    response = answer({"TELEMETRY_RESPONSE_HEADERS": "x-request-id"}, view=view, **{"X-Request-ID": given})
    (record,) = recorded()
    assert [response["X-Request-ID"], *seen, *record[TOUCHED][2][ID]] == [given] * 3


@pytest.mark.parametrize("given", ["", "f" * 129, "two words", "<script>", "a\r\nSet-Cookie: b=c", "\N{SNOWMAN}"])
def test_request_id_that_is_none(recorded: Recorded, given: str) -> None:
    """Trace and span of the request take its place."""
    response = answer({"TELEMETRY_RESPONSE_HEADERS": "x-request-id"}, **({"X-Request-ID": given} if given else {}))
    (record,) = recorded()
    made = "-".join(part.hex() for part in record[CONTEXT][:2])
    assert (response["X-Request-ID"], record[TOUCHED][2][ID]) == (made, (made,))


def test_failure_of_a_header_reaches_no_request(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault of the test")

    monkeypatch.setitem(options._HEADERS, "traceresponse", fail)
    assert answer({"TELEMETRY_RESPONSE_HEADERS": "traceresponse"}).content == b"ok"
    assert len(recorded()) == 1


class Shop(View):
    def get(self, _: HttpRequest) -> HttpResponse:
        return HttpResponse("ok")


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/users", "userapi.users.views.UserList.get"),
        ("POST", "/users", "userapi.users.views.UserList.post"),
        ("DELETE", "/users/00000000-0000-0000-0000-000000000000", "userapi.users.views.UserDetail.delete"),
        ("BREW", "/users", "userapi.users.views.UserList.dispatch"),
        ("GET", "/livez", "userapi.health.livez"),
        ("GET", "/nothing", None),
    ],
)
def test_view_name(method: str, path: str, name: str | None) -> None:
    request = RequestFactory().generic(method, path)
    if name is not None:
        request.resolver_match = resolve(path)
    assert view_name(request) == name


class Books(ViewSet):
    def retrieve(self, _: Request) -> HttpResponse:
        return HttpResponse("ok")


@pytest.mark.parametrize(
    ("view", "method", "name"),
    [
        (Shop.as_view(), "GET", "Shop.get"),
        (Shop.as_view(), "HEAD", "Shop.get"),
        (Shop.as_view(), "POST", "Shop.dispatch"),
        (Books.as_view({"get": "retrieve"}), "GET", "Books.retrieve"),
        (Books.as_view({"get": "retrieve"}), "HEAD", "Books.retrieve"),
        (partial(print, "of"), "GET", None),
    ],
)
def test_view_name_of_a_class(view: Any, method: str, name: str | None) -> None:
    request = RequestFactory().generic(method, "/")
    request.resolver_match = ResolverMatch(view, (), {})
    assert view_name(request) == (f"{__name__}.{name}" if name else "functools.partial")


def test_view_name_is_on_the_span(recorded: Recorded) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        request.resolver_match = resolve("/users")
        return HttpResponse("ok")

    answer({"TELEMETRY_VIEW_NAMES": "true"}, view=view)
    (record,) = recorded()
    assert record[TOUCHED][2] == {"code.function.name": "userapi.users.views.UserList.get"}
