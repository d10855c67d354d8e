"""Spans and log records as the encoder takes them: plain tuples, so that no object of an SDK is made on the way."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Attributes = Mapping[str, Any] | bytes
"""By their names, or encoded already, with the tag of the item that they belong to."""


class EventData(NamedTuple):
    """An event of a span; `time` in nanoseconds since 1970, `dropped` attributes."""

    time: int
    name: str
    attributes: Attributes
    dropped: int = 0


class LinkData(NamedTuple):
    """A link of a span; `remote` is whether its span is another process's."""

    trace_id: bytes
    span_id: bytes
    trace_state: str
    remote: bool
    attributes: Attributes
    dropped: int = 0


class SpanData(NamedTuple):
    """A span.

    `kind` is the value of the API's `SpanKind`, `status` the value of a `StatusCode` and its description, None where
    it is unset. Times are nanoseconds since 1970; `dropped` counts attributes, events and links.
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
    """What recorded an item. Its attributes are in the order of their keys, so that equal scopes are one group."""

    name: str
    version: str = ""
    schema_url: str = ""
    attributes: tuple[tuple[str, Any], ...] = ()
