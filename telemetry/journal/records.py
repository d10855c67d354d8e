"""The forms of the records in a journal: plain tuples that `marshal` can write.

Each begins with its kind. Times are nanoseconds since 1970, durations nanoseconds, ids bytes. Appending a field to a
record needs a new `ring.FORMAT`.

A request: its trace, the request and its response, and the queries and log records within it
(REQUEST, context, start, duration, method, route, status, error, environ, touched, queries, logs)
  context   (trace id, span id, parent id or None, flags, parent is remote)
  environ   the server's data on the request, "" where unknown; None unless the span is sampled:
            (common, client's port, path), where common joins by SEPARATOR: host and port of an allowed Host header,
            method as received, client's name and address, user agent, server's port, protocol, scheme
  touched   changes to the span by user code, or None:
            (name, status, attributes, events, links, dropped)
  queries   query...; logs log...

A query: within a request, or on its own after (QUERY,)
(database, text, start, duration, rows, error, context, attributes)
  database  (system, namespace, host, port)
  rows      -1 if unknown
  error     (type, message, stack trace) or None
  context   None: a child of the request's span; else as above
  attributes  what user code added to its span, or None

A log record: within a request, or on its own after (LOG,)
(logger, time, level number, level name, body, template, attributes, context)
  template  the message without its arguments, None if it has none
  context   None: the request's span; else (trace id, span id, flags); () without a span

A span of user code or of another instrumentation
(SPAN, scope, context, name, kind, start, end, attributes, status, events, links, dropped)
  scope     (name, version, schema URL, attributes)
  status    (code, description) or None
  events    (time, name, attributes, dropped)...; links (trace id, span id, remote, attributes, dropped)...
  dropped   (attributes, events, links)

(MEASUREMENT, instrument, value, attributes, time, trace id or None, span id or None, sampled, process)
(OBSERVATIONS, time, ((instrument, ((value, attributes)...))...), process)
  process     its id: the ring's next writer may begin before all records of this one are read
  instrument  (kind, name, unit, description, scope name, scope version, schema URL, bucket boundaries or None)
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http import HTTPMethod
from numbers import Integral, Real
from typing import Any

REQUEST, QUERY, LOG, SPAN, MEASUREMENT, OBSERVATIONS = range(6)

Instrument = tuple[str, str, str, str, str, str, str, tuple[float, ...] | None]

SEPARATOR = "\0"
"""Joins the server's data on a request: one text is written and read faster than nine."""

OTHER_METHOD = "_OTHER"
"""OpenTelemetry's value for unknown HTTP methods, of which clients could invent any number."""
METHODS = {method: level for level, method in enumerate([*sorted({*map(str, HTTPMethod), "QUERY"}), OTHER_METHOD])}
"""By method, the index of its count of active requests in a ring's header."""

_PLAIN = frozenset({str, bytes, bool, int, float, type(None)})
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (bytes, bytes),
    (Integral, int),
    (Real, float),
)
_LAZY = ("django.utils.functional", "Promise")
_DEEPEST = 32


def items_of(record: tuple[Any, ...]) -> tuple[int, int, int]:
    """Return the numbers of spans, log records and measurements in a record."""
    kind = record[0]
    if kind == REQUEST:
        queries, logs = len(record[10]), len(record[11])
        return (1 + queries if record[1][3] & 1 else 0), logs, 1 + queries
    if kind == QUERY:
        return record[7][3] & 1, 0, 1
    if kind == LOG:
        return 0, 1, 0
    if kind == SPAN:
        return 1, 0, 0
    return 0, 0, len(record[2]) if kind == OBSERVATIONS else 1


def parts_of(record: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return a request with queries or log records as several records, one for each; none for any other record."""
    if record[0] != REQUEST or not (record[10] or record[11]):
        return []
    *request, queries, logs = record
    trace_id, span_id, _, flags, _ = record[1]
    inside, at = (trace_id, b"", span_id, flags, False), (trace_id, span_id, flags)
    return [
        (*request, (), ()),
        *[(QUERY, *query, inside if context is None else context, added) for *query, context, added in queries],
        *[(LOG, *log, at if context is None else context) for *log, context in logs],
    ]


def plain(value: Any) -> Any:
    """Return `value` as `marshal` can write it: subclasses as their base types, unknown objects as text; never raises.

    A container within itself, or too deep, is replaced by the name of its type.
    """
    # Not `value.__class__`, which Django's and wrapt's proxies take from the object that they stand for.
    return value if type(value) in _PLAIN else _plain(value, ())


def _plain(value: Any, around: tuple[int, ...]) -> Any:
    """Return the plain form of a value within the containers with the ids `around`."""
    if type(value) in _PLAIN:
        return value
    with suppress(Exception):  # an object of the project, whose methods may raise anything
        if not isinstance(value, str) and not _is_lazy(value):
            for base, as_plain in _BASES:
                if isinstance(value, base):
                    return as_plain(value)
            if isinstance(value, Iterable):
                return _plain_container(value, around)
    return text_of(value)


def _plain_container(value: Iterable[Any], around: tuple[int, ...]) -> Any:
    if id(value) in around or len(around) >= _DEEPEST:
        return f"<{type(value).__name__}>"
    inside = (*around, id(value))
    if isinstance(value, Mapping):
        return {_plain_key(key): _plain(inner, inside) for key, inner in value.items()}
    return tuple([_plain(inner, inside) for inner in value])


def _plain_key(key: Any) -> Any:
    key = plain(key)
    return key if type(key) in _PLAIN else str(key)


def _is_lazy(value: Any) -> bool:
    """Return whether `value` is one of Django's lazy texts, which are iterable; without importing Django."""
    return _LAZY in [(base.__module__, base.__name__) for base in type(value).__mro__]


def text_of(value: Any) -> str:
    """Return `value` as a plain text, or the name of its type if it has none; never raises."""
    try:
        # A text whose class has another `__str__`, as that of an enumeration, is the text that it contains.
        return str.__str__(value if issubclass(type(value), str) else str(value))
    except Exception:  # noqa: BLE001
        return f"<{type(value).__name__}>"


def plain_attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy with plain values: `marshal` would write NumPy's numbers and texts as bytes, without an error."""
    if not attributes:
        return {}
    return {
        key if type(key) is str else _plain_key(key): value if type(value) in _PLAIN else plain(value)
        for key, value in attributes.items()
    }
