"""The encoding of a log record.

https://github.com/open-telemetry/opentelemetry-proto/blob/v1.10.0/opentelemetry/proto/logs/v1/logs.proto
"""

import logging
from struct import Struct
from typing import Any

from telemetry.exporting.encoding.common import any_value, attributes, nanoseconds
from telemetry.exporting.encoding.forms import LogData
from telemetry.exporting.encoding.wire import BYTES, FIXED32, FIXED64, VARINT, count, field, known_text, tag, varint

_TIME = tag(1, FIXED64)
_SEVERITY_NUMBER = tag(2, VARINT)
_SEVERITY_TEXT = tag(3, BYTES)
_BODY = tag(5, BYTES)
ATTRIBUTE = tag(6, BYTES)
_DROPPED_ATTRIBUTES = tag(7, VARINT)
_FLAGS = tag(8, FIXED32)
_TRACE_ID = tag(9, BYTES) + varint(16)
_SPAN_ID = tag(10, BYTES) + varint(8)
_OBSERVED_TIME = tag(11, FIXED64)
_EVENT_NAME = tag(12, BYTES)

_fixed32 = Struct("<I").pack
_head = Struct("<1sQ1sQ2s16s2s8s1sI").pack

_logger = logging.getLogger(__name__)


def encode_log(record: LogData) -> bytes:
    """Return the message of `record`, without a tag."""
    time, observed, number, severity, body, attributed, trace_id, span_id, flags, event, dropped = record
    parts = [
        _TIME,
        nanoseconds(time),
        _OBSERVED_TIME,
        nanoseconds(observed),
        encode_body(body, number, severity),
        attributes(ATTRIBUTE, attributed),
        count(_DROPPED_ATTRIBUTES, dropped),
    ]
    if flags:
        parts += _FLAGS, _fixed32(flags)
    if trace_id:
        parts += _TRACE_ID, trace_id
    if span_id:
        parts += _SPAN_ID, span_id
    if event:
        parts.append(known_text(_EVENT_NAME, event))
    return b"".join(parts)


def encode_body(body: Any, severity_number: int, severity_text: str) -> bytes:
    """Return the fields that many log records share: body and severity."""
    severity = count(_SEVERITY_NUMBER, severity_number) + known_text(_SEVERITY_TEXT, severity_text)
    return severity + field(_BODY, _body(body))


def encode_plain_log(  # noqa: PLR0917
    time: int, trace_id: bytes, span_id: bytes, flags: int, body: bytes, attributed: bytes
) -> bytes:
    """Return the message of a log record within a span; `body` is the result of `encode_body`.

    Raises `struct.error` for times before 1970.
    """
    head = _head(_TIME, time, _OBSERVED_TIME, time, _TRACE_ID, trace_id, _SPAN_ID, span_id, _FLAGS, flags)
    return head + body + attributed


def _body(body: Any) -> bytes:
    try:
        return any_value(body)
    except Exception as error:  # noqa: BLE001  (the rest of the record is valid)
        _logger.warning("the body of a log record cannot be encoded: %s", error)
        return b""
