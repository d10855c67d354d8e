"""The spans of the store, indexed by trace."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from telemetry.tools.console.limits import SignalLimits
from telemetry.tools.console.records import KIND_SERVER, STATUS_ERROR, StoredSpan
from telemetry.tools.console.retention import BoundedQueue, Retained

Trace = dict[bytes, StoredSpan]

#: What the index takes for each trace (measured on CPython 3.11; bytes).
TRACE_OVERHEAD = 350


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One line in a list of traces; `start_ns` since the epoch.

    `status` is "error" if any span has an error; `failed` says that a request did, its root or server span: a service
    that answers 409 to a database's error has handled that.
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


class SpanStore:
    """Keeps the newest spans and finds them by trace. Not thread-safe: the `Store` holds the lock."""

    def __init__(self, limits: SignalLimits) -> None:
        self._queue: BoundedQueue[StoredSpan] = BoundedQueue(limits, self._forget)
        self._traces: dict[bytes, Trace] = {}

    def add(self, span: StoredSpan) -> bool:
        """Keep the span; False if one with the same trace and span id is kept already (the first one stays)."""
        trace = self._traces.get(span.trace_id)
        if trace is None:
            trace = self._traces[span.trace_id] = {}
            self._queue.charge(TRACE_OVERHEAD)
        elif span.span_id in trace:
            return False
        trace[span.span_id] = span
        self._queue.share(span.origin)
        self._queue.append(span)
        return True

    def _forget(self, span: StoredSpan) -> None:
        self._queue.release(span.origin)
        trace = self._traces[span.trace_id]
        del trace[span.span_id]
        if not trace:
            del self._traces[span.trace_id]
            self._queue.charge(-TRACE_OVERHEAD)

    def trace(self, trace_id: bytes) -> list[StoredSpan]:
        """The spans of one trace in order of arrival; empty if there is none."""
        return list(self._traces.get(trace_id, {}).values())

    def latest(self) -> Iterator[list[StoredSpan]]:
        """The spans of each trace, the trace that appeared last first."""
        for trace in reversed(self._traces.values()):
            yield list(trace.values())

    def __iter__(self) -> Iterator[StoredSpan]:
        return iter(self._queue)

    @property
    def retained(self) -> Retained:
        """What is kept and what was evicted."""
        return self._queue.retained


def root_of(spans: list[StoredSpan]) -> StoredSpan:
    """The span that a trace begins with: the one without a parent, or else without one that has arrived."""
    if len(spans) == 1:
        return spans[0]
    ids = {span.span_id for span in spans}
    # A client's `traceparent` or a lost span leaves a parent that never arrives.
    return min(spans, key=lambda span: (bool(span.parent_id), span.parent_id in ids, span.start_ns))


def has_failed(root: StoredSpan, errors: Iterable[StoredSpan]) -> bool:
    """Whether a request failed: whether its root or a server span is among the spans with an error."""
    return any(span is root or span.kind == KIND_SERVER for span in errors)


def summarize(spans: list[StoredSpan]) -> TraceSummary:
    """The summary of a trace's spans (at least one), as far as they have arrived."""
    root = root_of(spans)
    start = min(span.start_ns for span in spans)
    errors = [span for span in spans if span.status == STATUS_ERROR]
    return TraceSummary(
        trace_id=root.trace_id.hex(),
        root_name=root.name,
        service=root.resource.service,
        mode=root.resource.mode,
        start_ns=start,
        duration_ns=max(max(span.end_ns for span in spans) - start, 0),
        spans=len(spans),
        status="error" if errors else "ok",
        failed=has_failed(root, errors),
        status_code=root.status_code,
    )
