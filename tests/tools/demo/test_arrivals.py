"""What the demo reads from the console, with a real one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from telemetry.tools.console.server import Console
from telemetry.tools.demo.arrivals import Arrivals, Arrived
from telemetry.tools.demo.ports import Mode
from telemetry.tools.traffic.client import call
from tests.support.service import free_port

NOW = datetime.now(UTC)


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


def resource(mode: Mode) -> dict[str, Any]:
    return {"attributes": [{"key": "export.mode", "value": {"stringValue": mode}}]}


def send_span(console: Console, mode: Mode, number: int, end: datetime) -> None:
    span = {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "GET",
        "kind": 2,
        "startTimeUnixNano": str(int((end.timestamp() - 1) * 1e9)),
        "endTimeUnixNano": str(int(end.timestamp() * 1e9)),
    }
    spans = {"resourceSpans": [{"resource": resource(mode), "scopeSpans": [{"spans": [span]}]}]}
    assert call(console.http_port, "POST", "/v1/traces", spans).status == 200


def send_counter(console: Console, name: str, *values: tuple[int, str]) -> None:
    points = [
        {
            "asInt": value,
            "timeUnixNano": "1",
            "attributes": [{"key": "error.type", "value": {"stringValue": error}}] if error else [],
        }
        for value, error in values
    ]
    metric = {"name": name, "sum": {"isMonotonic": True, "aggregationTemporality": 2, "dataPoints": points}}
    metrics = {"resourceMetrics": [{"resource": resource("collector"), "scopeMetrics": [{"metrics": [metric]}]}]}
    assert call(console.http_port, "POST", "/v1/metrics", metrics).status == 200


def test_arrived_counts_by_mode(console: Console) -> None:
    send_span(console, "direct", 1, NOW)
    arrivals = Arrivals(console.api_port)
    assert arrivals.refresh() is None
    assert arrivals.of("direct") == Arrived(server_spans=1, spans=1)
    assert arrivals.of("collector") == Arrived()


def test_arrivals_keep_last_counts_when_console_is_gone(console: Console) -> None:
    send_span(console, "direct", 1, NOW)
    arrivals = Arrivals(console.api_port)
    arrivals.refresh()
    console.stop()
    assert "the console does not answer" in (arrivals.refresh() or "")
    assert arrivals.of("direct").spans == 1


def test_visits_since_counts_what_ended_later(console: Console) -> None:
    for number, seconds in enumerate((-2, -1, 1, 2), start=1):
        send_span(console, "direct", number, NOW + timedelta(seconds=seconds))
    send_span(console, "collector", 9, NOW + timedelta(seconds=1))
    assert Arrivals(console.api_port).visits_since("direct", NOW) == 2


def test_dropped_adds_up_what_failed(console: Console) -> None:
    send_counter(console, "otel.sdk.processor.span.processed", (100, ""), (3, "queue_full"))
    send_counter(console, "otel.sdk.exporter.log.exported", (50, ""), (4, "UNAVAILABLE"))
    arrivals = Arrivals(console.api_port)
    arrivals.refresh_drops(["collector", "direct"])
    assert (arrivals.dropped("collector"), arrivals.dropped("direct")) == (7, 0)


def test_scrape_without_target_fails_with_reason() -> None:
    with Console(grpc_port=0, http_port=0, api_port=0) as console, pytest.raises(OSError, match="last scrape failed"):
        Arrivals(console.api_port).scrape()


def test_scrape_without_console_fails() -> None:
    with pytest.raises(OSError, match="refused"):
        Arrivals(free_port()).scrape()
