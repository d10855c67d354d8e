"""Log records as the bytes of an ExportLogsServiceRequest.

https://github.com/open-telemetry/opentelemetry-proto/blob/v1.10.0/opentelemetry/proto/logs/v1/logs.proto
"""

import logging
from collections.abc import Sequence
from struct import Struct
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord

from telemetry.encoding.common import any_value, attributes, nanoseconds, request
from telemetry.encoding.wire import BYTES, FIXED32, FIXED64, VARINT, count, field, known_text, tag, varint

_TIME = tag(1, FIXED64)
_SEVERITY_NUMBER = tag(2, VARINT)
_SEVERITY_TEXT = tag(3, BYTES)
_BODY = tag(5, BYTES)
_ATTRIBUTE = tag(6, BYTES)
_DROPPED_ATTRIBUTES = tag(7, VARINT)
_FLAGS = tag(8, FIXED32)
_TRACE_ID = tag(9, BYTES) + varint(16)
_SPAN_ID = tag(10, BYTES) + varint(8)
_OBSERVED_TIME = tag(11, FIXED64)
_EVENT_NAME = tag(12, BYTES)

_fixed32 = Struct("<I").pack

_logger = logging.getLogger(__name__)


def encode_logs(records: Sequence[ReadableLogRecord]) -> bytes:
    """Return the export request with `records`."""
    return request(records, _record)


def _record(readable: ReadableLogRecord) -> bytes:
    record = readable.log_record
    parts = [
        _TIME,
        nanoseconds(record.timestamp),
        _OBSERVED_TIME,
        nanoseconds(record.observed_timestamp),
        known_text(_SEVERITY_TEXT, record.severity_text),
        field(_BODY, _body(record.body)),
        attributes(_ATTRIBUTE, record.attributes),
        count(_DROPPED_ATTRIBUTES, readable.dropped_attributes),
    ]
    if record.severity_number:
        parts.append(count(_SEVERITY_NUMBER, record.severity_number.value))
    if record.trace_flags:
        parts += _FLAGS, _fixed32(record.trace_flags)
    if record.trace_id:
        parts += _TRACE_ID, record.trace_id.to_bytes(16)
    if record.span_id:
        parts += _SPAN_ID, record.span_id.to_bytes(8)
    if record.event_name:
        parts.append(known_text(_EVENT_NAME, record.event_name))
    return b"".join(parts)


def _body(body: Any) -> bytes:
    try:
        return any_value(body)
    except Exception as error:  # noqa: BLE001  (the record has more to tell)
        _logger.warning("the body of a log record cannot be encoded: %s", error)
        return b""
