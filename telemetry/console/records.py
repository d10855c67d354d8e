"""Spans and log records: as stored (few fields read, the rest as bytes) and as decoded for readers.

Ingestion has to keep up with thousands of records per second while few of them are ever looked at. So a stored record
holds the fields that indexes, filters and lists need, and the OTLP bytes; `decode()` reads everything else on demand.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from telemetry.console.values import PlainValue, plain_attributes, plain_value

if TYPE_CHECKING:
    from telemetry.console.origin import Resource, Scope

#: What a stored record costs in memory besides its OTLP bytes (measured with tracemalloc on CPython 3.11; bytes).
SPAN_OVERHEAD = 550
LOG_OVERHEAD = 350

SPAN_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
SPAN_STATUSES = ("unset", "ok", "error")
KIND_SERVER = trace_pb2.Span.SPAN_KIND_SERVER
STATUS_ERROR = trace_pb2.Status.STATUS_CODE_ERROR

_NO_TRACE_ID = bytes(16)


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened during a span; time in nanoseconds since the epoch."""

    name: str
    time_ns: int
    attributes: dict[str, PlainValue]


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A span's reference to another one, ids in hex."""

    trace_id: str
    span_id: str
    attributes: dict[str, PlainValue]


@dataclass(frozen=True, slots=True)
class Span:
    """A decoded span; ids in hex, times in nanoseconds since the epoch."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    status: str
    status_message: str
    attributes: dict[str, PlainValue]
    events: tuple[SpanEvent, ...]
    links: tuple[SpanLink, ...]
    resource: Resource
    scope: Scope


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A decoded log record; ids in hex (empty without a trace), times in nanoseconds since the epoch."""

    time_ns: int
    observed_time_ns: int
    severity_number: int
    severity: str
    body: PlainValue
    event_name: str
    trace_id: str
    span_id: str
    attributes: dict[str, PlainValue]
    resource: Resource
    scope: Scope


class StoredSpan:
    """A span as the store keeps it; `size` is its share of the store's bytes."""

    __slots__ = (
        "_http", "end_ns", "kind", "name", "parent_id", "raw", "resource", "scope", "size", "span_id", "start_ns",
        "status", "trace_id",
    )  # fmt: skip

    def __init__(self, message: trace_pb2.Span, resource: Resource, scope: Scope) -> None:
        self.trace_id = message.trace_id
        self.span_id = message.span_id
        self.parent_id = message.parent_span_id
        self.name = sys.intern(message.name)
        self.kind = message.kind
        self.start_ns = message.start_time_unix_nano
        self.end_ns = message.end_time_unix_nano
        self.status = message.status.code
        self.resource = resource
        self.scope = scope
        self.raw = message.SerializeToString()
        self.size = len(self.raw) + SPAN_OVERHEAD
        self._http: tuple[str, int] | None = None

    @property
    def http(self) -> tuple[str, int]:
        """Route and status code of a request, "" and 0 where the span tells none; read once, when first asked for."""
        if self._http is None:
            attributes = plain_attributes(trace_pb2.Span.FromString(self.raw).attributes)
            status = attributes.get("http.response.status_code")
            route = sys.intern(str(attributes.get("http.route", "")))
            self._http = route, status if isinstance(status, int) else 0
        return self._http

    def decode(self) -> Span:
        """Read everything that the span holds."""
        message = trace_pb2.Span.FromString(self.raw)
        return Span(
            trace_id=self.trace_id.hex(),
            span_id=self.span_id.hex(),
            parent_span_id=self.parent_id.hex(),
            name=self.name,
            kind=_named(SPAN_KINDS, self.kind),
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            status=_named(SPAN_STATUSES, self.status),
            status_message=message.status.message,
            attributes=plain_attributes(message.attributes),
            events=tuple(
                SpanEvent(event.name, event.time_unix_nano, plain_attributes(event.attributes))
                for event in message.events
            ),
            links=tuple(
                SpanLink(link.trace_id.hex(), link.span_id.hex(), plain_attributes(link.attributes))
                for link in message.links
            ),
            resource=self.resource,
            scope=self.scope,
        )


class StoredLog:
    """A log record as the store keeps it; `size` is its share of the store's bytes."""

    __slots__ = ("raw", "resource", "scope", "severity_number", "size", "trace_id")

    def __init__(self, message: logs_pb2.LogRecord, resource: Resource, scope: Scope) -> None:
        # The SDK writes zeros where a record belongs to no trace.
        self.trace_id = b"" if message.trace_id == _NO_TRACE_ID else message.trace_id
        self.severity_number = message.severity_number
        self.resource = resource
        self.scope = scope
        self.raw = message.SerializeToString()
        self.size = len(self.raw) + LOG_OVERHEAD

    def decode(self) -> LogRecord:
        """Read everything that the log record holds."""
        message = logs_pb2.LogRecord.FromString(self.raw)
        return LogRecord(
            time_ns=message.time_unix_nano or message.observed_time_unix_nano,
            observed_time_ns=message.observed_time_unix_nano,
            severity_number=message.severity_number,
            severity=message.severity_text,
            body=plain_value(message.body),
            event_name=message.event_name,
            trace_id=self.trace_id.hex(),
            span_id=message.span_id.hex() if self.trace_id else "",
            attributes=plain_attributes(message.attributes),
            resource=self.resource,
            scope=self.scope,
        )


def _named(names: tuple[str, ...], number: int) -> str:
    """Enumerations of OTLP are open: an unknown number is told as it is."""
    return names[number] if 0 <= number < len(names) else str(number)
