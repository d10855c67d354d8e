"""What a request leaves: one span, one duration and its log records, with the same words in all three."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.records import LogRecord, Span
from tests.support.service import Service

Start = Callable[..., Service]
USER = "00000000-0000-0000-0000-000000000000"

# Method, path, further headers -> the status, the route, the span's name.
REQUESTS = [
    ("GET", "/", {}, 200, "/", "GET /"),
    ("GET", "/users?search=someone", {}, 200, "/users", "GET /users"),
    ("GET", f"/users/{USER}", {}, 404, "/users/{id}", "GET /users/{id}"),
    ("BREW", "/users", {}, 405, "/users", "HTTP /users"),
    ("BREW", "/nothing", {}, 404, None, "HTTP"),
    ("GET", "/nothing/here", {}, 404, None, "GET"),
    ("GET", "/static/userapi/home.css", {}, 200, "/static/{path}", "GET /static/{path}"),
    ("GET", "/admin/users/user/1/history/", {}, 302, "/admin/users/user/{object_id}/history/", None),
    ("GET", "/admin/nothing", {}, 302, "/admin/{url}", "GET /admin/{url}"),
    ("GET", "/faults/bug", {}, 500, "/faults/{kind}", "GET /faults/{kind}"),
    ("GET", "/faults/denied", {}, 403, "/faults/{kind}", "GET /faults/{kind}"),
    ("GET", "/faults/busy", {}, 503, "/faults/busy", "GET /faults/busy"),
    ("GET", "/users", {"Host": "evil.example:81"}, 400, None, "GET"),
    ("GET", "/users", {"Host": "no host at all"}, 400, None, "GET"),
]


def server_spans(console: Console) -> list[Span]:
    return sorted((span for span in console.store.spans() if span.kind == "server"), key=lambda span: span.start_ns)


def logged(console: Console, logger: str) -> list[LogRecord]:
    """The records of `logger` and of those below it, in the order of their time."""
    records = [record for record in console.store.logs() if f"{record.scope.name}.".startswith(f"{logger}.")]
    return sorted(records, key=lambda record: record.time_ns)


def printed(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.output.splitlines() if line.startswith("{")]


def durations(console: Console, service: Service, mode: str) -> dict[tuple[Any, ...], float]:
    """Return the number of requests by method, route and status."""
    name = "http.server.request.duration"
    labels = ("http.request.method", "http.route", "http.response.status_code")
    counts: dict[tuple[Any, ...], float] = {}
    if mode == "direct":
        families = {f.name: f for f in parse_text(service.get("/metrics")[2].decode())}
        for sample in families[f"{name.replace('.', '_')}_seconds"].samples:
            if sample.name.endswith("_count"):
                method, route, status = (sample.labels.get(label.replace(".", "_")) for label in labels)
                counts[method, route or None, int(status or 0)] = sample.value
        return counts
    service.stop()
    for series, points in console.store.series(name, points=1):
        method, route, status = (series.attributes.get(label) for label in labels)
        counts[method, route, status] = points[0].decode().data["count"]
    return counts


@pytest.mark.parametrize("mode", ["collector", "direct"])
def test_request_has_the_same_words_in_span_metric_and_record(console: Console, start: Start, mode: str) -> None:
    service = start(mode=mode)
    expected: dict[tuple[Any, ...], float] = {}
    for method, path, headers, status, route, _ in REQUESTS:
        assert service.request(method, path, headers=headers)[0] == status, path
        known = "_OTHER" if method == "BREW" else method
        expected[known, route, status] = expected.get((known, route, status), 0) + 1
    service.get("/livez")
    assert durations(console, service, mode) == expected
    if mode == "direct":
        service.stop()
    # A file's answer is over when it is sent, perhaps after the next request has begun.
    spans = sorted(server_spans(console), key=lambda span: span.start_ns)
    access = {(record.trace_id, record.span_id): record for record in logged(console, "userapi.access")}
    assert len(spans) == len(access) == len(REQUESTS)
    for span, (method, path, _, status, route, name) in zip(spans, REQUESTS, strict=True):
        record = access[span.trace_id, span.span_id]
        assert span.name == (name or f"GET {route}")
        assert span.attributes.get("http.route") == route
        assert span.attributes["http.request.method"] == ("_OTHER" if method == "BREW" else method)
        assert span.attributes["http.response.status_code"] == status
        assert "url.query" not in span.attributes
        assert record.attributes["http.route"] == (route or "unmatched")
        assert span.status == ("error" if status >= 500 else "unset"), path
    assert [span.attributes.get("server.address") for span in spans[-3:]] == ["127.0.0.1", None, None]
    assert [span.attributes.get("server.port") for span in spans[-3:]] == [service.port] * 3


@pytest.mark.parametrize("threads", [1, 4])
def test_record_written_during_a_request_has_its_trace(console: Console, start: Start, threads: int) -> None:
    service = start(f"--threads={threads}")
    paths = ["/nothing", "/faults/missing", "/faults/denied", "/faults/suspicious", "/faults/bug", "/faults/busy"]
    for path in paths:
        service.get(path)
    service.get("/users", Host="evil.example")
    service.request("POST", "/admin/login/", headers={"Content-Length": "0"})  # without a CSRF token
    service.stop()
    spans = server_spans(console)
    records = logged(console, "django")
    assert [record.scope.name for record in records] == [
        *["django.request"] * 3,
        "django.security.SuspiciousOperation",
        *["django.request"] * 3,
        "django.security.csrf",
    ]
    assert [(r.trace_id, r.span_id) for r in records] == [(s.trace_id, s.span_id) for s in spans]
    lines = [line for line in printed(service) if line["logger"].startswith("django.")]
    assert [(line["trace_id"], line["body"]) for line in lines] == [(r.trace_id, r.body) for r in records]
    assert [line["severity"] for line in lines] == [r.severity for r in records]


def test_record_written_outside_of_requests_has_no_trace(console: Console, start: Start) -> None:
    service = start("--threads=2")
    for _ in range(5):
        service.get("/users")
        service.get("/faults/bug")
    service.stop()
    outside = logged(console, "tests.signals.urls")
    assert len(outside) >= 10
    assert {record.trace_id for record in outside + logged(console, "telemetry")} == {""}
    lines = [line for line in printed(service) if line["logger"] == "tests.signals.urls"]
    assert len(lines) == len(outside)
    assert all("trace_id" not in line for line in lines)


def test_exceptions_are_on_records_and_on_spans(console: Console, start: Start) -> None:
    service = start()
    kinds = ("missing", "denied", "suspicious")
    for path in ("bug", "busy", *kinds):
        service.get(f"/faults/{path}")
    service.stop()
    unhandled, handled, *answered = server_spans(console)
    (event,) = unhandled.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "RuntimeError"
    assert event.attributes["exception.message"] == "a fault of the test"
    assert (unhandled.status, unhandled.attributes["error.type"]) == ("error", "500")
    (record,) = (one for one in logged(console, "django.request") if one.span_id == unhandled.span_id)
    lines = (line for line in printed(service) if line["logger"] == "django.request")
    (line,) = (line for line in lines if line["span_id"] == unhandled.span_id)
    for attributes in (record.attributes, line["attributes"]):
        assert attributes["exception.type"] == "RuntimeError"
        assert attributes["exception.message"] == "a fault of the test"
        assert "in fault" in attributes["exception.stacktrace"]
        assert "request" not in attributes

    (event,) = handled.events
    assert handled.attributes["http.response.status_code"] == 503
    assert event.attributes["exception.type"] == "tests.signals.urls.Busy"
    assert (handled.status, handled.attributes["error.type"]) == ("error", "503")

    assert len(answered) == len(kinds)
    for span, kind in zip(answered, kinds, strict=True):  # with 4xx, which is no failure of ours
        assert (span.status, span.events, "error.type" in span.attributes) == ("unset", (), False), kind


def test_values_are_cut_and_a_refused_host_gets_the_id_of_its_trace(console: Console, start: Start) -> None:
    service = start()
    service.request("B" * 20, "/" + "p" * 3000, headers={"User-Agent": "u" * 8000, "Host": "h" * 3000})
    status, _, body = service.get("/users", Host="evil.example")
    service.get("/faults/bug")
    service.stop()
    long, refused, _ = server_spans(console)
    value = str(long.attributes["user_agent.original"])
    assert (len(value), value[-1]) == (1024, "…")
    assert long.attributes["url.path"] == "/***"  # of an unknown route nothing is shown
    assert "server.address" not in long.attributes  # nor of a host that is not ours
    assert long.attributes["http.request.method_original"] == "***"

    assert (status, json.loads(body)["trace_id"]) == (400, refused.trace_id)

    active = console.store.series("http.server.active_requests", points=1)
    assert active
    assert {points[0].decode().data["value"] for _, points in active} == {0}
