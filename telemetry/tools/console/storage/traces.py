"""The spans and the log records of the store, indexed by trace, and the calls between services derived from them."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from telemetry.tools.console.storage.history import SLOT_SECONDS
from telemetry.tools.console.storage.records import KIND_SERVER, STATUS_ERROR, StoredLog, StoredSpan
from telemetry.tools.console.storage.retention import BoundedQueue, SignalLimits

#: The memory of an index for each trace, and for each span with links (measured on CPython 3.11; bytes).
_SPANS_OVERHEAD, _LINKING_OVERHEAD, _LOGS_OVERHEAD = 410, 110, 250
#: Later than any time of a span, which is a 64-bit number.
_NEVER_NS = 1 << 64


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One line in a list of traces; `status` is "error" if any span has one, `failed` if its root or a server span has.

    A service that answers 409 to a database's error has handled that. `start_ns` is since the epoch.
    """

    trace_id: str
    root_name: str
    service: str
    mode: str
    start_ns: int
    duration_ns: int
    spans: int
    status: str
    failed: bool
    status_code: int


class Trace(dict[bytes, StoredSpan]):
    """The spans of one trace by id, with its first start and its last end (nanoseconds since the epoch).

    `shortened` says that a span was evicted since these two were found. `changed` is a number that no other trace has
    and that rises whenever a span is added or evicted.
    """

    __slots__ = ("changed", "end_ns", "shortened", "start_ns")

    def __init__(self) -> None:
        super().__init__()
        self.start_ns = _NEVER_NS
        self.end_ns = 0
        self.shortened = False
        self.changed = 0

    @property
    def duration_ns(self) -> int:
        return max(self.end_ns - self.start_ns, 0)

    def spans(self) -> list[StoredSpan]:
        """The spans in order of arrival, without the store's lock; none if all were evicted meanwhile."""
        return list(self.values())


class SpanStore(BoundedQueue[StoredSpan]):
    """Keeps the newest spans and finds them by trace."""

    def __init__(self, limits: SignalLimits) -> None:
        super().__init__(limits)
        self._traces: dict[bytes, Trace] = {}
        #: The spans that have links, in order of arrival.
        self.linking: dict[StoredSpan, None] = {}
        #: How often a trace has changed.
        self.changes = 0

    def add(self, span: StoredSpan) -> bool:
        """Keep the span; False if one with the same trace and span id is kept already (the first one stays)."""
        trace = self._traces.get(span.trace_id)
        if trace is None:
            trace = self._traces[span.trace_id] = Trace()
            self._bytes += _SPANS_OVERHEAD
        elif span.span_id in trace:
            return False
        trace[span.span_id] = span
        trace.start_ns = min(trace.start_ns, span.start_ns)
        trace.end_ns = max(trace.end_ns, span.end_ns)
        self.changes = trace.changed = self.changes + 1
        if span.has_links:
            self.linking[span] = None
            self._bytes += _LINKING_OVERHEAD
        self.append(span)
        return True

    def forget(self, span: StoredSpan) -> None:
        trace = self._traces[span.trace_id]
        del trace[span.span_id]
        if span.has_links:
            del self.linking[span]
            self._bytes -= _LINKING_OVERHEAD
        trace.shortened = True
        self.changes = trace.changed = self.changes + 1
        if not trace:
            del self._traces[span.trace_id]
            self._bytes -= _SPANS_OVERHEAD

    def latest(self, trace_id: bytes | None = None) -> list[Trace]:
        """All traces, the one that appeared last first; only one if its id is given."""
        every = self._traces
        found = list(reversed(every.values())) if trace_id is None else [every[trace_id]] if trace_id in every else []
        for trace in found:
            if trace.shortened:
                trace.start_ns = min(span.start_ns for span in trace.values())
                trace.end_ns = max(span.end_ns for span in trace.values())
                trace.shortened = False
        return found


