"""How much telemetry a request makes: spans, log records, series, and bytes of OTLP. The figures of docs/production.md.

    python -m tests.benchmarks.volume --visits 200

Visitors of the demo, 16 requests each, use the service in collector mode with two workers. It sends to a receiver that
counts what it gets and keeps nothing.
"""

import argparse
import gzip
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

import tests.support.environment  # noqa: F401  (the service's settings need it)
from telemetry.tools.traffic.client import CountingClient
from telemetry.tools.traffic.visits import story
from tests.conftest import migrate
from tests.support.service import Service

INTERVAL = 15.0  # seconds between two pushes, as by default

MESSAGES: dict[str, tuple[type[Message], type[Message]]] = {
    "traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
    "metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    "logs": (ExportLogsServiceRequest, ExportLogsServiceResponse),
}


class Counting(ThreadingHTTPServer):
    """An OTLP receiver over HTTP that adds up bytes and items by signal."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.totals: Counter[str] = Counter()
        self.push = (0, 0)  # series and bytes of the largest push
        self.lock = threading.Lock()

    def take(self, signal: str, body: bytes) -> bytes:
        request, response = MESSAGES[signal]
        message = request.FromString(body)
        with self.lock:
            self.totals[f"{signal} bytes"] += len(body)
            self.totals[f"{signal} bytes, gzip"] += len(gzip.compress(body, 6))
            self.totals[f"{signal} items"] += _items(signal, message)
            if signal == "metrics":  # the last one, which has all that was counted
                self.push = max(self.push, (_items(signal, message), len(body)))
        return response().SerializeToString()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Counting

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.take(self.path.rpartition("/")[2], body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Print nothing: the command's output is a table."""


def _items(signal: str, message: Message) -> int:
    found = 0
    for resource in getattr(
        message, {"traces": "resource_spans", "logs": "resource_logs"}.get(signal, "resource_metrics")
    ):
        if signal == "traces":
            found += sum(len(scope.spans) for scope in resource.scope_spans)
        elif signal == "logs":
            found += sum(len(scope.log_records) for scope in resource.scope_logs)
        else:
            for scope in resource.scope_metrics:
                found += sum(_series(metric) for metric in scope.metrics)
    return found


def _series(metric: Message) -> int:
    """Return how many series Prometheus makes of a metric's points: of a histogram's, buckets, +Inf, sum and count."""
    kind = metric.WhichOneof("data")
    points = getattr(metric, str(kind)).data_points
    if kind == "histogram":
        return sum(len(point.explicit_bounds) + 3 for point in points)
    return len(points)


@contextmanager
def counting_receiver() -> Iterator[Counting]:
    with Counting() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=200)
    visits = parser.parse_args().visits
    with tempfile.TemporaryDirectory() as folder, counting_receiver() as receiver:
        database = f"sqlite:///{folder}/db.sqlite3"
        migrate(database)
        env = {
            "TELEMETRY_MODE": "collector",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": "60000",  # one push counts: the one at the stop
            "USERAPI_OPEN_ACCESS": "true",
        }
        with Service(Path(folder), database, env, "--workers=2") as service:
            client = CountingClient(service.port)
            for number in range(visits):
                visit(client, number)
            service.stop()
        report(client.sent.answered, receiver)
    return 0


def visit(client: CountingClient, number: int) -> None:
    steps = story("Ada Lovelace", "Alan Turing", f"volume.{number}")
    step = next(steps)
    while True:
        try:
            step = steps.send(client.send(*step))
        except StopIteration:
            return


def report(requests: int, receiver: Counting) -> None:
    for signal in ("traces", "logs"):
        items, size, packed = (receiver.totals[f"{signal} {what}"] for what in ("items", "bytes", "bytes, gzip"))
        each = f"{size / items:4.0f} bytes each, {packed / items:3.0f} with gzip"
        print(f"{signal:8} {items / requests:5.2f} a request, {each}")
    series, size = receiver.push
    print(f"metrics  {series} series of the service, {size} bytes a push, {size / INTERVAL:.0f} bytes a second")


if __name__ == "__main__":
    sys.exit(main())
