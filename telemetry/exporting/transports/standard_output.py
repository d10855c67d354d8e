"""Standard output in place of a backend (exporter `console`): a line of OTLP's JSON for each request.

https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/#json-lines-file
"""

import json
import sys
from base64 import b64decode
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from telemetry.config import Signal
from telemetry.exporting.transports.answers import REFUSED, Answer

_REQUESTS: dict[Signal, Any] = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest}
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


class StandardOutput:
    """Prints the requests of a signal. Log records are printed by the processes that write them."""

    def __init__(self, signal: Signal) -> None:
        self._request = _REQUESTS[signal]

    def send(self, data: bytes, deadline: float) -> Answer:  # noqa: ARG002  (a pipe's reader decides)
        """Print one request; refused where standard output takes nothing, as there is no one to repeat it for."""
        found = json_format.MessageToDict(self._request.FromString(data), use_integers_for_enums=True)
        try:
            sys.stdout.write(json.dumps(_with_hexadecimal_ids(found), separators=(",", ":")) + "\n")
            sys.stdout.flush()
        except (OSError, ValueError, AttributeError) as error:  # full, closed, or none at all
            return Answer(REFUSED, f"standard output: {error}")
        return Answer()

    def close(self) -> None:
        """Leave standard output open."""


def _with_hexadecimal_ids(value: Any) -> Any:
    """Return `value` with its ids as OTLP's JSON has them, where protobuf's has base64."""
    if isinstance(value, list):
        return [_with_hexadecimal_ids(each) for each in value]
    if isinstance(value, dict):
        return {
            key: b64decode(each).hex() if key in _IDS and isinstance(each, str) else _with_hexadecimal_ids(each)
            for key, each in value.items()
        }
    return value
