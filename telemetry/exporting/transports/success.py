"""The body of a successful response: OTLP's partial success."""

import json
from typing import Any

from telemetry.exporting.transports.answers import REJECTED_FIELDS, shorten

PROTOBUF = "application/x-protobuf"


def partial_success(signal: str, content_type: str, body: bytes | None) -> tuple[int, str]:
    """Return how many items were rejected and why; raises ValueError if the response is not OTLP's."""
    kind = content_type.partition(";")[0].strip().lower()
    if body is None:
        raise ValueError("the answer has nothing to read")
    if not body:
        return 0, ""
    if kind == PROTOBUF:
        return _of_protobuf(signal, body)
    if kind == "application/json":
        return _of_json(REJECTED_FIELDS[signal], body)
    if kind == "text/html":
        raise ValueError("the answer is a web page")
    return 0, ""  # some backends send their own text on success


def _of_protobuf(signal: str, body: bytes) -> tuple[int, str]:
    # Imported late: most responses are empty, and these modules cost 4 MiB.
    from google.protobuf.message import DecodeError

    try:
        success = response_class(signal).FromString(body).partial_success
    except DecodeError:
        raise ValueError("the answer is not protobuf") from None
    return getattr(success, REJECTED_FIELDS[signal]), shorten(success.error_message)


def response_class(signal: str) -> Any:
    """Return the message class of a signal's export response."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    return {
        "traces": ExportTraceServiceResponse,
        "metrics": ExportMetricsServiceResponse,
        "logs": ExportLogsServiceResponse,
    }[signal]


def _of_json(field: str, body: bytes) -> tuple[int, str]:
    first, *rest = field.split("_")
    try:
        success = json.loads(body).get("partialSuccess") or {}
        rejected = success.get(first + "".join(map(str.capitalize, rest)), 0)
        return int(rejected), shorten(str(success.get("errorMessage", "")))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise ValueError("the answer is not OTLP's JSON") from None
