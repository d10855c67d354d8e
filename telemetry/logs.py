"""Log records: to standard output as JSON or readable text, and to OpenTelemetry, with the same fields.

The field names are those of the OpenTelemetry log data model
(https://opentelemetry.io/docs/specs/otel/logs/data-model/).
"""

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any, ClassVar

from opentelemetry import trace
from opentelemetry._logs import Logger, LoggerProvider, LogRecord
from opentelemetry.context import get_current
from opentelemetry.instrumentation.log_utils import std_to_otel

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SEVERITY = {"WARNING": "WARN", "CRITICAL": "FATAL"}

_PLAIN = (str, bool, int, float)


def attributes_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what `extra=` and `exc_info=` added, as OpenTelemetry attributes.

    Only plain values pass: Django logs `extra={"request": request}`, and a WSGIRequest's text has the query
    string in it (https://github.com/open-telemetry/opentelemetry-python-contrib/issues/2808).
    """
    attributes = {key: value for key, value in vars(record).items() if key not in _OWN and isinstance(value, _PLAIN)}
    if record.exc_info and record.exc_info[0] is not None:
        kind, error, _ = record.exc_info
        attributes["exception.type"] = kind.__qualname__
        attributes["exception.message"] = str(error)
        attributes["exception.stacktrace"] = "".join(traceback.format_exception(*record.exc_info))
    return attributes


def severity_of(record: logging.LogRecord) -> str:
    """Return OpenTelemetry's name of the record's level: WARN for WARNING, FATAL for CRITICAL."""
    return _SEVERITY.get(record.levelname, record.levelname)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: timestamp, severity, logger, body, trace_id, span_id and the attributes."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "severity": severity_of(record),
            "logger": record.name,
            "body": record.getMessage(),
        }
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["trace_id"] = trace.format_trace_id(context.trace_id)
            line["span_id"] = trace.format_span_id(context.span_id)
        line["attributes"] = attributes_of(record)
        return json.dumps(line, ensure_ascii=False, default=str)


class ReadableFormatter(logging.Formatter):
    """The same for human eyes: time, severity, logger, body, attributes, the trace id at the end of the line."""

    def format(self, record: logging.LogRecord) -> str:
        attributes = attributes_of(record)
        stack = attributes.pop("exception.stacktrace", "")
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        parts = [time, f"{severity_of(record):5}", record.name, record.getMessage()]
        parts += [f"{key}={value}" for key, value in attributes.items()]
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            parts.append(f"trace_id={trace.format_trace_id(context.trace_id)}")
        return " ".join(parts) + (f"\n{stack}" if stack else "")


class OTLPHandler(logging.Handler):
    """Hands records to the OpenTelemetry logger provider that `connect` gave, and to nobody before.

    Listed in `settings.LOGGING`, because a handler added by code is lost when Django calls `dictConfig`.
    Records of the exporters themselves stay out: an export that fails must not feed the next one.
    """

    _provider: ClassVar[LoggerProvider | None] = None
    _loggers: ClassVar[dict[str, Logger]] = {}

    @classmethod
    def connect(cls, provider: LoggerProvider | None) -> None:
        """Send the records of every handler of this class to `provider` from now on (None: to nobody)."""
        cls._loggers = {}
        cls._provider = provider

    def emit(self, record: logging.LogRecord) -> None:
        if self._provider is None or record.name.startswith(("opentelemetry.", "telemetry.delivery")):
            return
        try:
            logger = self._loggers.get(record.name)
            if logger is None:
                logger = self._loggers[record.name] = self._provider.get_logger(record.name)
            logger.emit(
                LogRecord(
                    timestamp=int(record.created * 1e9),
                    context=get_current(),
                    severity_text=severity_of(record),
                    severity_number=std_to_otel(record.levelno),
                    body=record.getMessage(),
                    attributes=attributes_of(record),
                )
            )
        except Exception:  # noqa: BLE001  (logging's own contract: a handler never raises)
            self.handleError(record)
