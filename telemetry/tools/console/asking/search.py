"""The one filter of pages and API, and its searches: `http.route=/users/{id} status=error duration>200ms "some text"`.

A term is `NAME=VALUE` (also `!=`, and `>`, `>=`, `<`, `<=` for numbers) or a text. NAME is one of those below or an
attribute of the span or log record, of its events, or of its resource. A trace matches if each term matches one of its
spans (not necessarily the same one). Each term becomes one check; records are decoded only if their bytes can match.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain, filterfalse, islice
from operator import attrgetter
from typing import Any

from telemetry.tools.console.receiving.values import PlainValue, plain_value
from telemetry.tools.console.storage.records import (
    SEVERITIES,
    STATUS_ERROR,
    LogRecord,
    Origin,
    StoredLog,
    StoredSpan,
    hex_ids,
)
from telemetry.tools.console.storage.retention import affordable
from telemetry.tools.console.storage.store import Store
from telemetry.tools.console.storage.traces import SORTS, Trace, has_failed, root_of

#: The parameters that stand for terms, which forms have as fields: name and operator of each.
TRACE_FIELDS = {
    "mode": ("mode", "="), "service": ("service", "="), "route": ("http.route", "="), "status": ("status", "="),
    "min_ms": ("duration", ">="), "from": ("time", ">="), "to": ("time", "<="),
}  # fmt: skip
LOG_FIELDS = {
    "mode": ("mode", "="), "service": ("service", "="), "logger": ("logger", "="), "severity": ("severity", ">="),
    "from": ("time", ">="), "to": ("time", "<="),
}  # fmt: skip

#: Values of `status`: no error in any span, one in any, one in a request; the status of the answer.
STATUSES = ("ok", "error", "failed", "2xx", "3xx", "4xx", "5xx")

_MOST_TERMS = 20
_LONGEST_QUERY = 4000
_TERM = re.compile(
    r"""(?:(?P<name>[^\s"=<>!]+)(?P<operator>!=|>=|<=|=|>|<))?(?P<value>"(?:[^"\\]|\\.)*"(?=\s|$)|\S+)"""
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
#: How a value is compared with a term's; `!=` is applied as a negation after all values have been checked.
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "=": operator.eq, "!=": operator.eq,
}  # fmt: skip
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "": 10**6}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|)")
#: The name of a term that is a text.
TEXT = ""


class QueryError(ValueError):
    """A query that cannot be read; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; `name` is empty for a text. `number` is a numeric value (durations in nanoseconds)."""

    name: str
    operator: str
    value: str
    number: float | None = None


def parse(text: str, make: Callable[[str, str, str], Term] | None = None) -> tuple[Term, ...]:
    """Parse the terms of a query, each made by `term` or `make`; raises QueryError."""
    if len(text) > _LONGEST_QUERY:
        raise QueryError(f"at most {_LONGEST_QUERY} characters")
    terms = []
    for found in _TERM.finditer(text):
        value = found["value"]
        if _QUOTED.fullmatch(value):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        terms.append((make or term)(found["name"] or TEXT, found["operator"] or "=", value))
    if len(terms) > _MOST_TERMS:
        raise QueryError(f"at most {_MOST_TERMS} terms")
    return tuple(terms)


def term(name: str, sign: str, value: str) -> Term:
    """Return a condition; raises QueryError if the value does not suit the operator."""
    number = None
    if name == "duration":
        found = _DURATION.fullmatch(value)
        if found is None:
            raise QueryError("a duration such as 200ms, 1.5s, 300us or 2m")
        number = int(Decimal(found[1]) * _UNITS[found[2]])
    elif name == "severity":
        if value.lower() not in SEVERITIES:
            raise QueryError(", ".join(SEVERITIES))
        number = SEVERITIES[value.lower()]
    elif name == "time":
        try:
            time = datetime.fromisoformat(value)
            microseconds = int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1e6)
        except (ValueError, OverflowError):
            raise QueryError("a time such as 2026-11-28T09:30:00, in UTC") from None
        # A time has at most microsecond precision, and includes everything in its last microsecond.
        number = microseconds * 1000 + (999 if sign in {"<=", ">"} else 0)
    elif name == "status" and (sign not in {"=", "!="} or value not in STATUSES):
        raise QueryError(", ".join(STATUSES))
    return label_term(name, sign, value) if number is None else Term(name, sign, value, number)


def label_term(name: str, sign: str, value: str) -> Term:
    """Return a condition on an attribute of any name; raises QueryError if the value does not suit the operator."""
    number = number_of(value)
    if sign not in {"=", "!="} and number is None:
        raise QueryError(f"a number after {name}{sign}")
    return Term(name, sign, value, number)


def number_of(value: str) -> float | None:
    """Return the number in a text, None if there is none; integers are exact, whatever their size."""
    with suppress(ValueError):
        return int(value)
    with suppress(ValueError):
        return float(value)
    return None


#: Only searches with at most this many results are remembered.
_MOST_SEARCHES, _MOST_MATCHED = 16, 1000
Check = Callable[[Any], bool]
Spans = list[StoredSpan]
Value = Callable[[Any], Any]


class Query:
    """All terms, each of which must match: the cheapest first; negated ones exclude few, so they come last."""

    def __init__(self, terms: Iterable[Term] = ()) -> None:
        self.terms = tuple(sorted(terms, key=lambda term: (_COSTS.get(term.name, 2), term.operator == "!=")))

    def find_traces(self, traces: Iterable[Trace], limit: int, skip: int = 0, sort: str = "start") -> list[Spans]:
        """The spans of the `limit` traces that match after the first `skip`, the latest or the longest first."""
        return [spans for _, spans in islice(self._traces(traces, sort), skip, skip + limit)]

    def _traces(self, traces: Iterable[Trace], sort: str) -> Iterator[tuple[Trace, Spans]]:
        # Sorted before the costly filtering, so that no more are examined than requested.
        for trace in self._matching(_check_of_trace, sorted(traces, key=SORTS[sort], reverse=True)):
            if spans := trace.spans():
                yield trace, spans

    def find_traces_of(self, store: Store, limit: int, skip: int = 0, sort: str = "start") -> list[Spans]:
        """The same for all stored traces; one that did not match is examined again only if it has changed."""
        if not self.terms:
            return self.find_traces(store.stored_traces(), limit, skip=skip, sort=sort)
        # Read before the traces: a trace that changes meanwhile must be examined again.
        changes = store.span_changes
        since, matched = store.unmatched.get(self.terms, (0, ()))
        unknown = (trace for trace in store.stored_traces() if trace.changed > since or trace.changed in matched)
        found = list(islice(self._traces(unknown, sort), skip + limit))
        if len(found) < min(skip + limit, _MOST_MATCHED):
            if len(store.unmatched) >= _MOST_SEARCHES:
                store.unmatched.clear()
            store.unmatched[self.terms] = changes, {trace.changed for trace, _ in found}
        return [spans for _, spans in found[skip:]]

    def find_logs(self, records: Iterable[StoredLog], limit: int, *, skip: int = 0) -> tuple[list[StoredLog], bool]:
        """The `limit` log records that match after the first `skip`, fewer if they are large, and whether more do."""
        matching = list(islice(self.matching_logs(records), skip, skip + limit + 1))
        found = list(affordable(matching, limit))
        return found, len(found) < len(matching)

    def matching_logs(self, records: Iterable[StoredLog]) -> Iterator[StoredLog]:
        """The log records that each term matches."""
        return self._matching(_check_of_log, records)

    def matches_labels(self, labels: Mapping[str, str]) -> bool:
        """Whether each term matches a label of a metric's series."""
        return bool(list(self._matching(_check_of_labels, [labels])))

    def _matching(self, check_of: Callable[[Term], Check], items: Iterable[Any]) -> Iterator[Any]:
        for term in self.terms:
            items = (filterfalse if term.operator == "!=" else filter)(check_of(term), items)
        return iter(items)


def _is(term: Term, value: PlainValue) -> bool:
    """Return whether `value` satisfies the term's operator and value, ignoring the negation of `!=`; None does not."""
    if value is None:
        return False
    if term.number is not None and isinstance(value, int | float) and not isinstance(value, bool):
        return OPERATORS[term.operator](value, term.number)
    if isinstance(value, list):
        return any(_is(term, item) for item in value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return term.operator in {"=", "!="} and text == term.value


def _check_of_trace(term: Term) -> Check:
    """Return the check of a trace: whether it, or one of its spans, matches the term."""
    if term.name == "status":
        return lambda trace: _has_status(trace.spans(), term.value)
    if term.name in _NUMBERS_OF_TRACE:
        return _check_of_record(term, _NUMBERS_OF_TRACE, {})
    check = _check_of_record(term, {}, _TEXTS_OF_SPAN)
    return lambda trace: any(map(check, trace.spans()))


def _check_of_log(term: Term) -> Check:
    return _check_of_record(term, _NUMBERS_OF_LOG, _TEXTS_OF_ORIGIN)


def _check_of_record(term: Term, numbers: Mapping[str, Value], texts: Mapping[str, Value]) -> Check:
    """Return the check of a span or log record for one of these numbers or texts, any text, or an attribute."""
    if measured := numbers.get(term.name):
        compare, limit = OPERATORS[term.operator], term.number or 0
        return lambda record: compare(measured(record), limit)
    if text_of := texts.get(term.name):
        return lambda record: text_of(record) == term.value
    return _holds_text(term.value) if term.name == TEXT else _has_attribute(term)


def _check_of_labels(term: Term) -> Check:
    if term.name == TEXT:
        return lambda labels: any(term.value.lower() in text.lower() for text in labels.values())
    return lambda labels: any(_is(term, read(labels.get(term.name, ""))) for read in (str, number_of))


def _has_status(spans: list[StoredSpan], status: str) -> bool:
    if status in {"ok", "error", "failed"}:
        errors = [span for span in spans if span.status == STATUS_ERROR]
        if status == "failed":
            return bool(errors) and has_failed(root_of(spans), errors)
        return bool(errors) == (status == "error")
    return bool(spans) and f"{root_of(spans).status_code // 100}xx" == status


def _has_attribute(term: Term) -> Check:
    """Return the check whether an attribute of the resource, of the record or of one of its events has the value."""
    name, may_match = term.name, _may_match(term)
    of_origins: dict[Origin, bool] = {}

    def check(record: StoredSpan | StoredLog) -> bool:
        of_origin = of_origins.get(record.origin)
        if of_origin is None:
            attributes = record.resource.attributes
            of_origin = of_origins[record.origin] = name in attributes and _is(term, attributes[name])
        if of_origin or not may_match(record.raw):
            return of_origin
        message = record.message()
        kept = message.attributes, *(event.attributes for event in getattr(message, "events", ()))
        return any(_is(term, plain_value(each.value)) for each in chain.from_iterable(kept) if each.key == name)

    return check


def _may_match(term: Term) -> Callable[[bytes], bool]:
    """Return the check whether an attribute in a record's bytes can have the value; only then is the record decoded."""
    name, value = term.name.encode(), term.value.encode()
    if term.number is None and term.value not in {"true", "false"}:
        return lambda raw: value in raw and name in raw
    if term.operator not in {"=", "!="}:
        return lambda raw: _has_no_text(raw, name)
    return lambda raw: (value in raw and name in raw) or _has_no_text(raw, name)


#: The bytes after the name of an attribute whose value is a boolean, a number or a list.
_NO_TEXT = re.compile(rb"\x12..?[\x10\x18\x21\x2a]", re.DOTALL)


def _has_no_text(raw: bytes, name: bytes) -> bool:
    # Not one pattern with the name, which `re` would cache, whatever its length, after the search.
    end, length = raw.find(name), len(name)
    while end >= 0:
        if _NO_TEXT.match(raw, end + length):
            return True
        end = raw.find(name, end + 1)
    return False


#: Texts that may be part of a number, and the other values that are no texts in a record's bytes.
_OF_NUMBER, _OTHER_VALUES = re.compile(r"[-+.\de]+"), ("true", "false", "inf", "nan")


def _holds_text(text: str) -> Check:
    """Return the check whether a name, message or attribute of a record contains the text, ignoring case."""
    wanted, may_hold = text.casefold(), _may_hold(text)
    # The bytes include lengths and ids, in which the text may occur by chance.
    return lambda record: may_hold(record.raw) and any(wanted in words.casefold() for words in _words(record.decode()))


def _may_hold(text: str) -> Callable[[bytes], bool]:
    """Return the check whether a record's bytes can contain the text, ignoring case; only then is it decoded."""
    wanted = text.casefold()
    if _OF_NUMBER.fullmatch(wanted) or any(wanted in value for value in _OTHER_VALUES):
        return lambda _: True
    if text.isascii():
        in_bytes = wanted.encode()
        return lambda raw: in_bytes in raw.lower()
    return lambda raw: wanted in raw.decode(errors="ignore").casefold()


_TEXTS_OF_ORIGIN: dict[str, Value] = {
    "mode": attrgetter("origin.resource.mode"),
    "service": attrgetter("origin.resource.service"),
    "logger": attrgetter("origin.scope.name"),
}
_TEXTS_OF_SPAN = _TEXTS_OF_ORIGIN | {"name": attrgetter("name"), "kind": attrgetter("kind_name")}
_NUMBERS_OF_LOG = {"severity": attrgetter("severity_number"), "time": attrgetter("time_ns")}
_NUMBERS_OF_TRACE = {"duration": attrgetter("duration_ns"), "time": attrgetter("start_ns")}
_COSTS = dict.fromkeys(("status", *_NUMBERS_OF_TRACE, *_NUMBERS_OF_LOG), 0) | dict.fromkeys(_TEXTS_OF_SPAN, 1)


def linking_to(trace_id: str, linking: Iterable[StoredSpan], limit: int) -> list[StoredSpan]:
    """Return those of the given spans with links that belong to other traces and link to this one."""
    needle = bytes.fromhex(trace_id)
    spans = (span for span in linking if needle in span.raw and span.trace_id != needle)
    linked = (
        span for span in spans if any(link.trace_id == needle and hex_ids(link)[0] for link in span.message().links)
    )
    return list(islice(linked, limit))


def _words(record: Any) -> Iterator[str]:
    if isinstance(record, LogRecord):
        return _texts([record.attributes, record.event_name, record.body])
    names = [record.name, record.status_message, *(event.name for event in record.events)]
    attributes = [event.attributes for event in record.events] + [link.attributes for link in record.links]
    return _texts([*names, record.attributes, *attributes])


def _texts(value: PlainValue) -> Iterator[str]:
    """Yield the value, or everything in a list or dictionary, as texts."""
    items = [*value, *value.values()] if isinstance(value, dict) else value
    if not isinstance(items, list):
        yield str(items)
        return
    for item in items:
        yield from _texts(item)
