"""What user code does to the current span arrives, in both modes; and each of its queries has a span."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from telemetry.tools.console.storage.records import Span
from telemetry.tools.console.storage.store import Store
from tests.signals.visit import Part, Visit, logged, server_spans

Visits = Callable[[str], Visit]
SQLITE = "telemetry.sqlite3"


@pytest.mark.parametrize("mode", ["collector", "direct"])
def test_current_span_can_be_changed_in_every_way(visit: Visits, mode: str) -> None:
    part = visit(mode).parts["touch"]
    status, _, body = part.result
    assert status == 200
    (span,) = server_spans(part)
    answer = json.loads(body)
    assert answer == {"traceparent": f"00-{span.trace_id}-{span.span_id}-03", "recording": True}
    assert span.name == "GET /touch"
    expected: dict[str, Any] = {
        "user.plan": "free",
        "user.age": 7,
        "http.route": "/touch",
        "http.response.status_code": 200,
    }
    assert expected.items() <= span.attributes.items()
    assert list(span.attributes["user.tags"]) == ["a", "b"]
    assert [event.name for event in span.events] == ["cache.miss", "exception"]
    assert span.events[1].attributes["exception.message"] == "caught"
    assert [(link.trace_id, link.attributes) for link in span.links] == [(f"{1:032x}", {"why": "test"})]
    assert (span.status, span.status_message) == ("error", "it was bad")

    child = named(part, "child")
    assert (child.trace_id, child.parent_span_id, child.scope.name) == (
        span.trace_id,
        span.span_id,
        "tests.signals.user_code",
    )
    selects = sorted((s for s in part.spans() if s.name == "SELECT"), key=lambda s: s.start_ns)
    assert {(select.trace_id, select.parent_span_id) for select in selects} == {(span.trace_id, child.span_id)}
    assert ["user.wrapper" in select.attributes for select in selects] == [False, True]
    records = logged(part, "tests.signals.user_code")
    assert [(r.trace_id, r.span_id) for r in records] == [(span.trace_id, child.span_id), (span.trace_id, span.span_id)]


@pytest.mark.parametrize("mode", ["collector", "direct"])
def test_every_query_of_djangos_cursors_has_a_span(visit: Visits, mode: str) -> None:
    part = visit(mode).parts["queries"]
    (request,) = server_spans(part)
    spans = sorted((s for s in part.spans() if s.scope.name == SQLITE), key=lambda s: s.start_ns)
    assert {(s.trace_id, s.parent_span_id, s.kind) for s in spans} == {(request.trace_id, request.span_id, "client")}
    assert [s.name for s in spans] == ["select", "SELECT", "DELETE", "SELECT", "SELECT"]
    assert spans[0].attributes == {"db.system.name": "sqlite", "db.query.text": " select ?"}
    assert spans[1].attributes["db.query.text"] == "SELECT %s"
    failed = spans[3]
    assert (failed.status, failed.status_message) == ("error", "OperationalError: no such table: nowhere")
    (event,) = failed.events
    # The driver's own error, not Django's.
    assert event.attributes["exception.type"] == "sqlite3.OperationalError"
    assert [s.status for s in spans if s is not failed] == ["unset"] * 4


def test_every_query_is_counted(visit: Visits) -> None:
    store = visit("collector").store
    queries = (span for span in store.spans() if span.scope.name == SQLITE)
    expected = Counter((span.name, "OperationalError" if span.status == "error" else None) for span in queries)
    assert durations(store) == expected
    assert {("select", None): 1, ("DELETE", None): 1, ("SELECT", "OperationalError"): 1}.items() <= expected.items()
    assert expected["SELECT", None] >= 2


def durations(store: Store) -> dict[tuple[str, str | None], int]:
    return {
        (
            str(series.attributes["db.operation.name"]),
            str(series.attributes["error.type"]) if "error.type" in series.attributes else None,
        ): points[0].decode().data["count"]
        for series, points in store.series("db.client.operation.duration", points=1)
    }


def named(source: Store | Part, name: str) -> Span:
    (span,) = (span for span in source.spans() if span.name == name)
    return span
