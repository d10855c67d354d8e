"""OTLP requests into the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2

from telemetry.console.metrics import Instrument
from telemetry.console.origin import Scope
from telemetry.console.records import StoredLog, StoredSpan
from telemetry.console.store import IncomingPoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from telemetry.console.store import Store

_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8
_NO_TRACE_ID = bytes(_TRACE_ID_BYTES)
_NO_SPAN_ID = bytes(_SPAN_ID_BYTES)


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of OTLP: its messages, its HTTP path, its gRPC service, and how it gets into the store."""

    name: str
    path: str
    grpc_service: str
    request_class: type[Message]
    response_class: type[Message]
    rejected_field: str
    ingest: Callable[[Store, Any, int], Rejection]


@dataclass(frozen=True, slots=True)
class Rejection:
    """How many records of a request were not taken, and why."""

    records: int = 0
    reason: str = ""


def _take(records: list[Any], refuse: int) -> tuple[list[Any], int]:
    """Leave out the last `refuse` records, as a backend with a quota would."""
    taken = records[: max(len(records) - refuse, 0)] if refuse else records
    return taken, len(records) - len(taken)


def _rejection(invalid: int, refused: int, what: str) -> Rejection:
    reasons = [f"{invalid} {what}"] if invalid else []
    reasons += [f"{refused} refused on demand"] if refused else []
    return Rejection(invalid + refused, "; ".join(reasons))


def ingest_spans(store: Store, request: trace_service_pb2.ExportTraceServiceRequest, refuse: int = 0) -> Rejection:
    """Take the spans, except invalid ones and the last `refuse`."""
    spans: list[StoredSpan] = []
    invalid = 0
    for resource_spans in request.resource_spans:
        resource = store.resources.get(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            scope = Scope.from_message(scope_spans.scope)
            for message in scope_spans.spans:
                span = StoredSpan(message, resource, scope)
                if (
                    len(span.trace_id) != _TRACE_ID_BYTES
                    or len(span.span_id) != _SPAN_ID_BYTES
                    or span.trace_id == _NO_TRACE_ID
                    or span.span_id == _NO_SPAN_ID
                ):
                    invalid += 1
                else:
                    spans.append(span)
    taken, refused = _take(spans, refuse)
    store.add_spans(taken)
    return _rejection(invalid, refused, "spans without a valid trace id (16 bytes) and span id (8 bytes)")


def ingest_logs(store: Store, request: logs_service_pb2.ExportLogsServiceRequest, refuse: int = 0) -> Rejection:
    """Take the log records, except the last `refuse`."""
    records: list[StoredLog] = []
    for resource_logs in request.resource_logs:
        resource = store.resources.get(resource_logs.resource)
        for scope_logs in resource_logs.scope_logs:
            scope = Scope.from_message(scope_logs.scope)
            records.extend(StoredLog(message, resource, scope) for message in scope_logs.log_records)
    taken, refused = _take(records, refuse)
    store.add_logs(taken)
    return _rejection(0, refused, "")


def ingest_metrics(
    store: Store, request: metrics_service_pb2.ExportMetricsServiceRequest, refuse: int = 0
) -> Rejection:
    """Take the data points, except those without a metric name and the last `refuse`."""
    points: list[IncomingPoint] = []
    invalid = 0
    for resource_metrics in request.resource_metrics:
        resource = store.resources.get(resource_metrics.resource)
        for scope_metrics in resource_metrics.scope_metrics:
            scope = Scope.from_message(scope_metrics.scope)
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    continue
                data = getattr(metric, kind)
                if not metric.name:
                    invalid += len(data.data_points)
                    continue
                delta = getattr(data, "aggregation_temporality", None) == metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
                instrument = Instrument(metric.name, "otlp", _type(kind, data), metric.unit, metric.description)
                points.extend(
                    IncomingPoint(instrument, resource, scope, kind, message, delta) for message in data.data_points
                )
    taken, refused = _take(points, refuse)
    store.add_points(taken)
    return _rejection(invalid, refused, "data points of metrics without a name")


def _type(kind: str, data: Any) -> str:
    if kind == "sum":
        return "counter" if data.is_monotonic else "up_down_counter"
    return kind


_PACKAGE = "opentelemetry.proto.collector"

SIGNALS: dict[str, Signal] = {
    "traces": Signal(
        "traces",
        "/v1/traces",
        f"{_PACKAGE}.trace.v1.TraceService",
        trace_service_pb2.ExportTraceServiceRequest,
        trace_service_pb2.ExportTraceServiceResponse,
        "rejected_spans",
        ingest_spans,
    ),
    "metrics": Signal(
        "metrics",
        "/v1/metrics",
        f"{_PACKAGE}.metrics.v1.MetricsService",
        metrics_service_pb2.ExportMetricsServiceRequest,
        metrics_service_pb2.ExportMetricsServiceResponse,
        "rejected_data_points",
        ingest_metrics,
    ),
    "logs": Signal(
        "logs",
        "/v1/logs",
        f"{_PACKAGE}.logs.v1.LogsService",
        logs_service_pb2.ExportLogsServiceRequest,
        logs_service_pb2.ExportLogsServiceResponse,
        "rejected_log_records",
        ingest_logs,
    ),
}
