"""Spans and log records: as stored (few fields read, the rest as bytes), as decoded for readers, and their senders.

Ingestion has to keep up with thousands of records per second while few of them are ever looked at. So a stored record
holds the fields that indexes, filters and lists need, and the OTLP bytes; `decode()` reads everything else on demand.
"""

import sys
import threading
import weakref
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from google.protobuf.message import Message
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from telemetry.tools.console.receiving.values import PlainValue, plain_attributes, plain_value, size_of

#: The mode of records whose resource has no `export.mode` and of samples without the label `export_mode`.
UNKNOWN_MODE = "unknown"

#: Longer names of modes and services are cut (characters): they are repeated on every page.
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A decoded resource; `instance` identifies the process, `size` is what all of it takes in memory."""

    attributes: dict[str, PlainValue]
    mode: str
    service: str
    instance: tuple[str, ...]
    size: int


class Scope(NamedTuple):
    """The instrumentation scope of a record: a library's or a logger's name."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Origin:
    """Resource and scope, shared by all records that came with them, as is the `size`; `raw` as `OriginCache.get`."""

    resource: Resource
    scope: Scope
    size: int
    raw: tuple[bytes, bytes]


class OriginCache:
    """Decodes each distinct origin once, as long as a record of it is kept. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._origins: MutableMapping[tuple[bytes, bytes], Origin] = weakref.WeakValueDictionary()

    def get(self, resource: bytes, scope: bytes) -> Origin:
        """The origin of records in these ResourceSpans and ScopeSpans (or those of logs and metrics), without them."""
        key = (resource, scope)
        with self._lock:
            origin = self._origins.get(key)
            if origin is None:
                # Resource, scope and schema URL have the same field numbers in the messages of all signals.
                decoded, message = _decode(resource), trace_pb2.ScopeSpans.FromString(scope).scope
                name = Scope(message.name, message.version)
                origin = self._origins[key] = Origin(decoded, name, decoded.size + size_of(name) + size_of(key), key)
            return origin


def _decode(raw: bytes) -> Resource:
    message = trace_pb2.ResourceSpans.FromString(raw).resource
    attributes = plain_attributes(message.attributes)
    instance_id = attributes.get("service.instance.id")
    service = str(attributes.get("service.name", ""))[:LONGEST_NAME]
    # Without an instance id the whole resource is the next best identity of a process.
    instance = (service, str(instance_id)) if instance_id else (service, "", raw.hex())
    mode = str(attributes.get("export.mode") or UNKNOWN_MODE)[:LONGEST_NAME]
    return Resource(attributes, mode, service, instance, size_of((attributes, mode, service, instance)))


#: The memory of a stored record without its OTLP bytes and name (measured on CPython 3.11; bytes).
SPAN_OVERHEAD = 410
LOG_OVERHEAD = 290

TRACE_ID_BYTES, SPAN_ID_BYTES = 16, 8
SPAN_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
SPAN_STATUSES = ("unset", "ok", "error")
#: The lowest severity number of each level, as the log data model has it.
SEVERITIES = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}
KIND_SERVER = trace_pb2.Span.SPAN_KIND_SERVER
STATUS_ERROR = trace_pb2.Status.STATUS_CODE_ERROR


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened during a span; time in nanoseconds since the epoch."""

    name: str
    time_ns: int
    attributes: dict[str, PlainValue]


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A span's reference to another one, ids in hex (empty if they are invalid)."""

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


class _Stored:
    """Common fields of stored records; `size` is the record's share of the store's bytes."""

    __slots__ = ("origin", "raw", "size")

    origin: Origin
    raw: bytes
    size: int
    message_class: ClassVar[type[Message]]

    def message(self) -> Any:
        return self.message_class.FromString(self.raw)

    @property
    def resource(self) -> Resource:
        return self.origin.resource

    @property
    def scope(self) -> Scope:
        return self.origin.scope


