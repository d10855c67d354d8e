"""What the pages look for among spans and log records, which are decoded only where their bytes may match."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from telemetry.console.records import STATUS_ERROR, LogRecord, StoredLog, StoredSpan
from telemetry.console.retention import affordable
from telemetry.console.spans import has_failed, root_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from telemetry.console.values import PlainValue

#: What `status` of a TraceFilter may be: no error in any span, one in any, one in a request; the answer's status.
STATUSES = ("ok", "error", "failed", "2xx", "3xx", "4xx", "5xx")


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Which traces to list. `longer_ns` is the shortest duration in nanoseconds; `text` is looked for in any case."""

    mode: str | None = None
    service: str | None = None
    route: str | None = None
    status: str | None = None
    longer_ns: int = 0
    text: str | None = None

    def find(self, traces: Iterable[list[StoredSpan]], limit: int) -> list[list[StoredSpan]]:
        """The first `limit` traces that match."""
        return list(islice((trace for trace in traces if self._matches(trace)), limit))

    def _matches(self, trace: list[StoredSpan]) -> bool:
        # The cheapest questions first: most traces are left out by them.
        return (
            (self.mode is None or any(span.resource.mode == self.mode for span in trace))
            and (self.service is None or any(span.resource.service == self.service for span in trace))
            and (not self.longer_ns or duration_of(trace) >= self.longer_ns)
            and (self.status is None or self._has_status(trace))
            and (self.route is None or root_of(trace).route == self.route)
            and (self.text is None or any(holds_text(span, self.text) for span in trace))
        )

    def _has_status(self, trace: list[StoredSpan]) -> bool:
        if self.status in {"ok", "error", "failed"}:
            errors = [span for span in trace if span.status == STATUS_ERROR]
            if self.status == "failed":
                return has_failed(root_of(trace), errors)
            return bool(errors) == (self.status == "error")
        return f"{root_of(trace).status_code // 100}xx" == self.status


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which log records to list; `severity` is the lowest number of the log data model."""

    mode: str | None = None
    severity: int = 0
    text: str | None = None

    def find(self, records: Iterable[StoredLog], limit: int) -> list[StoredLog]:
        """The first `limit` records that match."""
        return list(affordable((record for record in records if self._matches(record)), limit))

    def _matches(self, record: StoredLog) -> bool:
        return (
            (self.mode is None or record.resource.mode == self.mode)
            and record.severity_number >= self.severity
            and (self.text is None or holds_text(record, self.text))
        )


def duration_of(trace: list[StoredSpan]) -> int:
    """From the first start to the last end, in nanoseconds."""
    return max(max(span.end_ns for span in trace) - min(span.start_ns for span in trace), 0)


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
    # The bytes hold lengths and ids too, in which the text may stand by chance.
    return any(wanted in words.encode().lower() for words in _words(record))


def _words(record: StoredSpan | StoredLog) -> Iterator[str]:
    decoded = record.decode()
    yield from _values(decoded.attributes)
    if isinstance(decoded, LogRecord):
        yield decoded.event_name
        yield from _values(decoded.body)
        return
    yield from (decoded.name, decoded.status_message)
    for event in decoded.events:
        yield event.name
        yield from _values(event.attributes)
    for link in decoded.links:
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
