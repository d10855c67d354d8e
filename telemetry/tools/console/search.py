"""Searches in stored spans and log records, which are decoded only where their bytes match."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from telemetry.tools.console.query import OPERATORS, TEXT, Term, number_of
from telemetry.tools.console.records import SPAN_KINDS, STATUS_ERROR, LogRecord, Span, StoredLog, StoredSpan, name_of
from telemetry.tools.console.retention import affordable
from telemetry.tools.console.spans import SORTS, duration_of, has_failed, root_of, start_of
from telemetry.tools.console.values import PlainValue


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


def query_of(terms: Iterable[Term]) -> Query:
    """A query of these terms, the cheapest first: they leave out most records."""
    return Query(tuple(sorted(terms, key=_cost)))


def _cost(term: Term) -> int:
    return 0 if term.name in _OF_TRACE else 1 if term.name in _OF_SPAN else 2


def _is(term: Term, value: PlainValue) -> bool:
    """Whether `value` compares to the term's value as its operator asks for, except for `!=`."""
    if term.number is not None and isinstance(value, int | float) and not isinstance(value, bool):
        return OPERATORS[term.operator.replace("!=", "=")](value, term.number)
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
    if term.name == TEXT:
        return any(term.value.lower() in text.lower() for text in labels.values())
    value = labels.get(term.name, "")
    return (_is(term, value) or _is(term, number_of(value))) != (term.operator == "!=")


def _status(term: Term, trace: list[StoredSpan]) -> bool:
    if term.value in {"ok", "error", "failed"}:
        errors = [span for span in trace if span.status == STATUS_ERROR]
        if term.value == "failed":
            return bool(errors) and has_failed(root_of(trace), errors)
        return bool(errors) == (term.value == "error")
    return f"{root_of(trace).status_code // 100}xx" == term.value


def _attribute(term: Term, record: StoredSpan | StoredLog) -> bool:
    """Whether an attribute of the resource, the record or one of its events has the value."""
    resource = record.resource.attributes
    if term.name in resource and _is(term, resource[term.name]):
        return True
    return term.may_match(record.raw) and any(_is(term, value) for value in record.values_of(term.name))


_OF_TRACE: dict[str, Callable[[Term, list[StoredSpan]], bool]] = {
    "status": _status,
    "duration": lambda term, trace: _is(term, duration_of(trace)),
    "time": lambda term, trace: _is(term, start_of(trace)),
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


def linking_to(trace_id: str, traces: Iterable[list[StoredSpan]], limit: int) -> list[StoredSpan]:
    """Spans of other traces that have a link to this one."""
    needle = bytes.fromhex(trace_id)
    spans = (span for trace in traces if trace[0].trace_id != needle for span in trace if needle in span.raw)
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
