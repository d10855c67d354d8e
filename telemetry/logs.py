"""Log records: to standard output as JSON or readable text, and to OpenTelemetry, with the same fields.

The field names are those of the OpenTelemetry log data model
(https://opentelemetry.io/docs/specs/otel/logs/data-model/).
"""

import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from datetime import UTC, datetime
from inspect import currentframe
from numbers import Number
from threading import local
from typing import Any, ClassVar, NamedTuple, Protocol
from weakref import ref

from opentelemetry import trace

from telemetry.journal.records import plain, text_of
from telemetry.log_failures import report
from telemetry.privacy import MASK, Constants, redactor
from telemetry.privacy.constants import is_module
from telemetry.privacy.keys import Policy, policy_of
from telemetry.privacy.strict import STACKS, stack_at

# Not of `makeLogRecord`, which calls a factory of the project.
_OWN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}
_NUMBERS = ("levelno", "lineno", "created", "msecs", "relativeCreated", "process", "thread")
_SEVERITY = {"WARNING": "WARN", "CRITICAL": "FATAL"}

# Logging an export must not cause the next one.
_EXPORTERS = ("opentelemetry.",)
senders: set[int | None] = set()
"""The ids of this process's threads that send telemetry. Libraries log each request there."""
if hasattr(os, "register_at_fork"):  # not on Windows, where this module is imported, too
    os.register_at_fork(after_in_child=senders.clear)
_PLAIN = (str, bool, int, float)
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
# A named argument with its format (https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting).
_NAMED = re.compile(r"%(?:%|\((?P<name>[^()]*)\)[^%a-zA-Z]*[hlL]?[a-zA-Z])")
_constants = Constants()
configured_loggers: set[str] = set()
"""Logger names from the project's settings: with TELEMETRY_PRIVACY=strict, they are shown like those in the code."""


class Translation(NamedTuple):
    """The exported form of a record, the same on standard output and in OTLP: redacted, and limited in size."""

    body: str
    attributes: dict[str, Any]
    logger: str
    template: str | None
    """The message without its arguments if it is a constant of the code, at the strict level; None otherwise."""


class _Latest(local):
    """The translation of a thread's current record, cached for its other handlers.

    Not an attribute of the record, which other formatters would show as one of `extra=`.
    """

    record: Callable[[], logging.LogRecord | None] = staticmethod(lambda: None)
    content: tuple[str, dict[str, Any]] | None = None
    translation: Translation | None = None

    def become(self, record: logging.LogRecord) -> None:
        """Drop the cached translation of any other record."""
        if self.record() is not record:
            self.record, self.content, self.translation = ref(record), None, None


_latest = _Latest()


def translation_of(record: logging.LogRecord) -> Translation:
    """Return the exported form of `record`, created once for all handlers, within the log call; never raises."""
    _latest.become(record)
    if _latest.translation is None:
        try:
            _latest.translation = _translated(record)
        except Exception as error:  # noqa: BLE001  (nothing that could not be redacted may be exported)
            _latest.translation = Translation(MASK, {"error.type": type(error).__qualname__}, MASK, None)
    return _latest.translation