class LogStore(BoundedQueue[StoredLog]):
    """Keeps the newest log records and finds them by trace."""

    def __init__(self, limits: SignalLimits) -> None:
        super().__init__(limits)
        # Lists, because most traces have few records and an empty deque takes ten times as much memory.
        self._by_trace: dict[bytes, list[StoredLog]] = {}

    def add(self, record: StoredLog) -> None:
        if record.trace_id:
            # Before the append: a limit smaller than this record evicts it at once.
            linked = self._by_trace.setdefault(record.trace_id, [])
            if not linked:
                self._bytes += _LOGS_OVERHEAD
            linked.append(record)
        self.append(record)

    def forget(self, record: StoredLog) -> None:
        if record.trace_id:
            linked = self._by_trace[record.trace_id]
            linked.pop(0)  # both are in order of arrival
            if not linked:
                del self._by_trace[record.trace_id]
                self._bytes -= _LOGS_OVERHEAD

    def latest(self, trace_id: bytes | None = None) -> Iterator[StoredLog]:
        """The records, the newest first; only those of one trace if its id is given."""
        return reversed(self) if trace_id is None else reversed(self._by_trace.get(trace_id, []))


def root_of(spans: list[StoredSpan]) -> StoredSpan:
    """Return the root span of a trace: the one without a parent, or else one whose parent has not arrived."""
    first = [span for span in spans if not span.parent_id]
    if not first:
        # A client's `traceparent` or a lost span leaves a parent that never arrives.
        ids = {span.span_id for span in spans}
        first = [span for span in spans if span.parent_id not in ids]
    return min(first or spans, key=attrgetter("start_ns"))


def has_failed(root: StoredSpan, errors: Iterable[StoredSpan]) -> bool:
    """Whether a request failed: whether its root or a server span is among the spans with an error."""
    return any(span is root or span.kind == KIND_SERVER for span in errors)


#: What traces are sorted by.
SORTS: dict[str, Callable[[Trace], int]] = {"start": attrgetter("start_ns"), "duration": attrgetter("duration_ns")}


def summarize(spans: list[StoredSpan]) -> TraceSummary:
    """The summary of a trace's spans (at least one), as far as they have arrived."""
    root = root_of(spans)
    errors = [span for span in spans if span.status == STATUS_ERROR]
    start_ns, end_ns = min(span.start_ns for span in spans), max(span.end_ns for span in spans)
    root_is = root.trace_id.hex(), root.name, root.resource.service, root.resource.mode
    times = start_ns, max(end_ns - start_ns, 0)
    status = "error" if errors else "ok"
    return TraceSummary(*root_is, *times, len(spans), status, has_failed(root, errors), root.status_code)


_MOST_EDGES = 200


class Calls(NamedTuple):
    """The calls of one service by another one: those whose span has an error, and durations as the callee took them."""

    caller: str
    callee: str
    calls_per_second: float
    error_ratio: float
    p95_seconds: float


def calls_between(traces: Iterable[Trace], seconds: int, now_ns: int) -> list[Calls]:
    """The calls that ended in the last `seconds` and whose spans are kept, the most frequent first.

    If the oldest trace that is kept ended since then, they are per second of the time since its end.
    """
    traces = list(traces)
    begin_ns = now_ns - seconds * 10**9
    first_ns = min((trace.end_ns for trace in traces if trace.end_ns), default=0)
    known = max((now_ns - max(first_ns, begin_ns)) / 1e9, SLOT_SECONDS)
    found: dict[tuple[str, str], list[tuple[int, bool]]] = {}
    for trace in (trace for trace in traces if trace.end_ns >= begin_ns and len(trace) > 1):
        for span in trace.spans():
            parent = trace.get(span.parent_id)
            # Most spans have their parent's resource and scope, which is quick to check.
            if parent is None or parent.origin is span.origin or span.end_ns < begin_ns:
                continue
            edge = parent.resource.service, span.resource.service
            if edge[0] != edge[1] and (edge in found or len(found) < _MOST_EDGES):
                duration = max(span.end_ns - span.start_ns, 0)
                found.setdefault(edge, []).append((duration, span.status == STATUS_ERROR))
    return [
        Calls(
            *edge,
            len(calls) / known,
            sum(failed for _, failed in calls) / len(calls),
            sorted(calls)[math.ceil(0.95 * len(calls)) - 1][0] / 1e9,
        )
        for edge, calls in sorted(found.items(), key=lambda item: len(item[1]), reverse=True)
    ]
