"""Records of the logging module: a part of their request's record below WARNING, one of their own from there on."""

import logging
from typing import Any, cast

from opentelemetry import trace
from opentelemetry.context import get_current

from telemetry.journal.records import LOG
from telemetry.logs import content_of, translation_of
from telemetry.privacy import redactor
from telemetry.recording.journal import journal
from telemetry.recording.spans import REQUEST_KEY, RecordedSpan, RequestSpan

# The last words before a crash are the precious ones: they do not wait for the end of their request.
_AT_ONCE = logging.WARNING


class LogRecorder:
    """What `telemetry.logs.OTLPHandler` hands its records to."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; never raises."""
        if journal.ring is None:
            return
        try:
            current = get_current()
            request = cast("RequestSpan | None", current.get(REQUEST_KEY))
            if request is None or request.over or record.levelno >= _AT_ONCE:
                journal.write((LOG, *_content(record), _trace_of(trace.get_current_span())))
                return
            trace_of_log = None if current is request.context else _trace_of(trace.get_current_span())
            request.add_log((*_content(record), trace_of_log))
        except Exception as error:  # noqa: BLE001  (whoever logs goes on as if telemetry were off)
            journal.failed("log record", error)


def _trace_of(span: trace.Span) -> tuple[Any, ...]:
    """Return the context of a log record that is not simply a part of its request."""
    if isinstance(span, RecordedSpan):
        return span.trace_id, span.span_id, span.flags
    around = span.get_span_context()
    ids = around.trace_id.to_bytes(16), around.span_id.to_bytes(8)
    return (*ids, int(around.trace_flags)) if around.is_valid else ()


def _content(record: logging.LogRecord) -> tuple[Any, ...]:
    """Return what a record says, as records have it; with TELEMETRY_PRIVACY=strict what is safe of it."""
    described = int(record.created * 1e9), record.levelno, record.levelname
    if redactor().strict:  # what is a constant of the code is known here only
        body, attributes, name, template = translation_of(record)
        return name, *described, body, template, attributes
    template = record.msg if record.args and isinstance(record.msg, str) else None
    message, attributes = content_of(record)
    return record.name, *described, message, template, attributes or None
