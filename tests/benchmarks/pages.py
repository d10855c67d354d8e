"""How fast the console's pages are while spans arrive: `python -m tests.benchmarks.pages [--rate N] [--rounds N]`.

Fills the store to its limits with spans, log records and data points; a sender in a process of its own sends `--rate`
spans per second by gRPC while each page is asked for in turn, some with filters that match nothing. Prints,
as JSON, the quantiles of each page's latency in milliseconds and the rate at which spans arrived meanwhile; fails if
the 95th percentile of a page is above 200 ms, or if spans did not arrive at the rate.
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.benchmarks.ingest import batch
from tests.support.service import ROOT
from tests.tools.console.client import attributes, post, request, resource

MOST_MS = 200.0
LOGS = 512
ROUTES = ("/users", "/users/{id}", "/admin/login/", "/docs")
STATUSES = ("200", "201", "204", "404", "500")
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
WORKERS = 5
POINTS = 1300
FILL_SECONDS = 1800
METRIC = "/metrics/http.server.request.duration"
PAGES = (
    "/",
    "/?window=30",
    "/traces",
    "/traces?limit=500",
    "/traces?sort=duration",
    "/traces?skip=5000&from=2026-01-01",
    "/traces?mode=direct",
    "/traces?route=/nowhere",
    "/traces?status=5xx",
    "/traces?q=nothing+like+it",
    "/traces?min_ms=1000",
    "/traces?q=http.attribute.1=nothing",
    "/traces?q=http.attribute.1!=nothing+http.attribute.2%3E5",
    "/traces/{trace_id}",
    "/metrics",
    METRIC,
    f"{METRIC}?by=http.route&window=30",
    "/logs",
    "/logs?severity=fatal",
    "/logs?skip=5000&to=2126-01-01",
    "/logs?q=nothing+like+it",
    "/modes",
)


def log_batch() -> ExportLogsServiceRequest:
    """One request of log records as the service sends them."""
    message = ExportLogsServiceRequest()
    scope_logs: Any = message.resource_logs.add(resource=resource()).scope_logs.add()
    scope_logs.scope.name = "userapi.access"
    now = time.time_ns()
    values = attributes({f"http.attribute.{index}": f"value {index}" for index in range(4)})
    for _ in range(LOGS):
        scope_logs.log_records.add(
            body=AnyValue(string_value="GET /users/{id} 200"), severity_number=9, severity_text="INFO",
            time_unix_nano=now, trace_id=os.urandom(16), span_id=os.urandom(8), attributes=values,
        )  # fmt: skip
    return message


def metric_batch(worker: int, count: int, time_ns: int) -> ExportMetricsServiceRequest:
    """The histogram of requests of one worker: a series for each route and status."""
    message = ExportMetricsServiceRequest()
    scope_metrics: Any = message.resource_metrics.add(
        resource=resource(instance=f"worker-{worker}")
    ).scope_metrics.add()
    metric = scope_metrics.metrics.add(name="http.server.request.duration", unit="s")
    metric.histogram.aggregation_temporality = 2
    for route in ROUTES:
        for status in STATUSES:
            metric.histogram.data_points.add(
                count=count * len(BOUNDS), sum=0.5 * count, time_unix_nano=time_ns, start_time_unix_nano=1,
                explicit_bounds=BOUNDS, bucket_counts=[count] * len(BOUNDS) + [0],
                attributes=attributes({"http.route": route, "http.response.status_code": status}),
            )  # fmt: skip
    return message


def fill(urls: dict[str, str]) -> None:
    """Send until the store lets old records of each kind go; the points are those of the last half hour."""
    base = urls["OTLP/HTTP"]
    begin_ns = time.time_ns() - FILL_SECONDS * 10**9
    for number in range(POINTS):
        time_ns = begin_ns + number * FILL_SECONDS * 10**9 // POINTS
        for worker in range(WORKERS):
            assert post(f"{base}/v1/metrics", metric_batch(worker, number, time_ns)).status == 200
    while not summary(urls)["retained"]["log_records"]["evicted"]:
        assert post(f"{base}/v1/logs", log_batch()).status == 200
    while not summary(urls)["retained"]["spans"]["evicted"]:
        assert post(f"{base}/v1/traces", batch()).status == 200
    assert summary(urls)["retained"]["points"]["evicted"]


def summary(urls: dict[str, str]) -> Any:
    return request(f"{urls['Console']}/api/summary").json


def arrived(urls: dict[str, str]) -> int:
    """The number of spans since the start."""
    count: int = summary(urls)["modes"]["collector"]["spans"]
    return count


def measure(urls: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """The latency of each page, in milliseconds."""
    url = urls["Console"]
    latencies: dict[str, list[float]] = {page: [] for page in PAGES}
    for _ in range(rounds):
        [trace] = request(f"{url}/api/traces?limit=1").json["traces"]
        for page in PAGES:
            begin = time.perf_counter()
            answer = request(url + page.replace("{trace_id}", trace["trace_id"]), headers={"Accept": "text/html"})
            latencies[page].append((time.perf_counter() - begin) * 1000)
            assert answer.status == 200, page
            time.sleep(0.02)
    return latencies


@contextmanager
def console() -> Iterator[tuple[dict[str, str], int]]:
    """`manage.py console` on free ports: its endpoints by name, and its process id."""
    command = [sys.executable, "manage.py", "console", "--grpc-port=0", "--http-port=0", "--api-port=0"]
    env = {"DJANGO_SECRET_KEY": secrets.token_hex(32), "DJANGO_HTTPS": "false", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            lines = (process.stdout.readline().rsplit(maxsplit=1) for _ in range(3))
            yield {line[0]: line[1] for line in lines}, process.pid
        finally:
            process.terminate()


@contextmanager
def sender(endpoint: str, rate: float, seconds: float) -> Iterator[None]:
    """Spans at a fixed rate, from a process of its own, for at most so many seconds."""
    command = [sys.executable, "-m", "tests.benchmarks.ingest", "--rate", str(rate), "--seconds", str(seconds)]
    with subprocess.Popen([*command, "--send", "grpc", endpoint], cwd=ROOT) as process:
        try:
            yield
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=5000.0, help="spans per second")
    parser.add_argument("--rounds", type=int, default=40, help="requests of each page")
    options = parser.parse_args()
    with console() as (urls, _):
        fill(urls)
        before = arrived(urls)
        with sender(urls["OTLP/gRPC"], options.rate, options.rounds * len(PAGES)):
            while arrived(urls) == before:
                time.sleep(0.05)
            begin, first = time.monotonic(), arrived(urls)
            latencies = measure(urls, options.rounds)
            rate = (arrived(urls) - first) / (time.monotonic() - begin)
        retained = {name: kept["records"] for name, kept in summary(urls)["retained"].items()}
    quantiles = {page: statistics.quantiles(times, n=20) for page, times in latencies.items()}
    result = {
        "arrived_spans_per_second": round(rate),
        "kept": retained,
        "ms": {page: {"p50": round(found[9], 1), "p95": round(found[-1], 1)} for page, found in quantiles.items()},
    }
    print(json.dumps(result, indent=2))
    slow = [page for page, found in quantiles.items() if found[-1] > MOST_MS]
    if slow or rate < 0.95 * options.rate:
        sys.exit(f"pages above {MOST_MS:.0f} ms: {', '.join(slow) or 'none'}; {rate:.0f} of {options.rate:.0f} spans/s")


if __name__ == "__main__":
    main()
