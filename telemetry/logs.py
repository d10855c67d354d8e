"""Log records: to standard output as JSON or readable text, and to OpenTelemetry, with the same fields.

The field names are those of the OpenTelemetry log data model
(https://opentelemetry.io/docs/specs/otel/logs/data-model/).
"""

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple, Protocol

from opentelemetry import trace

from telemetry.privacy import redactor

_TRANSLATION = "_telemetry_translation"
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SEVERITY = {"WARNING": "WARN", "CRITICAL": "FATAL"}

# What they say of an export must not feed the next one.
_EXPORTERS = ("opentelemetry.", "telemetry.delivery", "telemetry.encoding")
_PLAIN = (str, bool, int, float)
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


class Translation(NamedTuple):
    """What of a record leaves the process, the same on standard output and in OTLP: without secrets, and bounded."""

    body: str
    attributes: dict[str, Any]


def translation_of(record: logging.LogRecord) -> Translation:
    """Return the redacted body and attributes of `record`. Made once, for all handlers; never raises."""
    known = record.__dict__.get(_TRANSLATION)
    if isinstance(known, Translation):
        return known
    translation = Translation(redactor().body(_message(record)), redactor().attributes(_attributes(record)))
    record.__dict__[_TRANSLATION] = translation
    return translation


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  (logging would print the arguments as they are, on standard error)
        return f"{record.msg if isinstance(record.msg, str) else type(record.msg)} (its arguments do not fit)"


def _attributes(record: logging.LogRecord) -> dict[str, Any]:
    """Return what `extra=` and `exc_info=` added, as OpenTelemetry attributes.

    Only plain values pass: Django logs `extra={"request": request}`, and a WSGIRequest's text has the query
    string in it (https://github.com/open-telemetry/opentelemetry-python-contrib/issues/2808).
    """
    attributes = {key: value for key, value in vars(record).items() if key not in _OWN and isinstance(value, _PLAIN)}
    if record.exc_info and record.exc_info[0] is not None:
        kind, error, _ = record.exc_info
        attributes["exception.type"] = kind.__qualname__
        try:
            attributes["exception.message"] = str(error)
        except Exception:  # noqa: BLE001  (whatever an exception's own text does)
            attributes["exception.message"] = "(no text)"
        attributes["exception.stacktrace"] = "".join(traceback.format_exception(*record.exc_info))
    return attributes


def severity_of(record: logging.LogRecord) -> str:
    """Return OpenTelemetry's name of the record's level: WARN for WARNING, FATAL for CRITICAL."""
    return _SEVERITY.get(record.levelname, record.levelname)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: timestamp, severity, logger, body, trace_id, span_id and the attributes."""

    def format(self, record: logging.LogRecord) -> str:
        body, attributes = translation_of(record)
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "severity": severity_of(record),
            "logger": record.name,
            "body": body,
        }
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["trace_id"] = trace.format_trace_id(context.trace_id)
            line["span_id"] = trace.format_span_id(context.span_id)
        line["attributes"] = attributes
        return _encode(line)


class ReadableFormatter(logging.Formatter):
    """The same for human eyes: time, severity, logger, body, attributes, the trace id at the end of the line."""

    def format(self, record: logging.LogRecord) -> str:
        body, attributes = translation_of(record)
        stack = attributes.get("exception.stacktrace", "")
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        parts = [time, f"{severity_of(record):5}", record.name, body]
        parts += [f"{key}={value}" for key, value in attributes.items() if key != "exception.stacktrace"]
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            parts.append(f"trace_id={trace.format_trace_id(context.trace_id)}")
        return " ".join(parts) + (f"\n{stack}" if stack else "")


class RedactingFormatter(logging.Formatter):
    """`formatter`'s text without secrets: for the handlers that are not Django's, such as gunicorn's own.

    gunicorn names the address of a request that it could not handle, query string included.
    """

    def __init__(self, formatter: logging.Formatter | None) -> None:
        super().__init__()
        self._formatter = formatter or logging.Formatter()

    @classmethod
    def install(cls, logger: logging.Logger) -> None:
        """Put it before the formatter of each of the logger's own handlers, once."""
        for handler in logger.handlers:
            if not isinstance(handler.formatter, cls):
                handler.setFormatter(cls(handler.formatter))

    def format(self, record: logging.LogRecord) -> str:
        return redactor().stack(self._formatter.format(record))


class Receiver(Protocol):
    """Where records go."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""


class OTLPHandler(logging.Handler):
    """Hands records to what `connect` gave, and to nobody before.

    Listed in `settings.LOGGING`, because a handler added by code is lost when Django calls `dictConfig`.
    Records of the exporters themselves stay out.
    """

    _receiver: ClassVar[Receiver | None] = None

    @classmethod
    def connect(cls, receiver: Receiver | None) -> None:
        """Send the records of every handler of this class to `receiver` from now on (None: to nobody)."""
        cls._receiver = receiver

    def emit(self, record: logging.LogRecord) -> None:
        receiver = self._receiver
        if receiver is None or record.name.startswith(_EXPORTERS):
            return
        try:
            receiver.emit(record)
        except Exception:  # noqa: BLE001  (logging's own contract: a handler never raises)
            self.handleError(record)
