"""The exporter `console`: what would go to a backend is on the service's standard output."""

import json
from collections.abc import Callable
from typing import Any

from tests.support.routes import send
from tests.support.service import Service

PRINTED = {"TELEMETRY_MODE": "collector"} | {
    f"OTEL_{signal}_EXPORTER": "console" for signal in ("TRACES", "METRICS", "LOGS")
}


def test_signals_are_printed_as_lines_of_otlp(start_service: Callable[..., Service]) -> None:
    service = start_service("--workers=2", **PRINTED)
    send(service, 5)
    service.stop()
    lines: list[dict[str, Any]] = [json.loads(line) for line in service.output.splitlines() if line.startswith("{")]
    records = [line for line in lines if line.get("logger") == "userapi.access"]
    spans = [span for line in lines for span in items(line, "resourceSpans", "scopeSpans", "spans")]
    servers = [span for span in spans if span["kind"] == 2]
    assert len(records) == len(servers) == 5
    ids = {(record["trace_id"], record["span_id"]) for record in records}
    assert {(span["traceId"], span["spanId"]) for span in servers} == ids
    assert {span["parentSpanId"] for span in spans if span["kind"] == 3} <= {span["spanId"] for span in servers}
    metrics = [metric for line in lines for metric in items(line, "resourceMetrics", "scopeMetrics", "metrics")]
    durations = [metric["histogram"]["dataPoints"] for metric in metrics if metric["name"] == DURATION]
    assert sum(int(point["count"]) for point in durations[-1]) == 5
    assert not any("resourceLogs" in line for line in lines)


DURATION = "http.server.request.duration"


def items(line: dict[str, Any], resources: str, scopes: str, name: str) -> list[dict[str, Any]]:
    return [item for one in line.get(resources, ()) for scope in one[scopes] for item in scope[name]]
