"""The one filter of pages and API: terms such as `http.route=/users/{id} status=error duration>200ms "some text"`.

A term is `NAME=VALUE` (also `!=`, and `>`, `>=`, `<`, `<=` for numbers) or a text. NAME is one of those below or an
attribute of the span or log record, of its events, or of its resource. A trace matches if each term matches one of its
spans. Records are decoded only where their bytes can match.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice

from telemetry.tools.console.logs import SEVERITIES
from telemetry.tools.console.records import SPAN_KINDS, STATUS_ERROR, StoredLog, StoredSpan
from telemetry.tools.console.retention import affordable
from telemetry.tools.console.search import holds_text
from telemetry.tools.console.spans import has_failed, root_of
from telemetry.tools.console.values import PlainValue

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
_TERM = re.compile(
    r"""(?:(?P<name>[^\s"=<>!]+)(?P<operator>!=|>=|<=|=|>|<))?(?P<value>"(?:[^"\\]|\\.)*"(?=\s|$)|\S+)"""
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "": 10**6}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|)")
_TEXT = ""


class QueryError(ValueError):
    """A query that cannot be read; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; `name` is empty for a text. `number` is the value where it is one (durations in nanoseconds)."""

    name: str
    operator: str
    value: str
    number: float | None = None

    def may_match(self, raw: bytes) -> bool:
        """Whether an attribute in these bytes can have the value; the record is decoded only then."""
        if self.operator in {"=", "!="} and self.value.encode() in raw and self.name.encode() in raw:
            return True
        encoded = self.number is not None or self.value in {"true", "false"}
        return encoded and _not_text(self.name).search(raw) is not None


@lru_cache(maxsize=100)
def _not_text(name: str) -> re.Pattern[bytes]:
    """The bytes of an attribute whose value is a truth value, a number or a list."""
    return re.compile(re.escape(name.encode()) + rb"\x12..?[\x10\x18\x21\x2a]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Query:
    """All terms, each of which has to match."""

    terms: tuple[Term, ...] = ()

    def find_traces(
        self, traces: Iterable[list[StoredSpan]], limit: int, *, skip: int = 0, sort: str = "start"
    ) -> list[list[StoredSpan]]:
        """The `limit` traces that match after the first `skip`, the latest or the longest first."""
        # Sorted before they are filtered, which is what costs: no more are looked into than are asked for.
        ordered = sorted(traces, key=SORTS[sort], reverse=True)
        return list(islice(filter(self.matches_trace, ordered), skip, skip + limit))

    def find_logs(self, records: Iterable[StoredLog], limit: int, *, skip: int = 0) -> list[StoredLog]:
        """The `limit` log records that match after the first `skip`, or fewer if they are large."""
        return list(affordable(islice(filter(self.matches_log, records), skip, None), limit))

    def matches_trace(self, trace: list[StoredSpan]) -> bool:
        """Whether each term matches a span of the trace (not all of them the same one)."""
        return all(_matches_trace(term, trace) for term in self.terms)

    def matches_log(self, record: StoredLog) -> bool:
        """Whether each term matches the log record."""
        return all(_matches_log(term, record) for term in self.terms)

    def matches_labels(self, labels: Mapping[str, str]) -> bool:
        """Whether each term matches a label of a metric's series."""
        return all(_matches_labels(term, labels) for term in self.terms)


def parse(text: str, make: Callable[[str, str, str], Term] | None = None) -> tuple[Term, ...]:
    """Read the terms of a query, each made by `term` or `make`; raises QueryError."""
    terms = []
    for found in _TERM.finditer(text):
        value = found["value"]
        if _QUOTED.fullmatch(value):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        terms.append((make or term)(found["name"] or _TEXT, found["operator"] or "=", value))
    if len(terms) > _MOST_TERMS:
        raise QueryError(f"at most {_MOST_TERMS} terms")
    return tuple(terms)


def term(name: str, sign: str, value: str) -> Term:
    """A condition; raises QueryError if the value cannot be compared like that."""
    number = None
    if name == "duration":
        found = _DURATION.fullmatch(value)
        if found is None:
            raise QueryError("a duration such as 200ms, 1.5s, 300us or 2m")
        number = float(found[1]) * _UNITS[found[2]]
    elif name == "severity":
        if value.lower() not in SEVERITIES:
            raise QueryError(", ".join(SEVERITIES))
        number = SEVERITIES[value.lower()]
    elif name == "time":
        # A time is written in microseconds at best, and includes all that is in the last one.
        number = _nanoseconds(value) + (999 if sign in {"<=", ">"} else 0)
    elif name == "status" and (sign not in {"=", "!="} or value not in STATUSES):
        raise QueryError(", ".join(STATUSES))
    return label_term(name, sign, value) if number is None else Term(name, sign, value, number)


def label_term(name: str, sign: str, value: str) -> Term:
    """A condition on an attribute of any name; raises QueryError if the value cannot be compared like that."""
    number = _number(value)
    if sign not in {"=", "!="} and number is None:
        raise QueryError(f"a number after {name}{sign}")
    return Term(name, sign, value, number)


def _nanoseconds(value: str) -> int:
    """An ISO 8601 time, UTC if it names no zone, in nanoseconds since the epoch."""
    try:
        time = datetime.fromisoformat(value)
        return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1e6) * 1000
    except (ValueError, OverflowError):
        raise QueryError("a time such as 2026-11-28T09:30:00, in UTC") from None


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def query_of(terms: Iterable[Term]) -> Query:
    """A query of these terms, the cheapest first: they leave out most records."""
    return Query(tuple(sorted(terms, key=_cost)))


def _cost(term: Term) -> int:
    return 0 if term.name in _OF_TRACE else 1 if term.name in _OF_SPAN else 2


def _is(term: Term, value: PlainValue) -> bool:
    """Whether `value` compares to the term's value as its operator asks for, except for `!=`."""
    if term.number is not None and isinstance(value, int | float) and not isinstance(value, bool):
        return _OPERATORS[term.operator.replace("!=", "=")](value, term.number)
    if isinstance(value, list):
        return any(_is(term, item) for item in value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return term.operator in {"=", "!="} and text == term.value


def _matches_trace(term: Term, trace: list[StoredSpan]) -> bool:
    of_trace = _OF_TRACE.get(term.name)
    if of_trace is not None:
        found = of_trace(term, trace)
    else:
        of_span = _OF_SPAN.get(term.name, _attribute)
        found = any(of_span(term, span) for span in trace)
    return found != (term.operator == "!=")


def _matches_log(term: Term, record: StoredLog) -> bool:
    return _OF_LOG.get(term.name, _attribute)(term, record) != (term.operator == "!=")


def _matches_labels(term: Term, labels: Mapping[str, str]) -> bool:
    if term.name == _TEXT:
        return any(term.value.lower() in text.lower() for text in labels.values())
    value = labels.get(term.name, "")
    return (_is(term, value) or _is(term, _number(value))) != (term.operator == "!=")


def _status(term: Term, trace: list[StoredSpan]) -> bool:
    if term.value in {"ok", "error", "failed"}:
        errors = [span for span in trace if span.status == STATUS_ERROR]
        if term.value == "failed":
            return bool(errors) and has_failed(root_of(trace), errors)
        return bool(errors) == (term.value == "error")
    return f"{root_of(trace).status_code // 100}xx" == term.value


def duration_of(trace: list[StoredSpan]) -> int:
    """From the first start to the last end, in nanoseconds."""
    if len(trace) == 1:
        return max(trace[0].end_ns - trace[0].start_ns, 0)
    return max(max(span.end_ns for span in trace) - min(span.start_ns for span in trace), 0)


def start_of(trace: list[StoredSpan]) -> int:
    """The first start, in nanoseconds since the epoch."""
    return trace[0].start_ns if len(trace) == 1 else min(span.start_ns for span in trace)


#: What traces are sorted by.
SORTS: dict[str, Callable[[list[StoredSpan]], int]] = {"start": start_of, "duration": duration_of}


def _kind(span: StoredSpan) -> str:
    return SPAN_KINDS[span.kind] if 0 <= span.kind < len(SPAN_KINDS) else str(span.kind)


def _attribute(term: Term, record: StoredSpan | StoredLog) -> bool:
    """Whether an attribute of the resource, the record or one of its events has the value."""
    resource = record.resource.attributes
    if term.name in resource and _is(term, resource[term.name]):
        return True
    return term.may_match(record.raw) and any(_is(term, value) for value in record.values_of(term.name))


def _text(term: Term, record: StoredSpan | StoredLog) -> bool:
    return holds_text(record, term.value)


_OF_TRACE: dict[str, Callable[[Term, list[StoredSpan]], bool]] = {
    "status": _status,
    "duration": lambda term, trace: _is(term, duration_of(trace)),
    "time": lambda term, trace: _is(term, start_of(trace)),
}
_OF_SPAN: dict[str, Callable[[Term, StoredSpan], bool]] = {
    "mode": lambda term, span: term.value == span.resource.mode,
    "service": lambda term, span: term.value == span.resource.service,
    "name": lambda term, span: term.value == span.name,
    "kind": lambda term, span: term.value == _kind(span),
    "logger": lambda term, span: term.value == span.scope.name,
    _TEXT: _text,
}
_OF_LOG: dict[str, Callable[[Term, StoredLog], bool]] = {
    "mode": lambda term, record: term.value == record.resource.mode,
    "service": lambda term, record: term.value == record.resource.service,
    "logger": lambda term, record: term.value == record.scope.name,
    "severity": lambda term, record: _is(term, record.severity_number),
    "time": lambda term, record: _is(term, record.time_ns),
    _TEXT: _text,
}
