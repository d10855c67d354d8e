"""One trace: its spans as a waterfall, with all that they hold, their log records and the traces around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.urls import reverse
from django.views.decorators.http import require_safe

from telemetry.console.pages.rendering import page
from telemetry.console.pages.shown_modes import colour_of, shown_modes
from telemetry.console.parameters import Parameters, checked_trace_id
from telemetry.console.search import linking_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.http import HttpResponse

    from telemetry.console.application import ConsoleRequest
    from telemetry.console.records import LogRecord, Span, SpanEvent

_MOST_SPANS = 500
_MOST_RECORDS = 500
_MOST_LINKING = 20
_DEEPEST = 12
_MARKS = 5


@dataclass(slots=True)
class Row:
    """A span in the waterfall: `left` and `width` in per cent of the trace, `depth` below the root."""

    span: Span
    depth: int
    left: float
    width: float
    records: list[LogRecord] = field(default_factory=list)
    marks: list[tuple[float, SpanEvent]] = field(default_factory=list)
    own_ns: int = 0

    @property
    def indent(self) -> int:
        """How far the name is moved in."""
        return min(self.depth, _DEEPEST)

    @property
    def duration_ns(self) -> int:
        """From start to end."""
        return max(self.span.end_ns - self.span.start_ns, 0)

    @property
    def failed(self) -> bool:
        """Whether the span has the status error."""
        return self.span.status == "error"


@require_safe
def trace(request: ConsoleRequest, trace_id: str) -> HttpResponse:
    """The page of one trace; it waits for one that is not there yet."""
    Parameters(request, blank=True)
    trace_id = checked_trace_id("trace_id", trace_id)
    store = request.console.store
    spans = store.trace(trace_id)
    records = list(reversed(store.logs(trace_id=trace_id)))
    modes = shown_modes(store)
    context = {
        "trace_id": trace_id,
        "rows": [],
        "spans": len(spans),
        "records": records[:_MOST_RECORDS],
        "record_count": len(records),
        "linking": [
            (span.trace_id.hex(), span.name, reverse("traces-one", args=[span.trace_id.hex()]))
            for span in linking_to(trace_id, store.stored_traces(), _MOST_LINKING)
        ],
        "api": reverse("api-trace", args=[trace_id]),
    }
    if spans:
        rows = rows_of(spans, records)
        context |= {
            "rows": rows[:_MOST_SPANS],
            "root": rows[0],
            "start_ns": min(span.start_ns for span in spans),
            "duration_ns": _duration(spans),
            "errors": sum(row.failed for row in rows),
            "modes": sorted({(span.resource.mode, colour_of(span.resource.mode, modes)) for span in spans}),
            "services": sorted({span.resource.service for span in spans}),
            "ticks": [(25 * part, _duration(spans) * part // 4) for part in range(_MARKS)],
            "resource": rows[0].span.resource.attributes,
        }
    return page(request, "trace", context, status=200 if spans or records else 404)


def _duration(spans: Sequence[Span]) -> int:
    return max(max(span.end_ns for span in spans) - min(span.start_ns for span in spans), 0)


def rows_of(spans: Sequence[Span], records: Sequence[LogRecord]) -> list[Row]:
    """The spans as they call each other, siblings by start; what has no parent here begins anew."""
    start, total = min(span.start_ns for span in spans), _duration(spans) or 1
    by_id = {span.span_id: span for span in spans}
    children: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.start_ns):
        parent = span.parent_span_id if span.parent_span_id in by_id and span.parent_span_id != span.span_id else ""
        children.setdefault(parent, []).append(span)
    found: dict[str, Row] = {}
    for span, depth in _walk(children, by_id):
        duration = max(span.end_ns - span.start_ns, 0)
        row = Row(span, depth, 100 * (span.start_ns - start) / total, 100 * duration / total)
        row.own_ns = max(duration - _covered(span, children.get(span.span_id, [])), 0)
        row.marks = [(100 * _within(event.time_ns - start, total) / total, event) for event in span.events]
        found[span.span_id] = row
    for record in records:
        if record.span_id in found:
            found[record.span_id].records.append(record)
    return list(found.values())


def _walk(children: dict[str, list[Span]], by_id: dict[str, Span]) -> Iterator[tuple[Span, int]]:
    """Every span once, parents before children; spans that name each other as parents come last."""
    left = dict(by_id)
    while left:
        # Without a root, what is left goes round in circles: it begins somewhere.
        begin = children.get("", []) if len(left) == len(by_id) else []
        stack = [(span, 0) for span in reversed(begin)] or [(next(iter(left.values())), 0)]
        while stack:
            span, depth = stack.pop()
            if left.pop(span.span_id, None) is None:
                continue
            yield span, depth
            stack.extend((child, depth + 1) for child in reversed(children.get(span.span_id, [])))


def _covered(span: Span, children: Sequence[Span]) -> int:
    """For how many nanoseconds at least one child runs within the span."""
    covered, reached = 0, span.start_ns
    for child in children:
        begin, end = max(child.start_ns, reached), min(child.end_ns, span.end_ns)
        if end > begin:
            covered += end - begin
            reached = end
    return covered


def _within(offset: int, total: int) -> int:
    return min(max(offset, 0), total)
