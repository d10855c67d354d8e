"""The spans of the store, indexed by trace."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from telemetry.tools.console.limits import SignalLimits
from telemetry.tools.console.records import KIND_SERVER, STATUS_ERROR, StoredSpan
from telemetry.tools.console.retention import BoundedQueue

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


class SpanStore(BoundedQueue[StoredSpan]):
    """Keeps the newest spans and finds them by trace."""

    def __init__(self, limits: SignalLimits) -> None:
        super().__init__(limits)
        self._traces: dict[bytes, Trace] = {}

    def add(self, span: StoredSpan) -> bool:
        """Keep the span; False if one with the same trace and span id is kept already (the first one stays)."""
        trace = self._traces.get(span.trace_id)
        if trace is None:
            trace = self._traces[span.trace_id] = {}
            self.charge(TRACE_OVERHEAD)
        elif span.span_id in trace:
            return False
        trace[span.span_id] = span
        self.share(span.origin)
        self.append(span)
        return True

    def forget(self, span: StoredSpan) -> None:
        self.release(span.origin)
        trace = self._traces[span.trace_id]
        del trace[span.span_id]
        if not trace:
            del self._traces[span.trace_id]
            self.charge(-TRACE_OVERHEAD)

    def trace(self, trace_id: bytes) -> list[StoredSpan]:
        """The spans of one trace in order of arrival; empty if there is none."""
        return list(self._traces.get(trace_id, {}).values())

    def latest(self) -> Iterator[list[StoredSpan]]:
        """The spans of each trace, the trace that appeared last first."""
        for trace in reversed(self._traces.values()):
            yield list(trace.values())


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


def summarize(spans: list[StoredSpan]) -> TraceSummary:
    """The summary of a trace's spans (at least one), as far as they have arrived."""
    root = root_of(spans)
    errors = [span for span in spans if span.status == STATUS_ERROR]
    return TraceSummary(
        trace_id=root.trace_id.hex(),
        root_name=root.name,
        service=root.resource.service,
        mode=root.resource.mode,
        start_ns=start_of(spans),
        duration_ns=duration_of(spans),
        spans=len(spans),
        status="error" if errors else "ok",
        failed=has_failed(root, errors),
        status_code=root.status_code,
    )
