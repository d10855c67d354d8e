"""Log records: below WARNING a part of their request's record, from WARNING on separate records."""

import logging
from typing import Any

from opentelemetry import trace
from opentelemetry.context import get_current

from telemetry.journal.records import LOG
from telemetry.logs import content_of, level_of, translation_of
from telemetry.privacy import redactor
from telemetry.privacy.strict import STACKS
from telemetry.recording.journal import journal
from telemetry.recording.spans import MOST_WITHIN, REQUEST_KEY, RecordedSpan, RequestSpan

# Log records just before a crash matter most, so these do not wait for the end of their request.
_AT_ONCE = logging.WARNING


class LogRecorder:
    """Writes the records of `telemetry.logs.OTLPHandler`."""

    def __init__(self) -> None:
        self._strict = redactor().strict

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; never raises."""
        if journal.ring is None and not journal.records():
            return
        try:
            current = get_current()
            request: RequestSpan | None = current.get(REQUEST_KEY)  # type: ignore[assignment]
            if self._strict:  # constants of the code can be recognised only here
                body, attributes, name, template = translation_of(record)
                raw = content_of(record)[1]
                attributes = {**attributes, **{key: raw[key] for key in STACKS if key in attributes}}
            else:
                body, attributes = content_of(record)
                name, template = record.name, record.msg if record.args and isinstance(record.msg, str) else None
            time, level = int(record.created * 1e9), record.levelno
            log = name, time, level, level_of(record), body, template, attributes or None
            if level >= _AT_ONCE or request is None or request.over or len(request.logs) >= MOST_WITHIN:
                journal.write((LOG, *log, _trace_of(trace.get_current_span())))
            elif current is request.context:
                request.logs.append((*log, None))
            else:
                request.logs.append((*log, _trace_of(trace.get_current_span())))
        except Exception as error:  # noqa: BLE001  (the caller goes on as if telemetry were off)
            journal.failed("log record", error)


def _trace_of(span: trace.Span) -> tuple[Any, ...]:
    """Return the context of a log record that is not simply a part of its request."""
    if isinstance(span, RecordedSpan):
        return span.trace_id, span.span_id, span.flags
    around = span.get_span_context()
    ids = around.trace_id.to_bytes(16), around.span_id.to_bytes(8)
    return (*ids, int(around.trace_flags)) if around.is_valid else ()
