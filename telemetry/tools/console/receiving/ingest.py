"""Ingestion of OTLP requests into the store: split on the wire, and decoded record by record."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from telemetry.tools.console.storage.metrics import IncomingPoint
from telemetry.tools.console.storage.points import Instrument
from telemetry.tools.console.storage.records import SPAN_ID_BYTES, TRACE_ID_BYTES, Origin, StoredLog, StoredSpan, is_id
from telemetry.tools.console.storage.store import Store

#: Of protobuf's encoding.
_VARINT, _BYTES = 0, 2
_LENGTHS = {1: 8, 5: 4}
_LONGEST_VARINT = 10

#: Fields of the messages around records, the same ones for all signals.
_RESOURCES = _POINTS = {1}
_SCOPES = _RECORDS = {2}
_KINDS = {field.number: field.name for field in metrics_pb2.Metric.DESCRIPTOR.oneofs_by_name["data"].fields}


@dataclass(frozen=True, slots=True)
class Rejection:
    """How many records of a request were not stored, and why."""

    records: int = 0
    reason: str = ""


class Signal:
    """One OTLP signal: its messages, HTTP path, gRPC service, and the function that stores its requests.

    `ingest` takes the store, the bytes of a request, and how many of its last records to refuse. It raises DecodeError
    and TooLargeError, in which case nothing of the request is stored.
    """

    def __init__(self, name: str, service: ServiceDescriptor, ingest: Callable[[Store, bytes, int], Rejection]) -> None:
        export = service.methods_by_name["Export"]
        self.name = name
        self.path = f"/v1/{name}"
        self.grpc_service = service.full_name
        self.request_class = GetMessageClass(export.input_type)
        self.response_class = GetMessageClass(export.output_type)
        self.ingest = ingest

    def response(self, rejection: Rejection) -> Any:
        """Return the answer to a request, with its rejected records if any."""
        answer: Any = self.response_class()
        if rejection.records:
            partial = answer.partial_success
            setattr(partial, partial.DESCRIPTOR.fields_by_number[1].name, rejection.records)
            partial.error_message = rejection.reason
        return answer


class TooLargeError(Exception):
    """A message holds more than may be decoded; the text says which bound it exceeds."""


class _Request:
    """One request, split on the wire and decoded record by record; counts rejected records.

    Decoding a request as a whole can take a hundred times its size: two bytes make an empty span of 170 in memory.
    """

    def __init__(self, store: Store, data: bytes) -> None:
        self._store = store
        self._data = memoryview(data)
        self._longest = store.limits.record_bytes
        #: How many parts may still follow, at all levels.
        self._left = store.limits.message_records
        self._rejected: Counter[str] = Counter()

    def split(self, message: memoryview, numbers: Collection[int]) -> tuple[bytes, list[tuple[int, memoryview]]]:
        """Return the embedded messages in the fields with these numbers, in order, and the message without them.

        Raises DecodeError if the message is malformed, TooLargeError if it exceeds a bound.
        """
        rest = bytearray()
        parts: list[tuple[int, memoryview]] = []
        position, end = 0, len(message)
        while position < end:
            begin = position
            tag, position = _varint(message, position)
            kind = tag & 7
            length = _LENGTHS.get(kind, 0)
            if kind in {_BYTES, _VARINT}:
                length, position = _varint(message, position)
            elif not length:
                raise DecodeError(f"wire type {kind} is not supported")
            body = position
            if kind != _VARINT:
                position += length
            if position > end:
                raise DecodeError("a field is cut short")
            if kind == _BYTES and tag >> 3 in numbers:
                self._left -= 1
                if self._left < 0:
                    raise TooLargeError(f"the message holds more than {self._store.limits.message_records} records")
                parts.append((tag >> 3, message[body:position]))
            else:
                rest += message[begin:position]
                if len(rest) > self._longest:
                    raise TooLargeError(f"a resource, scope or metric is larger than {self._longest} bytes")
        return bytes(rest), parts

    def parts(self) -> Iterator[tuple[Origin, memoryview]]:
        """The spans, log records or metrics, each with its origin."""
        _, resources = self.split(self._data, _RESOURCES)
        for _, resource in resources:
            resource_head, scopes = self.split(resource, _SCOPES)
            for _, scope in scopes:
                scope_head, records = self.split(scope, _RECORDS)
                origin = self._store.origins.get(resource_head, scope_head)
                for _, record in records:
                    yield origin, record

    def fits(self, record: memoryview) -> bool:
        """Return whether the record may be decoded; reject it otherwise."""
        if len(record) > self._longest:
            self.reject(f"larger than {self._longest} bytes")
        return len(record) <= self._longest

    def reject(self, reason: str, records: int = 1) -> None:
        self._rejected[reason] += records

    def store(self, add: Callable[[list[Any]], None], records: list[Any], refuse: int) -> Rejection:
        """Store the records without the last `refuse`, which are rejected as a backend with a quota would."""
        refused = min(refuse, len(records))
        if refused:
            self.reject("refused on demand", refused)
        add(records[: len(records) - refused])
        reasons = "; ".join(f"{count} {reason}" for reason, count in self._rejected.items())
        return Rejection(self._rejected.total(), reasons)


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return a number and the position of its end."""
    value = shift = 0
    for index in range(position, min(position + _LONGEST_VARINT, len(message))):
        byte = message[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 (the last byte has no continuation bit)
            return value, index + 1
        shift += 7
    raise DecodeError("a number is cut short")


def ingest_spans(store: Store, data: bytes, refuse: int = 0) -> Rejection:
    """Store the spans, except invalid ones and the last `refuse`."""
    request = _Request(store, data)
    spans: list[StoredSpan] = []
    for origin, part in request.parts():
        if request.fits(part):
            raw = bytes(part)
            span = StoredSpan(trace_pb2.Span.FromString(raw), raw, origin)
            has_ids = is_id(span.trace_id, TRACE_ID_BYTES) and is_id(span.span_id, SPAN_ID_BYTES)
            if has_ids and len(span.parent_id) in {0, SPAN_ID_BYTES}:
                spans.append(span)
            else:
                request.reject("without valid ids (16 bytes for the trace, 8 for the span and its parent)")
    return request.store(store.add_spans, spans, refuse)


def ingest_logs(store: Store, data: bytes, refuse: int = 0) -> Rejection:
    """Store the log records, except the last `refuse`."""
    request = _Request(store, data)
    records: list[StoredLog] = []
    for origin, part in request.parts():
        if request.fits(part):
            raw = bytes(part)
            records.append(StoredLog(logs_pb2.LogRecord.FromString(raw), raw, origin))
    return request.store(store.add_logs, records, refuse)


def ingest_metrics(store: Store, data: bytes, refuse: int = 0) -> Rejection:
    """Store the data points, except those without a metric name and the last `refuse`."""
    request = _Request(store, data)
    points: list[IncomingPoint] = []
    for origin, metric in request.parts():
        head, kinds = request.split(metric, set(_KINDS))
        if not kinds:
            continue
        # If there are several kinds, which protobuf allows on the wire, the last one counts.
        number, body = kinds[-1]
        kind = _KINDS[number]
        rest, parts = request.split(body, _POINTS)
        described = metrics_pb2.Metric.FromString(head)
        if not described.name:
            request.reject("without a metric name", len(parts))
            continue
        options: Any = metrics_pb2.Sum.FromString(rest)  # histograms have their temporality in the same field
        delta = options.aggregation_temporality == metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
        type_ = kind if kind != "sum" else "counter" if options.is_monotonic else "up_down_counter"
        instrument = Instrument(described.name, "otlp", type_, described.unit, described.description)
        for _, part in parts:
            if request.fits(part):
                raw = bytes(part)
                points.append(IncomingPoint.read(instrument, origin, kind, raw, delta=delta))
    return request.store(store.add_points, points, refuse)


_ALL = (
    Signal("traces", trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"], ingest_spans),
    Signal("metrics", metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"], ingest_metrics),
    Signal("logs", logs_service_pb2.DESCRIPTOR.services_by_name["LogsService"], ingest_logs),
)
SIGNALS = {signal.name: signal for signal in _ALL}
