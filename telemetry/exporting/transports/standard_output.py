"""Standard output instead of a backend (exporter `console`): a line of OTLP JSON for each request."""

import sys
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from telemetry.config import Signal
from telemetry.exporting.encoding.json_line import json_line
from telemetry.exporting.transports.answers import REFUSED, Answer

_REQUESTS: dict[Signal, Any] = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest}


class StandardOutput:
    """Prints the requests of a signal. Log records are printed by the processes that log them."""

    def __init__(self, signal: Signal) -> None:
        self._request = _REQUESTS[signal]

    def send(self, data: bytes, deadline: float) -> Answer:  # noqa: ARG002  (a pipe's reader decides)
        """Print one request; refused, and not retryable, if it or standard output cannot be used. Never raises."""
        try:
            sys.stdout.write(json_line(self._request.FromString(data)).decode())
            sys.stdout.flush()
        except Exception as error:  # noqa: BLE001  (full, closed, None, or a request that is damaged)
            return Answer(REFUSED, f"standard output: {error}")
        return Answer()

    def close(self) -> None:
        """Leave standard output open."""
