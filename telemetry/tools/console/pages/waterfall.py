"""One trace: its spans as a waterfall, with their log records, and the traces that link to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from telemetry.tools.console.application import ConsoleRequest
from telemetry.tools.console.pages.logs import rows_of as rows_of_logs
from telemetry.tools.console.pages.rendering import page, with_query
from telemetry.tools.console.pages.shown_modes import colour_of, ordered, shown_modes
from telemetry.tools.console.parameters import Parameters, checked_trace_id
from telemetry.tools.console.records import STATUS_ERROR, LogRecord, Span, SpanEvent, StoredSpan
from telemetry.tools.console.retention import affordable
from telemetry.tools.console.search import linking_to
from telemetry.tools.console.spans import TraceSummary, summarize
from telemetry.tools.console.statements import REPEATED, statement_of, table_of, title_of

_MOST_SPANS = 500
_MOST_RECORDS = 500
_MOST_LINKING = 20
_DEEPEST = 12
_TICKS = 5
_MOST_MARKS = 50
_MOST_NAMES = 10


@dataclass(slots=True)
class Row:
    """A span in the waterfall: `left` and `width` in per cent of the trace, `depth` below the root.

    `own_ns` is the part of its duration in which no child ran.
    """

    stored: StoredSpan
    depth: int
    left: float
    width: float
    own_ns: int

    @property
    def size(self) -> int:
        """What its span takes in the store (bytes)."""
        return self.stored.size

    @property
    def indent(self) -> int:
        """How far the name is indented."""
        return min(self.depth, _DEEPEST)

    @property
    def duration_ns(self) -> int:
        """From start to end."""
        return max(self.stored.end_ns - self.stored.start_ns, 0)

    @property
    def failed(self) -> bool:
        """Whether the span has the status error."""
        return self.stored.status == STATUS_ERROR


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row with all that its span holds; `marks` are its events, at per cent of the trace."""

    row: Row
    span: Span
    title: str
    records: list[LogRecord]
    marks: list[tuple[float, SpanEvent]]


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of the waterfall: a span, or several with the same statement and parent, folded."""

    rows: list[ShownRow]

    @property
    def first(self) -> ShownRow:
        """The span that began first."""
        return self.rows[0]

    @property
    def repeated(self) -> int:
        """How many spans are folded, 0 for a single one."""
        return len(self.rows) if len(self.rows) > 1 else 0

    @property
    def duration_ns(self) -> int:
        """How long the spans took together."""
        return sum(shown.row.duration_ns for shown in self.rows)

    @property
    def failed(self) -> bool:
        """Whether one of them has the status error."""
        return any(shown.row.failed for shown in self.rows)


@require_safe
def trace(request: ConsoleRequest, trace_id: str) -> HttpResponse:
    """The page of one trace; it waits for one that is not there yet."""
    Parameters(request, blank=True)
    trace_id = checked_trace_id("trace_id", trace_id)
    store = request.console.store
    spans = store.stored_trace(trace_id)
    stored_records = list(reversed(store.stored_logs(trace_id)))
    modes = shown_modes(store)
    records = rows_of_logs(affordable(stored_records, _MOST_RECORDS), modes)
    context = {
        "trace_id": trace_id,
        "shown": [],
        "spans": len(spans),
        "records": records,
        "record_count": len(stored_records),
        "linking": [
            (span.trace_id.hex(), span.name, reverse("traces-one", args=[span.trace_id.hex()]))
            for span in linking_to(trace_id, reversed(store.linking_spans()), _MOST_LINKING)
        ],
        "api": reverse("api-trace", args=[trace_id]),
        "save": with_query(reverse("api-save-traces"), trace_id=trace_id),
    }
    if spans:
        summary = summarize(spans)
        rows = rows_of(spans)
        shown = _shown(rows, [row.record for row in records], summary)
        context |= {
            "shown": _folded(shown),
            "spans_shown": len(shown),
            "root": rows[0].stored,
            "summary": summary,
            "errors": sum(row.failed for row in rows),
            "modes": [
                (mode, colour_of(mode, modes)) for mode in ordered({span.resource.mode for span in spans})[:_MOST_NAMES]
            ],
            "services": sorted({span.resource.service for span in spans})[:_MOST_NAMES],
            "ticks": [summary.duration_ns * part // (_TICKS - 1) for part in range(_TICKS)],
            "resource": rows[0].stored.resource.attributes,
        }
    return page(request, "trace", context, status=200 if spans or records else 404)


def rows_of(spans: Sequence[StoredSpan]) -> list[Row]:
    """The spans as they call each other, siblings by start; one whose parent is not here is a root."""
    start = min(span.start_ns for span in spans)
    total = max(max(span.end_ns for span in spans) - start, 1)
    by_id = {span.span_id: span for span in spans}
    children: dict[bytes, list[StoredSpan]] = {}
    for span in sorted(spans, key=lambda span: span.start_ns):
        parent = span.parent_id if span.parent_id in by_id and span.parent_id != span.span_id else b""
        children.setdefault(parent, []).append(span)
    rows = []
    for span, depth in _walk(children, by_id):
        row = Row(span, depth, _share(span.start_ns - start, total), 0.0, 0)
        row.width = min(_share(row.duration_ns, total), 100 - row.left)
        row.own_ns = max(row.duration_ns - _covered(span, children.get(span.span_id, [])), 0)
        rows.append(row)
    return rows


def _shown(rows: Sequence[Row], records: Sequence[LogRecord], summary: TraceSummary) -> list[ShownRow]:
    by_span: dict[str, list[LogRecord]] = {}
    for record in records:
        by_span.setdefault(record.span_id, []).append(record)
    shown = []
    for row in affordable(rows, _MOST_SPANS):
        span = row.stored.decode()
        total = summary.duration_ns or 1
        marks = [(_share(event.time_ns - summary.start_ns, total), event) for event in span.events[:_MOST_MARKS]]
        shown.append(ShownRow(row, span, title_of(span), by_span.get(span.span_id, []), marks))
    return shown


def _folded(rows: Sequence[ShownRow]) -> list[Shown]:
    """The lines, with the spans of one parent that repeat a statement as one where the first of them is."""
    parents = {shown.span.parent_span_id for shown in rows}
    same: dict[object, list[ShownRow]] = {}
    for shown in rows:
        span = shown.span
        folds = table_of(span) and span.span_id not in parents
        key = (span.parent_span_id, span.name, statement_of(span)) if folds else span.span_id
        same.setdefault(key, []).append(shown)
    lines = []
    for several in same.values():
        lines += [Shown(several)] if len(several) >= REPEATED else [Shown([one]) for one in several]
    place = {shown.span.span_id: index for index, shown in enumerate(rows)}
    return sorted(lines, key=lambda line: place[line.first.span.span_id])


def _share(part: int, total: int) -> float:
    return 100 * min(max(part, 0), total) / total


def _walk(children: dict[bytes, list[StoredSpan]], by_id: dict[bytes, StoredSpan]) -> Iterator[tuple[StoredSpan, int]]:
    """Every span once, parents before children; spans that name each other as parents come last."""
    left = dict(by_id)
    while left:
        # Without a root, the rest are cycles, which begin anywhere.
        begin = children.get(b"", []) if len(left) == len(by_id) else []
        stack = [(span, 0) for span in reversed(begin)] or [(next(iter(left.values())), 0)]
        while stack:
            span, depth = stack.pop()
            if left.pop(span.span_id, None) is None:
                continue
            yield span, depth
            stack.extend((child, depth + 1) for child in reversed(children.get(span.span_id, [])))


def _covered(span: StoredSpan, children: Sequence[StoredSpan]) -> int:
    """For how many nanoseconds at least one child runs within the span."""
    covered, reached = 0, span.start_ns
    for child in children:
        begin, end = max(child.start_ns, reached), min(child.end_ns, span.end_ns)
        if end > begin:
            covered += end - begin
            reached = end
    return covered