def content_of(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """Return message and attributes of `record` unredacted, created once for all handlers."""
    _latest.become(record)
    if _latest.content is None:
        _latest.content = message_of(record), attributes_of(record)
    return _latest.content


def _translated(record: logging.LogRecord) -> Translation:
    using = redactor()
    message, raw = content_of(record)
    attributes = using.attributes(raw)
    if using.strict:
        template = template_of(record)
        return Translation(using.body("", template), attributes, _code_name(str(record.name)), template)
    return Translation(using.body(message), attributes, using.name(str(record.name)), None)


def template_of(record: logging.LogRecord) -> str | None:
    """Return the message without its arguments; None unless it is a constant in a module on the call stack."""
    template = record.msg
    return template if isinstance(template, str) and _constants.on_the_stack(template, currentframe()) else None


def _code_name(name: str) -> str:
    """Return a logger's name, masked except for a part that is a module or a constant of the code or the settings."""
    if name in configured_loggers or is_module(name) or _constants.on_the_stack(name, currentframe()):
        return name
    parent = name
    while "." in parent:
        parent = parent.rpartition(".")[0]
        if is_module(parent):
            return f"{parent}.{MASK}"
    return MASK


def message_of(record: logging.LogRecord) -> str:
    """Return the message with its arguments; never raises."""
    try:
        return _with_named(record, record.args) if isinstance(record.args, Mapping) else record.getMessage()
    except Exception:  # noqa: BLE001  (logging would print the raw arguments on standard error)
        return f"{record.msg if isinstance(record.msg, str) else type(record.msg)} (its arguments do not fit)"


def _with_named(record: logging.LogRecord, arguments: Mapping[str, object]) -> str:
    """Return the message with its named arguments, those of secrets masked."""
    record = copy(record)
    record.args = _WithoutSecrets(arguments)
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # a number's format, such as `%(pin)d`, does not fit the mask
        record.msg = _NAMED.sub(_as_text_if_secret, str(record.msg))
        return record.getMessage()


def _as_text_if_secret(conversion: re.Match[str]) -> str:
    name = conversion["name"]
    return f"%({name})s" if name is not None and policy_of(name) is Policy.HIDE else conversion[0]


class _WithoutSecrets(Mapping[str, object]):
    """The named arguments of a message (`%(password)s`), masked if their names are those of secrets."""

    def __init__(self, arguments: Mapping[str, object]) -> None:
        self._arguments = arguments

    def __getitem__(self, key: str) -> object:
        value = self._arguments[key]
        if policy_of(key) is not Policy.HIDE:
            return value
        return MASK if value is None else redactor().value(key, value, {})

    def __iter__(self) -> Iterator[str]:
        return iter(self._arguments)

    def __len__(self) -> int:
        return len(self._arguments)


def attributes_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the values of `extra=`, `exc_info=` and `stack_info=` as OpenTelemetry attributes.

    Only plain values pass: Django logs `extra={"request": request}`, and a WSGIRequest's text contains the query
    string (https://github.com/open-telemetry/opentelemetry-python-contrib/issues/2808).
    """
    attributes: dict[str, Any] = {
        key: value if type(value) in _PLAIN else plain(value)
        for key, value in vars(record).items()
        if key not in _OWN and isinstance(value, _PLAIN)
    }
    if record.exc_info and record.exc_info[0] is not None:
        kind, error, _ = record.exc_info
        attributes["exception.type"] = kind.__qualname__
        attributes["exception.message"] = text_of(error)
        if error is not None:
            attributes["exception.stacktrace"] = redactor().stack_of(error)
        if code := _database_code(error):
            attributes["db.response.status_code"] = code
    if record.stack_info:
        strict = redactor().strict
        attributes["code.stacktrace"] = (
            stack_at(currentframe(), record.pathname, record.lineno) if strict else record.stack_info
        )
    return attributes


def _database_code(error: BaseException | None) -> str | None:
    """Return PostgreSQL's SQLSTATE or SQLite's error name of the error that caused Django's."""
    for cause in (error, getattr(error, "__cause__", None)):
        code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
        if isinstance(code, str):
            return code
    return None


def level_of(record: logging.LogRecord) -> str:
    """Return the name of the record's level; at the strict level, only one that is registered."""
    if redactor().strict and record.levelname not in logging.getLevelNamesMapping():
        return str(logging.getLevelName(int(record.levelno)))
    return record.levelname


def severity_of(record: logging.LogRecord) -> str:
    """Return OpenTelemetry's name of the record's level: WARN for WARNING, FATAL for CRITICAL."""
    name = level_of(record)
    return _SEVERITY.get(name, name)


def _ids_of(span: trace.Span) -> tuple[str, str] | None:
    """Return trace id and span id in hexadecimal, None without a span. Our own spans provide them directly."""
    known: tuple[str, str] | None = getattr(span, "hex_ids", None)
    if known is not None:
        return known
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: timestamp, severity, logger, body, trace_id, span_id and the attributes."""

    def format(self, record: logging.LogRecord) -> str:
        body, attributes, name, _ = translation_of(record)
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "severity": severity_of(record),
            "logger": name,
            "body": body,
        }
        if ids := _ids_of(trace.get_current_span()):
            line["trace_id"], line["span_id"] = ids
        line["attributes"] = attributes
        return _encode(line)


class ReadableFormatter(logging.Formatter):
    """The same for people: time, severity, logger, body, attributes, and the trace id at the end of the line."""

    def format(self, record: logging.LogRecord) -> str:
        body, attributes, name, _ = translation_of(record)
        stack = "\n".join([str(attributes[key]) for key in STACKS if key in attributes])
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        parts = [time, f"{severity_of(record):5}", name, body]
        parts += [f"{key}={value}" for key, value in attributes.items() if key not in STACKS]
        if ids := _ids_of(trace.get_current_span()):
            parts.append(f"trace_id={ids[0]}")
        return " ".join(parts) + (f"\n{stack}" if stack else "")


class RedactingFormatter(logging.Formatter):
    """Redacts the text of `formatter`: for handlers other than Django's, such as gunicorn's own.

    gunicorn logs the URL of a request that it could not handle, including its query string.
    """

    def __init__(self, formatter: logging.Formatter | None) -> None:
        super().__init__()
        self._formatter = formatter or logging.Formatter()

    @classmethod
    def install(cls, logger: logging.Logger) -> None:
        """Wrap the formatter of each of the logger's own handlers, once."""
        for handler in logger.handlers:
            if not isinstance(handler.formatter, cls):
                handler.setFormatter(cls(handler.formatter))

    def format(self, record: logging.LogRecord) -> str:
        if not redactor().strict:
            return redactor().stack(self._formatter.format(record))
        return self._formatter.format(_strict_copy(record))


def _strict_copy(record: logging.LogRecord) -> logging.LogRecord:
    """Return a copy of `record` with nothing but what may leave at the strict level; of the rest, a number is 0."""
    body, attributes, name, _ = translation_of(record)
    copy = logging.LogRecord(name, 0, "", 0, body, None, None)
    stack = attributes.get("exception.stacktrace") or attributes.get("exception.type")
    known: dict[str, Any] = {"name": name, "msg": body, "args": None, "levelname": level_of(record)}
    known |= {"exc_info": None, "exc_text": stack, "stack_info": None}
    known |= {key: value for key in _NUMBERS if isinstance(value := getattr(record, key, None), int | float)}
    masked = {key: 0 if isinstance(value, Number) else MASK for key, value in (vars(copy) | vars(record)).items()}
    vars(copy).update(masked | known)
    return copy


class Receiver(Protocol):
    """The destination of records."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""


class OTLPHandler(logging.Handler):
    """Passes records to the receiver set by `connect`; before that, drops them.

    Listed in `settings.LOGGING`, because a handler added by code is lost when Django calls `dictConfig`.
    Records of the exporters themselves are ignored.
    """

    _receiver: ClassVar[Receiver | None] = None

    @classmethod
    def connect(cls, receiver: Receiver | None) -> None:
        """Send the records of all handlers of this class to `receiver` from now on (None: drop them)."""
        cls._receiver = receiver

    def createLock(self) -> None:  # noqa: N802  (logging's interface)
        """Use no lock: a receiver takes records from several threads at once."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit a record that the filters let pass, without a lock: from Python 3.13 on, logging requires one here."""
        passed: bool | logging.LogRecord = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        receiver = self._receiver
        if receiver is None or record.name.startswith(_EXPORTERS):
            return
        if record.thread in senders and not (record.name.startswith("telemetry.") and record.levelno >= logging.INFO):
            return
        try:
            receiver.emit(record)
        except Exception:  # noqa: BLE001  (logging's own contract: a handler never raises)
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  (logging's interface)
        report()


class ConsoleHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to a stream, and prints nothing of a record that it cannot write, as with a full disk or a closed pipe."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  (logging's interface)
        report()


def guard_failures() -> None:
    """Keep raw records off standard error, both when a handler fails and when a logger has no handler."""
    logging.raiseExceptions = False
    if logging.lastResort is not None and not isinstance(logging.lastResort.formatter, RedactingFormatter):
        logging.lastResort.setFormatter(RedactingFormatter(logging.lastResort.formatter))
