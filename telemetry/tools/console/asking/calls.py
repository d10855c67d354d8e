"""Which service calls which: counted from the spans whose parent is another service's."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from telemetry.tools.console.storage.records import STATUS_ERROR
from telemetry.tools.console.storage.traces import Trace

_MOST_EDGES = 200


class Calls(NamedTuple):
    """The calls of one service by another one: those whose span has an error, and durations as the callee took them."""

    caller: str
    callee: str
    calls_per_second: float
    error_ratio: float
    p95_seconds: float


def calls_between(traces: Iterable[Trace], seconds: int, now_ns: int) -> list[Calls]:
    """The calls that ended in the last `seconds` and whose spans are kept, the most frequent first."""
    begin_ns = now_ns - seconds * 10**9
    found: dict[tuple[str, str], list[tuple[int, bool]]] = {}
    for trace in (trace for trace in traces if trace.end_ns >= begin_ns and len(trace) > 1):
        for span in trace.spans():
            parent = trace.get(span.parent_id)
            # Most spans have their parent's resource and scope, which is quick to see.
            if parent is None or parent.origin is span.origin or span.end_ns < begin_ns:
                continue
            edge = parent.resource.service, span.resource.service
            if edge[0] != edge[1] and (edge in found or len(found) < _MOST_EDGES):
                duration = max(span.end_ns - span.start_ns, 0)
                found.setdefault(edge, []).append((duration, span.status == STATUS_ERROR))
    return [
        Calls(
            *edge,
            len(calls) / seconds,
            sum(failed for _, failed in calls) / len(calls),
            sorted(calls)[math.ceil(0.95 * len(calls)) - 1][0] / 1e9,
        )
        for edge, calls in sorted(found.items(), key=lambda item: len(item[1]), reverse=True)
    ]
