"""Limits, excluded URLs and headers of answers in a real service, as they arrive."""

import json
from collections.abc import Callable
from pathlib import Path

from telemetry.tools.console.server import Console
from tests.signals.test_user_code import named
from tests.signals.visit import Visit, logged, server_spans
from tests.support.service import Service

Start = Callable[..., Service]


def test_limits_are_obeyed(console: Console, start: Start) -> None:
    """Whatever the mode, which only says where metrics go."""
    service = start(
        OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="4",
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="5",
        OTEL_SPAN_EVENT_COUNT_LIMIT="1",
        OTEL_SPAN_LINK_COUNT_LIMIT="0",
        OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT="2",
        OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT="1",
        OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT="3",
    )
    assert service.get("/touch")[0] == 200
    service.get("/queries")
    service.stop()
    (span,) = (span for span in server_spans(console.store) if span.name == "GET /touch")
    # The latest stay, cut: what user code has set, and what the answer adds.
    assert {**span.attributes, "user.tags": list(span.attributes["user.tags"])} == {
        "user.plan": "free",
        "user.age": 7,
        "user.tags": ["a", "b"],
        "http.response.status_code": 200,
        "http.route": "/tou",
    }
    assert (len(span.events), len(span.links)) == (1, 0)
    assert set(span.events[0].attributes.values()) <= {"Fals", "Valu", "Trac", "caug"}
    assert len(span.events[0].attributes) == 2
    assert named(console.store, "child").attributes == {"in": "chil"}
    failed = next(span for span in console.store.spans() if span.status == "error" and "nowhere" in span.status_message)
    assert len(failed.events[0].attributes) == 2
    assert max(len(str(value)) for value in failed.attributes.values()) <= 4
    accesses = logged(console.store, "userapi.access")
    assert accesses
    assert all(len(record.attributes) == 1 for record in accesses)
    assert all(len(value) <= 3 for each in accesses for value in each.attributes.values() if isinstance(value, str))


def test_excluded_urls_and_headers(visit: Callable[[str], Visit]) -> None:
    part = visit("one thread").parts["headers"]
    excluded, headers = part.result
    assert "traceresponse" not in excluded
    (span,) = server_spans(part)
    assert headers["traceresponse"] == f"00-{span.trace_id}-{span.span_id}-03"
    assert headers["x-request-id"] == "4711"
    assert list(span.attributes["http.request.header.x-request-id"]) == ["4711"]
    assert span.attributes["code.function.name"] == "userapi.users.views.UserList.get"


def test_configuration_file(console: Console, start: Start, tmp_path: Path) -> None:
    """The exporter, a process of its own, reads it too."""
    exporter = {"otlp_http": {"endpoint": f"http://127.0.0.1:{console.http_port}/v1/traces"}}
    document = {
        "file_format": "1.0",
        "resource": {"attributes": [{"name": "service.name", "value": "from-a-file"}]},
        "tracer_provider": {"processors": [{"batch": {"exporter": exporter}}]},
    }
    path = tmp_path / "otel.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    service = start(OTEL_CONFIG_FILE=str(path))
    service.get("/users")
    service.stop()
    (span,) = server_spans(console.store)
    assert span.resource.attributes["service.name"] == "from-a-file"
    assert console.store.logs() == []
