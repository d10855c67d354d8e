"""Which service calls which: counted from the spans whose parent is another service's."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from telemetry.tools.console.storage.records import STATUS_ERROR
from telemetry.tools.console.storage.spans import Trace

_MOST_EDGES = 200


@dataclass(slots=True)
class Calls:
    """The calls of one service by another one within `seconds`; durations, in nanoseconds, as the callee took them."""

    caller: str
    callee: str
    seconds: int
    errors: int = 0
    durations: list[int] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Calls per second."""
        return len(self.durations) / self.seconds

    @property
    def error_ratio(self) -> float:
        """The share of calls whose span has an error."""
        return self.errors / len(self.durations)

    @property
    def p95(self) -> float:
        """The 95th percentile of the durations, in seconds."""
        return sorted(self.durations)[math.ceil(0.95 * len(self.durations)) - 1] / 1e9


def calls_between(traces: Iterable[Trace], seconds: int, now_ns: int) -> list[Calls]:
    """The calls that ended in the last `seconds` and whose spans are kept, the most frequent first."""
    begin_ns = now_ns - seconds * 10**9
    found: dict[tuple[str, str], Calls] = {}
    for trace in (trace for trace in traces if trace.end_ns >= begin_ns and len(trace) > 1):
        for span in trace.spans():
            parent = trace.get(span.parent_id)
            # Most spans have their parent's resource and scope, which is quick to see.
            if parent is None or parent.origin is span.origin or span.end_ns < begin_ns:
                continue
            edge = parent.resource.service, span.resource.service
            if edge[0] == edge[1] or (edge not in found and len(found) >= _MOST_EDGES):
                continue
            calls = found.setdefault(edge, Calls(*edge, seconds))
            calls.errors += span.status == STATUS_ERROR
            calls.durations.append(max(span.end_ns - span.start_ns, 0))
    return sorted(found.values(), key=lambda calls: len(calls.durations), reverse=True)
