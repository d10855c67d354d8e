"""Query parameters of pages and JSON API, read strictly: a typing error is reported, not ignored."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from django.core.exceptions import BadRequest
from django.http import HttpRequest

from telemetry.tools.console.asking.search import LOG_FIELDS, TRACE_FIELDS, Query, QueryError, label_term, parse, term

#: The parameters of the lists of traces and of log records.
TRACES = (*TRACE_FIELDS, "q", "sort", "skip", "limit")
LOGS = (*LOG_FIELDS, "trace_id", "q", "skip", "limit")

#: Minutes that figures and charts cover, by the parameter's value.
WINDOWS = {"1": "1 min", "5": "5 min", "15": "15 min", "30": "30 min"}

_MOST_SKIPPED = 1_000_000
_MOST_PARAMETERS = 100
_LONGEST_SHOWN = 500
_INTEGER = re.compile(r"[0-9]{1,10}")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(eq=False)
class ParameterError(ValueError):
    """A bad parameter; the message names it, its value and what is expected."""

    parameter: str
    value: str
    expected: str

    def __str__(self) -> str:
        value = self.value if len(self.value) <= _LONGEST_SHOWN else f"{self.value[:_LONGEST_SHOWN]}..."
        return f"{self.parameter} is {value!r}; expected {self.expected}"


class Parameters:
    """A request's query parameters: among `names`, given once; with `blank`, as in forms, an empty value means none.

    Raises ParameterError or BadRequest.
    """

    def __init__(self, request: HttpRequest, *names: str, blank: bool = False) -> None:
        #: The parameters that are set, as sent.
        self.given: dict[str, str] = {}
        for name, values in _query_of(request).items():
            if blank and values == [""]:
                continue
            if name not in names:
                raise ParameterError(name, values[-1], f"the parameters {', '.join(names) or '(none)'}")
            if len(values) > 1:
                raise ParameterError(name, ", ".join(values), "one value")
            self.given[name] = values[0]

    def text(self, name: str) -> str | None:
        """A text, None if absent; an empty one is an error."""
        value = self.given.get(name)
        if value == "":
            raise ParameterError(name, value, "a text that is not empty")
        return value

    def query(self, fields: Mapping[str, tuple[str, str]]) -> Query:
        """The terms in `q` and in the parameters that each stand for a term."""
        terms = list(_checked("q", self.given.get("q", ""), parse))
        for field, (name, sign) in fields.items():
            value = self.text(field)
            if value is not None:
                terms.append(_checked(field, value, partial(term, name, sign)))
        return Query(terms)

    def labels(self) -> Query:
        """The terms in `q`, about the labels of a metric."""
        return Query(_checked("q", self.given.get("q", ""), partial(parse, make=label_term)))

    def integer(self, name: str, default: int, highest: int) -> int:
        """An integer from 1 to `highest`."""
        value = self.given.get(name)
        if value is None:
            return default
        if not (_INTEGER.fullmatch(value) and 1 <= int(value) <= highest):
            raise ParameterError(name, value, f"an integer from 1 to {highest}")
        return int(value)

    def listing(self, usual: int, most: int) -> tuple[int, int]:
        return self.integer("limit", usual, most), self.integer("skip", 0, _MOST_SKIPPED)

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """One of the choices, None if absent."""
        value = self.given.get(name)
        if value is not None and value not in choices:
            raise ParameterError(name, value, ", ".join(choices))
        return value

    def trace_id(self) -> str | None:
        """The trace id in lower-case hex, None if absent."""
        return checked_trace_id(self.given["trace_id"]) if "trace_id" in self.given else None


def _query_of(request: HttpRequest) -> dict[str, list[str]]:
    """Return the parameters in the URL, decoded as UTF-8 whatever the request's content type; raises BadRequest."""
    # Not `request.GET`, which obeys the limits in the process's settings.
    raw: str = request.META.get("QUERY_STRING", "")
    text = raw.encode("latin-1", "replace").decode(errors="replace")
    try:
        return parse_qs(text, keep_blank_values=True, errors="replace", max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise BadRequest(f"the address has more than {_MOST_PARAMETERS} parameters") from None


def _checked(name: str, value: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(value)
    except QueryError as error:
        raise ParameterError(name, value, str(error)) from None


def checked_trace_id(value: str) -> str:
    """Return the trace id in lower case; raises ParameterError."""
    if not _TRACE_ID.fullmatch(value.lower()):
        raise ParameterError("trace_id", value, "32 hexadecimal digits")
    return value.lower()
