"""What a request leaves: one span, one duration and its log records, with the same words in all three."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from telemetry.tools.console.storage.store import Store
from tests.signals.parts import ANSWERED_FAULTS, REQUESTS
from tests.signals.visit import Visit, logged, printed, server_spans

Visits = Callable[[str], Visit]
Durations = dict[tuple[Any, ...], float]

LABELS = ("http.request.method", "http.route", "http.response.status_code")


def scraped(text: str) -> Durations:
    """Return the number of requests by method, route and status, as a scrape has it."""
    families = {family.name: family for family in parse_text(text)}
    samples = families["http_server_request_duration_seconds"].samples
    counts: Durations = {}
    for sample in samples:
        if sample.name.endswith("_count"):
            method, route, status = (sample.labels.get(label.replace(".", "_")) for label in LABELS)
            counts[method, route or None, int(status or 0)] = sample.value
    return counts


def sent(store: Store) -> Durations:
    """Return the same as OTLP has it."""
    return {
        tuple(series.attributes.get(label) for label in LABELS): points[0].decode().data["count"]
        for series, points in store.series("http.server.request.duration", points=1)
    }


def test_metrics_count_the_requests_by_the_words_of_their_spans(visit: Visits) -> None:
    expected: Counter[tuple[Any, ...]] = Counter()
    for method, _, _, status, route, _ in REQUESTS:
        expected["_OTHER" if method == "BREW" else method, route, status] += 1
    assert scraped(visit("direct").parts["kinds"].result) == expected
    of_spans: Counter[tuple[Any, ...]] = Counter()
    for span in server_spans(visit("collector").store):
        of_spans[tuple(span.attributes.get(label) for label in LABELS)] += 1
    assert sent(visit("collector").store) == of_spans
    assert expected.items() <= {key: min(count, expected[key]) for key, count in of_spans.items()}.items()


@pytest.mark.parametrize("mode", ["collector", "direct"])
def test_request_has_the_same_words_in_span_and_record(visit: Visits, mode: str) -> None:
    part = visit(mode).parts["kinds"]
    # A file's answer is over when it is sent, perhaps after the next request has begun.
    spans = server_spans(part)
    access = {(record.trace_id, record.span_id): record for record in logged(part, "userapi.access")}
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
    assert [span.attributes.get("server.port") for span in spans[-3:]] == [part.service.port] * 3


@pytest.mark.parametrize("name", ["one thread", "collector"])  # which has four
def test_record_written_during_a_request_has_its_trace(visit: Visits, name: str) -> None:
    part = visit(name).parts["refused"]
    spans = server_spans(part)
    records = logged(part, "django")
    assert [record.scope.name for record in records] == [
        *["django.request"] * 3,
        "django.security.SuspiciousOperation",
        *["django.request"] * 3,
        "django.security.csrf",
    ]
    assert [(r.trace_id, r.span_id) for r in records] == [(s.trace_id, s.span_id) for s in spans]
    lines = [line for line in part.printed() if line["logger"].startswith("django.")]
    assert [(line["trace_id"], line["body"]) for line in lines] == [(r.trace_id, r.body) for r in records]
    assert [line["severity"] for line in lines] == [r.severity for r in records]


def test_record_written_outside_of_requests_has_no_trace(visit: Visits) -> None:
    """In threads that have served several requests each."""
    found = visit("collector")
    part = found.parts["repeated"]
    every = logged(found.store, "tests.signals.urls")
    outside = [record for record in every if part.since <= record.time_ns]
    assert len(outside) >= 10  # each comes after the answer, perhaps when the next part has begun
    assert {record.trace_id for record in outside + logged(found.store, "telemetry")} == {""}
    lines = [line for line in printed(found.service) if line["logger"] == "tests.signals.urls"]
    # In any order: a line is printed at once, a record within a request comes with its end.
    assert Counter(line.get("trace_id", "") for line in lines) == Counter(record.trace_id for record in every)


def test_exceptions_are_on_records_and_on_spans(visit: Visits) -> None:
    part = visit("collector").parts["faults"]
    unhandled, handled, *answered = server_spans(part)
    (event,) = unhandled.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "RuntimeError"
    assert event.attributes["exception.message"] == "a fault of the test"
    assert (unhandled.status, unhandled.attributes["error.type"]) == ("error", "500")
    (record,) = (one for one in logged(part, "django.request") if one.span_id == unhandled.span_id)
    lines = (line for line in part.printed() if line["logger"] == "django.request")
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

    assert len(answered) == len(ANSWERED_FAULTS)
    for span, kind in zip(answered, ANSWERED_FAULTS, strict=True):  # with 4xx, which is no failure of ours
        assert (span.status, span.events, "error.type" in span.attributes) == ("unset", (), False), kind


def test_values_are_cut_and_a_refused_host_gets_the_id_of_its_trace(visit: Visits) -> None:
    part = visit("collector").parts["long"]
    long, refused, _ = server_spans(part)
    value = str(long.attributes["user_agent.original"])
    assert (len(value), value[-1]) == (1024, "…")
    assert long.attributes["url.path"] == "/***"  # of an unknown route nothing is shown
    assert "server.address" not in long.attributes  # nor of a host that is not ours
    assert long.attributes["http.request.method_original"] == "***"

    status, body = part.result
    assert (status, json.loads(body)["trace_id"]) == (400, refused.trace_id)


def test_no_request_is_active_at_the_end(visit: Visits) -> None:
    active = visit("collector").store.series("http.server.active_requests", points=1)
    assert active
    assert {points[0].decode().data["value"] for _, points in active} == {0}
