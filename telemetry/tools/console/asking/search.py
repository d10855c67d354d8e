"""Searches in stored spans and log records, which are decoded only where their bytes match."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice

from telemetry.tools.console.asking.query import OPERATORS, TEXT, Term, number_of
from telemetry.tools.console.receiving.values import PlainValue
from telemetry.tools.console.storage.records import (
    SPAN_KINDS,
    STATUS_ERROR,
    LogRecord,
    Span,
    StoredLog,
    StoredSpan,
    name_of,
)
from telemetry.tools.console.storage.retention import affordable
from telemetry.tools.console.storage.spans import SORTS, Trace, has_failed, root_of


@dataclass(frozen=True, slots=True)
class Query:
    """All terms, each of which has to match."""

    terms: tuple[Term, ...] = ()

    def find_traces(
        self, traces: Iterable[Trace], limit: int, *, skip: int = 0, sort: str = "start"
    ) -> list[list[StoredSpan]]:
        """The spans of the `limit` traces that match after the first `skip`, the latest or the longest first.

        A trace matches if each term matches one of its spans (not all of them the same one).
        """
        # Sorted before they are filtered, which is what costs: no more are looked into than are asked for.
        found: Iterable[Trace] = sorted(traces, key=SORTS[sort], reverse=True)
        for term in self.terms:
            found = filter(partial(_matches_trace, term), found)
        return list(islice(filter(None, map(Trace.spans, found)), skip, skip + limit))

    def find_logs(self, records: Iterable[StoredLog], limit: int, *, skip: int = 0) -> list[StoredLog]:
        """The `limit` log records that match after the first `skip`, or fewer if they are large."""
        return list(affordable(islice(self.matching_logs(records), skip, None), limit))

    def matching_logs(self, records: Iterable[StoredLog]) -> Iterator[StoredLog]:
        """The log records that each term matches."""
        for term in self.terms:
            records = filter(partial(_matches_log, term), records)
        return iter(records)

    def matches_labels(self, labels: Mapping[str, str]) -> bool:
        """Whether each term matches a label of a metric's series."""
        return all(_matches_labels(term, labels) for term in self.terms)


def query_of(terms: Iterable[Term]) -> Query:
    """A query of these terms, the cheapest first: they leave out most records."""
    return Query(tuple(sorted(terms, key=_cost)))


def _cost(term: Term) -> int:
    return 0 if term.name in _OF_TRACE else 1 if term.name in _OF_SPAN else 2


def _is(term: Term, value: PlainValue) -> bool:
    """Whether `value` compares to the term's value as its operator asks for, except for `!=`."""
    if term.number is not None and isinstance(value, int | float) and not isinstance(value, bool):
        return OPERATORS[term.operator](value, term.number)
    if isinstance(value, list):
        return any(_is(term, item) for item in value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return term.operator in {"=", "!="} and text == term.value


def _matches_trace(term: Term, trace: Trace) -> bool:
    of_trace = _OF_TRACE.get(term.name)
    if of_trace is not None:
        found = of_trace(term, trace)
    else:
        of_span = _OF_SPAN.get(term.name, _attribute)
        found = any(of_span(term, span) for span in trace.spans())
    return found != (term.operator == "!=")


def _matches_log(term: Term, record: StoredLog) -> bool:
    return _OF_LOG.get(term.name, _attribute)(term, record) != (term.operator == "!=")


def _matches_labels(term: Term, labels: Mapping[str, str]) -> bool:
    if term.name == TEXT:
        return any(term.value.lower() in text.lower() for text in labels.values())
    value = labels.get(term.name, "")
    return (_is(term, value) or _is(term, number_of(value))) != (term.operator == "!=")


def _status(term: Term, trace: Trace) -> bool:
    spans = trace.spans()
    if term.value in {"ok", "error", "failed"}:
        errors = [span for span in spans if span.status == STATUS_ERROR]
        if term.value == "failed":
            return bool(errors) and has_failed(root_of(spans), errors)
        return bool(errors) == (term.value == "error")
    return bool(spans) and f"{root_of(spans).status_code // 100}xx" == term.value


def _attribute(term: Term, record: StoredSpan | StoredLog) -> bool:
    """Whether an attribute of the resource, the record or one of its events has the value."""
    resource = record.resource.attributes
    if term.name in resource and _is(term, resource[term.name]):
        return True
    return term.may_match(record.raw) and any(_is(term, value) for value in record.values_of(term.name))


_OF_TRACE: dict[str, Callable[[Term, Trace], bool]] = {
    "status": _status,
    "duration": lambda term, trace: _is(term, trace.duration_ns),
    "time": lambda term, trace: _is(term, trace.start_ns),
}
_OF_SPAN: dict[str, Callable[[Term, StoredSpan], bool]] = {
    "mode": lambda term, span: term.value == span.resource.mode,
    "service": lambda term, span: term.value == span.resource.service,
    "name": lambda term, span: term.value == span.name,
    "kind": lambda term, span: term.value == name_of(SPAN_KINDS, span.kind),
    "logger": lambda term, span: term.value == span.scope.name,
    TEXT: lambda term, record: holds_text(record, term.value),
}
_OF_LOG: dict[str, Callable[[Term, StoredLog], bool]] = {
    "mode": lambda term, record: term.value == record.resource.mode,
    "service": lambda term, record: term.value == record.resource.service,
    "logger": lambda term, record: term.value == record.scope.name,
    "severity": lambda term, record: _is(term, record.severity_number),
    "time": lambda term, record: _is(term, record.time_ns),
    TEXT: lambda term, record: holds_text(record, term.value),
}


def linking_to(trace_id: str, linking: Iterable[StoredSpan], limit: int) -> list[StoredSpan]:
    """Those of the spans, which have links, that are of other traces and have one to this trace."""
    needle = bytes.fromhex(trace_id)
    spans = (span for span in linking if needle in span.raw and span.trace_id != needle)
    linked = (span for span in spans if any(link.trace_id == trace_id for link in span.decode().links))
    return list(islice(linked, limit))


def holds_text(record: StoredSpan | StoredLog, text: str) -> bool:
    """Whether a name, a message or an attribute of the record holds the text; ASCII letters in any case."""
    wanted = text.encode().lower()
    if wanted not in record.raw.lower():
        return False
    # The bytes hold lengths and ids too, in which the text may occur by chance.
    return any(wanted in words.encode().lower() for words in _words(record.decode()))


def _words(record: Span | LogRecord) -> Iterator[str]:
    yield from _values(record.attributes)
    if isinstance(record, LogRecord):
        yield record.event_name
        yield from _values(record.body)
        return
    yield from (record.name, record.status_message)
    for event in record.events:
        yield event.name
        yield from _values(event.attributes)
    for link in record.links:
        yield from _values(link.attributes)


def _values(value: PlainValue) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _values(item)
    elif isinstance(value, list):
        for item in value:
            yield from _values(item)
    else:
        yield str(value)
