"""The one filter of pages and API: terms such as `http.route=/users/{id} status=error duration>200ms "some text"`.

A term is `NAME=VALUE` (also `!=`, and `>`, `>=`, `<`, `<=` for numbers) or a text. NAME is one of those below or an
attribute of the span or log record, of its events, or of its resource. A trace matches if each term matches one of its
spans. Records are decoded only where their bytes can match.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from telemetry.tools.console.storage.records import SEVERITIES

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
#: How a value compares to a term's; what `!=` is about is negated where all values have been looked at.
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
    """One condition; `name` is empty for a text. `number` is the value where it is one (durations in nanoseconds)."""

    name: str
    operator: str
    value: str
    number: float | None = None


def parse(text: str, make: Callable[[str, str, str], Term] | None = None) -> tuple[Term, ...]:
    """Read the terms of a query, each made by `term` or `make`; raises QueryError."""
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
    number = number_of(value)
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


def number_of(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