class StoredSpan(_Stored):
    """A span as the store keeps it; `status_code` is that of a request's answer, else 0."""

    __slots__ = (
        "end_ns", "has_links", "kind", "name", "parent_id", "span_id", "start_ns", "status", "status_code", "trace_id",
    )  # fmt: skip
    message_class = trace_pb2.Span

    @property
    def kind_name(self) -> str:
        return name_of(SPAN_KINDS, self.kind)

    def __init__(self, message: trace_pb2.Span, raw: bytes, origin: Origin) -> None:
        self.trace_id = message.trace_id
        self.span_id = message.span_id
        self.parent_id = message.parent_span_id
        self.name = message.name
        self.kind = message.kind
        self.start_ns = message.start_time_unix_nano
        self.end_ns = message.end_time_unix_nano
        self.status = message.status.code
        self.has_links = bool(message.links)
        self.status_code = 0
        if self.kind == KIND_SERVER or not self.parent_id:
            for attribute in message.attributes:
                if attribute.key == "http.response.status_code":
                    self.status_code = attribute.value.int_value
        self.origin = origin
        self.raw = raw
        self.size = len(raw) + SPAN_OVERHEAD + sys.getsizeof(self.name)

    def decode(self) -> Span:
        message = self.message()
        return Span(
            trace_id=self.trace_id.hex(),
            span_id=self.span_id.hex(),
            parent_span_id=self.parent_id.hex(),
            name=self.name,
            kind=self.kind_name,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            status=name_of(SPAN_STATUSES, self.status),
            status_message=message.status.message,
            attributes=plain_attributes(message.attributes),
            events=tuple(
                SpanEvent(each.name, each.time_unix_nano, plain_attributes(each.attributes)) for each in message.events
            ),
            links=tuple(SpanLink(*hex_ids(each), plain_attributes(each.attributes)) for each in message.links),
            resource=self.resource,
            scope=self.scope,
        )


class StoredLog(_Stored):
    """A log record as the store keeps it."""

    __slots__ = ("severity_number", "time_ns", "trace_id")
    message_class = logs_pb2.LogRecord

    def __init__(self, message: logs_pb2.LogRecord, raw: bytes, origin: Origin) -> None:
        # The SDK writes zeros if a record belongs to no trace; OTLP treats every other invalid id as none, too.
        self.trace_id = message.trace_id if is_id(message.trace_id, TRACE_ID_BYTES) else b""
        self.severity_number = message.severity_number
        self.time_ns = message.time_unix_nano or message.observed_time_unix_nano
        self.origin = origin
        self.raw = raw
        self.size = len(raw) + LOG_OVERHEAD

    def decode(self) -> LogRecord:
        message = self.message()
        return LogRecord(
            time_ns=self.time_ns,
            observed_time_ns=message.observed_time_unix_nano,
            severity_number=message.severity_number,
            severity=message.severity_text,
            body=plain_value(message.body),
            event_name=message.event_name,
            trace_id=self.trace_id.hex(),
            span_id=message.span_id.hex() if self.trace_id and len(message.span_id) == SPAN_ID_BYTES else "",
            attributes=plain_attributes(message.attributes),
            resource=self.resource,
            scope=self.scope,
        )


def is_id(value: bytes, length: int) -> bool:
    """Return whether it is an id of so many bytes; OTLP treats an all-zero id as none."""
    return len(value) == length and any(value)


def hex_ids(message: trace_pb2.Span.Link | metrics_pb2.Exemplar) -> tuple[str, str]:
    """Trace and span id of a reference in hex, both empty unless both are valid."""
    valid = is_id(message.trace_id, TRACE_ID_BYTES) and len(message.span_id) == SPAN_ID_BYTES
    return (message.trace_id.hex(), message.span_id.hex()) if valid else ("", "")


def name_of(names: tuple[str, ...], number: int) -> str:
    """The name of an enumeration's value; an unknown one, which OTLP allows, is its number."""
    return names[number] if 0 <= number < len(names) else str(number)
