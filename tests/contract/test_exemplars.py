"""Exemplars lead from a histogram to a trace that is there, in both modes, and to no other."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from telemetry.tools.console.server import Console
from tests.support.prometheus import Prometheus
from tests.support.routes import Route, send
from tests.support.service import Service, wait_until

REQUESTS = 60
WORKERS = "--workers=3"
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
HALF = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
HISTOGRAMS = ("http.server.request.duration", "db.client.operation.duration")


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


def expect_traces(console: Console, trace_ids: set[str], *, sampled: bool = False) -> None:
    """Each exemplar's trace has arrived; where a part is sampled, some requests have none."""
    arrived = {span.trace_id for span in console.store.spans()}
    assert trace_ids, "no exemplar has arrived"
    assert trace_ids <= arrived
    assert (len(arrived) < REQUESTS) == sampled


def test_exemplars_of_otlp_lead_to_sampled_traces(start_service: Callable[..., Service], console: Console) -> None:
    service = start_service(WORKERS, **Route("collector", "grpc").env(console), **QUICK, **HALF)
    send(service, REQUESTS)
    service.stop()
    for name in HISTOGRAMS:
        points = [point.decode() for _, points in console.store.series(name) for point in points]
        expect_traces(console, {exemplar.trace_id for point in points for exemplar in point.exemplars}, sampled=True)


def test_exemplars_in_prometheus_lead_to_traces(
    start_service: Callable[..., Service], console: Console, prometheus: Callable[[str], Prometheus]
) -> None:
    service = start_service(WORKERS, **Route("direct", "grpc").env(console), **QUICK)
    server = prometheus(f"127.0.0.1:{service.port}")
    send(service, REQUESTS)
    counted = 'sum(http_server_request_duration_seconds_count{export_mode="direct"})'
    wait_until(lambda: server.value(counted) == REQUESTS, 60, "Prometheus' count of requests")

    def exemplars(name: str) -> list[dict[str, Any]]:
        return server.exemplars(f'{name.replace(".", "_")}_seconds_bucket{{export_mode="direct"}}')

    for name in HISTOGRAMS:
        wait_until(lambda name=name: exemplars(name), 60, f"exemplars of {name}")  # type: ignore[misc]
    found = {name: exemplars(name) for name in HISTOGRAMS}
    service.stop()
    for of_one in found.values():
        assert all(set(exemplar["labels"]) == {"trace_id", "span_id"} for exemplar in of_one)
        expect_traces(console, {exemplar["labels"]["trace_id"] for exemplar in of_one})
