"""The encoding of a span.

https://github.com/open-telemetry/opentelemetry-proto/blob/v1.10.0/opentelemetry/proto/trace/v1/trace.proto
"""

from struct import Struct

from telemetry.exporting.encoding.common import attributes, nanoseconds
from telemetry.exporting.encoding.forms import Attributes, EventData, LinkData, SpanData
from telemetry.exporting.encoding.wire import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    count,
    field,
    known_text,
    tag,
    text,
    varint,
)

_TRACE_ID = tag(1, BYTES) + varint(16)
_SPAN_ID = tag(2, BYTES) + varint(8)
_TRACE_STATE = tag(3, BYTES)
_PARENT_SPAN_ID = tag(4, BYTES) + varint(8)
_NAME = tag(5, BYTES)
_KINDS = {kind: tag(6, VARINT) + varint(kind + 1) for kind in range(5)}
_START = tag(7, FIXED64)
_END = tag(8, FIXED64)
ATTRIBUTE = tag(9, BYTES)
_DROPPED_ATTRIBUTES = tag(10, VARINT)
_EVENT = tag(11, BYTES)
_DROPPED_EVENTS = tag(12, VARINT)
_LINK = tag(13, BYTES)
_DROPPED_LINKS = tag(14, VARINT)
_STATUS = tag(15, BYTES)

_EVENT_TIME = tag(1, FIXED64)
_EVENT_NAME = tag(2, BYTES)
_EVENT_ATTRIBUTE = tag(3, BYTES)
_EVENT_DROPPED = tag(4, VARINT)
_LINK_TRACE_STATE = tag(3, BYTES)
_LINK_ATTRIBUTE = tag(4, BYTES)
_LINK_DROPPED = tag(5, VARINT)
_MESSAGE = tag(2, BYTES)
_CODE = tag(3, VARINT)

# Whether the parent or linked span belongs to another process (SpanFlags' HAS_IS_REMOTE and IS_REMOTE).
_HERE, _REMOTE = 0x100, 0x300
_fixed32 = Struct("<I").pack
_SPAN_HERE, _SPAN_REMOTE = (tag(16, FIXED32) + _fixed32(flags) for flags in (_HERE, _REMOTE))
_LINK_HERE, _LINK_REMOTE = (tag(6, FIXED32) + _fixed32(flags) for flags in (_HERE, _REMOTE))
_head = Struct("<2s16s2s8s1sQ1sQ").pack
_NO_STATUS = field(_STATUS, b"")
_NOTHING = (0, 0, 0)


def encode_span(span: SpanData) -> bytes:
    """Return the message of `span`, without a tag."""
    (trace_id, span_id, parent, remote, state, name, kind, start, end, attributed, status, events, links, lost) = span
    parts = [
        _TRACE_ID,
        trace_id,
        _SPAN_ID,
        span_id,
        _START,
        nanoseconds(start),
        _END,
        nanoseconds(end),
        encode_rest(name, kind, attributed, status),
        _SPAN_REMOTE if remote else _SPAN_HERE,
    ]
    if parent:
        parts += _PARENT_SPAN_ID, parent
    if state:
        parts.append(text(_TRACE_STATE, state))
    if events:
        parts += [field(_EVENT, _event(event)) for event in events]
    if links:
        parts += [field(_LINK, _link(link)) for link in links]
    if lost != _NOTHING:
        tags = _DROPPED_ATTRIBUTES, _DROPPED_EVENTS, _DROPPED_LINKS
        parts += [count(tag, number) for tag, number in zip(tags, lost, strict=True)]
    return b"".join(parts)


def encode_rest(name: str, kind: int, attributed: Attributes, status: tuple[int, str | None] | None) -> bytes:
    """Return the fields that many spans share: all but ids, times, and whether the parent is remote."""
    set_status = _NO_STATUS if status is None else _status(*status)
    return b"".join((_KINDS[kind], known_text(_NAME, name), attributes(ATTRIBUTE, attributed), set_status))


def encode_plain_span(  # noqa: PLR0917
    trace_id: bytes, span_id: bytes, parent_id: bytes | None, start: int, end: int, rest: bytes, *, remote: bool
) -> bytes:
    """Return the message of a span without events and links; `rest` is the result of `encode_rest`.

    Raises `struct.error` for times before 1970.
    """
    head = _head(_TRACE_ID, trace_id, _SPAN_ID, span_id, _START, start, _END, end)
    parent = _PARENT_SPAN_ID + parent_id if parent_id else b""
    return b"".join((head, rest, parent, _SPAN_REMOTE if remote else _SPAN_HERE))


def _event(event: EventData) -> bytes:
    time, name, attributed, dropped = event
    return b"".join(
        (
            _EVENT_TIME,
            nanoseconds(time),
            known_text(_EVENT_NAME, name),
            attributes(_EVENT_ATTRIBUTE, attributed),
            count(_EVENT_DROPPED, dropped),
        )
    )


def _link(link: LinkData) -> bytes:
    trace_id, span_id, state, remote, attributed, dropped = link
    return b"".join(
        (
            _TRACE_ID,
            trace_id,
            _SPAN_ID,
            span_id,
            text(_LINK_TRACE_STATE, state),
            attributes(_LINK_ATTRIBUTE, attributed),
            count(_LINK_DROPPED, dropped),
            _LINK_REMOTE if remote else _LINK_HERE,
        )
    )


def _status(code: int, description: str | None) -> bytes:
    return field(_STATUS, text(_MESSAGE, description) + count(_CODE, code))
