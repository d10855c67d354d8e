"""Searches in stored spans and log records, which are decoded only where their bytes match."""

from collections.abc import Iterable, Iterator
from itertools import islice

from telemetry.tools.console.records import LogRecord, Span, StoredLog, StoredSpan
from telemetry.tools.console.values import PlainValue


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
