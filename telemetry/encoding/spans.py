"""Spans as the bytes of an ExportTraceServiceRequest.

https://github.com/open-telemetry/opentelemetry-proto/blob/v1.10.0/opentelemetry/proto/trace/v1/trace.proto
"""

from collections.abc import Sequence
from struct import Struct

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from telemetry.encoding.common import attributes, nanoseconds, request
from telemetry.encoding.wire import BYTES, FIXED32, FIXED64, VARINT, count, field, known_text, tag, text, varint

_TRACE_ID = tag(1, BYTES) + varint(16)
_SPAN_ID = tag(2, BYTES) + varint(8)
_TRACE_STATE = tag(3, BYTES)
_PARENT_SPAN_ID = tag(4, BYTES) + varint(8)
_NAME = tag(5, BYTES)
_KINDS = {kind.value: tag(6, VARINT) + varint(kind.value + 1) for kind in SpanKind}
_START = tag(7, FIXED64)
_END = tag(8, FIXED64)
_ATTRIBUTE = tag(9, BYTES)
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
_LINK_ATTRIBUTE = tag(4, BYTES)
_LINK_DROPPED = tag(5, VARINT)
_MESSAGE = tag(2, BYTES)
_CODE = tag(3, VARINT)

# Whether the parent, or the span of a link, is another process's (SpanFlags' HAS_IS_REMOTE and IS_REMOTE).
_HERE, _REMOTE = 0x100, 0x300
_fixed32 = Struct("<I").pack
_SPAN_FLAGS = {flags: tag(16, FIXED32) + _fixed32(flags) for flags in (_HERE, _REMOTE)}
_LINK_FLAGS = {flags: tag(6, FIXED32) + _fixed32(flags) for flags in (_HERE, _REMOTE)}
_NO_STATUS = field(_STATUS, b"")


def encode_spans(spans: Sequence[ReadableSpan]) -> bytes:
    """Return the export request with `spans`."""
    return request(spans, _span)


def _span(span: ReadableSpan) -> bytes:
    context, parent = span.context, span.parent
    parts = [
        _TRACE_ID,
        context.trace_id.to_bytes(16),
        _SPAN_ID,
        context.span_id.to_bytes(8),
        _KINDS[span.kind.value],
        _START,
        nanoseconds(span.start_time),
        _END,
        nanoseconds(span.end_time),
        known_text(_NAME, span.name),
        attributes(_ATTRIBUTE, span._attributes),  # noqa: SLF001  (the property copies)
        _NO_STATUS if span.status.status_code is StatusCode.UNSET else _status(span.status),
    ]
    if parent:
        parts += _PARENT_SPAN_ID, parent.span_id.to_bytes(8)
    parts.append(_SPAN_FLAGS[_flags(parent)])
    if context.trace_state:
        parts.append(text(_TRACE_STATE, _trace_state(context.trace_state)))
    if span._events:  # noqa: SLF001
        parts += [field(_EVENT, _event(event)) for event in span._events]  # noqa: SLF001
    if span._links:  # noqa: SLF001
        parts += [field(_LINK, _link(link)) for link in span._links]  # noqa: SLF001
    parts.append(count(_DROPPED_ATTRIBUTES, span.dropped_attributes))
    parts.append(count(_DROPPED_EVENTS, span.dropped_events))
    parts.append(count(_DROPPED_LINKS, span.dropped_links))
    return b"".join(parts)


def _flags(context: SpanContext | None) -> int:
    return _REMOTE if context and context.is_remote else _HERE


def _trace_state(state: TraceState) -> str:
    return ",".join([f"{key}={value}" for key, value in state.items()])


def _event(event: Event) -> bytes:
    return b"".join(
        (
            _EVENT_TIME,
            nanoseconds(event.timestamp),
            known_text(_EVENT_NAME, event.name),
            attributes(_EVENT_ATTRIBUTE, event.attributes),
            count(_EVENT_DROPPED, event.dropped_attributes),
        )
    )


def _link(link: Link) -> bytes:
    return b"".join(
        (
            _TRACE_ID,
            link.context.trace_id.to_bytes(16),
            _SPAN_ID,
            link.context.span_id.to_bytes(8),
            attributes(_LINK_ATTRIBUTE, link.attributes),
            count(_LINK_DROPPED, link.dropped_attributes),
            _LINK_FLAGS[_flags(link.context)],
        )
    )


def _status(status: Status) -> bytes:
    return field(_STATUS, text(_MESSAGE, status.description) + count(_CODE, status.status_code.value))
