"""A collector between the service and the console: takes OTLP over HTTP, counts as Alloy does, and loses on demand."""

from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Literal, Self

import requests
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Loss = Literal["none", "counted", "silent", "twice"]


def _spans(message: Any) -> int:
    return sum(len(scope.spans) for one in message.resource_spans for scope in one.scope_spans)


def _records(message: Any) -> int:
    return sum(len(scope.log_records) for one in message.resource_logs for scope in one.scope_logs)


def _points(message: Any) -> int:
    metrics = (metric for one in message.resource_metrics for scope in one.scope_metrics for metric in scope.metrics)
    return sum(len(getattr(metric, metric.WhichOneof("data")).data_points) for metric in metrics)


_KINDS: dict[str, tuple[str, Any, Callable[[Any], int]]] = {
    "/v1/traces": ("spans", ExportTraceServiceRequest, _spans),
    "/v1/logs": ("log_records", ExportLogsServiceRequest, _records),
    "/v1/metrics": ("metric_points", ExportMetricsServiceRequest, _points),
}


def _labels(counter: str) -> str:
    return 'component_id="otelcol.exporter.otlp.tempo"' if counter.endswith("_spans_total") else ""


class Hop:
    """Passes requests on to `target` (a base URL), answers them, and counts items; a context manager.

    `loss` says what becomes of the spans: `counted` ones are given up and counted, `silent` ones vanish. What comes
    must not be compressed.
    """

    def __init__(self, target: str) -> None:
        self.loss: Loss = "none"
        self.counts: Counter[str] = Counter()
        self._target = target
        self._lock = Lock()

    def __enter__(self) -> Self:
        hop = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hop._take(self.path, body, self.headers["Content-Type"])
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def metrics(self) -> str:
        """Its counters, in Prometheus' text format."""
        with self._lock:
            lines = [f"{name}{{{_labels(name)}}} {count}" for name, count in sorted(self.counts.items())]
        return "\n".join([*lines, "otelcol_exporter_queue_size 0", ""])

    def _take(self, path: str, body: bytes, kind_of_body: str) -> int:
        kind, message, count = _KINDS[path]
        items = count(message.FromString(body))
        loss: Loss = self.loss if kind == "spans" else "none"
        status = 200
        for _ in range({"none": 1, "twice": 2}.get(loss, 0)):
            headers = {"Content-Type": kind_of_body}
            try:
                status = requests.post(self._target + path, data=body, headers=headers, timeout=30).status_code
            except requests.RequestException:
                return 503
        if status == 200:
            outcome = "exporter_send_failed" if loss == "counted" else "exporter_sent"
            with self._lock:
                self.counts[f"otelcol_receiver_accepted_{kind}_total"] += items
                self.counts[f"otelcol_{outcome}_{kind}_total"] += items
        return status
