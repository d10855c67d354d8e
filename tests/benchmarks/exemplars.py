"""What exemplars cost: microseconds for the measurements of one request, and their share of the request's CPU time.

    python -m tests.benchmarks.exemplars --requests 500

A real worker answers requests, which tells the CPU time of one and how many measurements it makes. The same
measurements are then made here inside a sampled span, with exemplars and without in turn, and timed alone, for each
mode's way of counting. Last: how many bytes exemplars add to one answer of `/metrics` and to one push of OTLP.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from telemetry.config import TelemetryConfig
from telemetry.exposition import Exposition
from telemetry.providers import build_meter_provider
from telemetry.shared_metrics import SharedMemoryMetricReader
from telemetry.shared_state import WorkerState
from tests.benchmarks.redaction import observe

ROUNDS = 15
MEASUREMENTS = 4000
OPENMETRICS = "application/openmetrics-text"
REQUEST: dict[str, Any] = {"http.request.method": "GET", "http.response.status_code": 200, "http.route": "/users/{id}"}
QUERY: dict[str, Any] = {"db.system.name": "sqlite", "db.operation.name": "SELECT"}

Size = Callable[[], int]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500, help="requests to the service")
    requests = parser.parse_args().requests
    request_seconds, spans, _ = observe(requests)
    queries = len(spans) / requests - 1
    print(f"request    {request_seconds * 1e6:7.1f} us of CPU time, 1 duration and {queries:.1f} queries measured")
    with tempfile.TemporaryDirectory() as folder:
        for mode in ("collector", "direct"):
            kinds = {
                name: provider(mode, name, Path(folder) / f"{mode}-{name}") for name in ("trace_based", "always_off")
            }
            seconds: dict[str, list[float]] = {name: [] for name in kinds}
            for _ in range(ROUNDS):
                for name, (meters, _) in kinds.items():
                    seconds[name].append(per_request(meters, queries))
            pairs = zip(seconds["trace_based"], seconds["always_off"], strict=True)
            extra = statistics.median(with_ - without for with_, without in pairs)
            on, off = (statistics.median(seconds[name]) * 1e6 for name in kinds)
            print(f"{mode:10} {on:7.1f} us with exemplars, {off:.1f} without: ", end="")
            print(f"{extra * 1e6:+.1f} us, {extra / request_seconds:+.2%} of a request")
            sizes = {name: size() for name, (_, size) in kinds.items()}
            print(f"{'':10} {sizes['trace_based']} bytes with exemplars, {sizes['always_off']} without")
            for meters, _ in kinds.values():
                meters.shutdown()
    return 0


def provider(mode: str, exemplar_filter: str, folder: Path) -> tuple[MeterProvider, Size]:
    """Return a mode's provider of metrics, and what tells the bytes that leave at once."""
    config = TelemetryConfig.from_env({"OTEL_METRICS_EXEMPLAR_FILTER": exemplar_filter})
    if mode == "direct":
        folder.mkdir()
        shared = SharedMemoryMetricReader(WorkerState(folder, 0))
        exposition = Exposition(folder, {}, shared.refresh)
        meters = build_meter_provider(config, Resource({}), shared, {}, shared.histogram)
        return meters, lambda: len(exposition.render(OPENMETRICS)[0])
    reader = InMemoryMetricReader()

    def size() -> int:
        data = reader.get_metrics_data()
        assert data
        return encode_metrics(data).ByteSize()

    return build_meter_provider(config, Resource({}), reader, {}), size


def per_request(meters: MeterProvider, queries: float) -> float:
    """Return the CPU seconds that one request's measurements take, inside a sampled span."""
    meter = meters.get_meter("benchmark")
    duration = meter.create_histogram("http.server.request.duration", "s")
    query = meter.create_histogram("db.client.operation.duration", "s")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("benchmark")
    with tracer.start_as_current_span("GET /users/{id}"):
        before = process_time()
        for _ in range(MEASUREMENTS):
            duration.record(0.0042, REQUEST)
        of_duration = process_time() - before
        for _ in range(MEASUREMENTS):
            query.record(0.0003, QUERY)
        of_query = process_time() - before - of_duration
    return (of_duration + queries * of_query) / MEASUREMENTS


if __name__ == "__main__":
    sys.exit(main())
