"""The encoder's input for spans and log records: plain tuples, without creating objects of the SDK."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Attributes = Mapping[str, Any] | bytes
"""Values by name, or already encoded with the tag of their item."""


class EventData(NamedTuple):
    """An event of a span; `time` in nanoseconds since 1970, `dropped` is the number of dropped attributes."""

    time: int
    name: str
    attributes: Attributes
    dropped: int = 0


class LinkData(NamedTuple):
    """A link of a span; `remote` is whether the linked span belongs to another process."""

    trace_id: bytes
    span_id: bytes
    trace_state: str
    remote: bool
    attributes: Attributes
    dropped: int = 0


class SpanData(NamedTuple):
    """A span.

    `kind` is the value of the API's `SpanKind`, `status` the value of a `StatusCode` and its description, None if
    unset. Times are nanoseconds since 1970; `dropped` counts attributes, events and links.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes | None
    parent_remote: bool
    trace_state: str
    name: str
    kind: int
    start: int
    end: int
    attributes: Attributes
    status: tuple[int, str | None] | None
    events: Sequence[EventData] = ()
    links: Sequence[LinkData] = ()
    dropped: tuple[int, int, int] = (0, 0, 0)


class LogData(NamedTuple):
    """A log record; times are nanoseconds since 1970, `severity_number` is the value of a `SeverityNumber`."""

    time: int
    observed: int
    severity_number: int
    severity_text: str
    body: Any
    attributes: Attributes
    trace_id: bytes | None
    span_id: bytes | None
    flags: int
    event_name: str = ""
    dropped: int = 0


class ScopeData(NamedTuple):
    """An instrumentation scope; its attributes are from `encode_scope_attributes`."""

    name: str
    version: str = ""
    schema_url: str = ""
    attributes: bytes = b""
