"""One trace: its spans as a waterfall, with their log records, and the traces that link to it."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from telemetry.tools.console.asking.parameters import Parameters, checked_trace_id
from telemetry.tools.console.asking.search import linking_to
from telemetry.tools.console.pages.charts import Colours, ordered
from telemetry.tools.console.pages.lists import log_rows
from telemetry.tools.console.pages.modes import shown_modes
from telemetry.tools.console.pages.rendering import page
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.records import STATUS_ERROR, LogRecord, Span, StoredSpan
from telemetry.tools.console.storage.retention import affordable
from telemetry.tools.console.storage.traces import summarize

_MOST_SPANS = 500
_MOST_RECORDS = 500
_MOST_LINKING = 20
_DEEPEST = 12
_TICKS = 5
_MOST_MARKS = 50
_MOST_NAMES = 10
#: From this number on, equal statements of one parent are shown as one.
_REPEATED = 3
_NAME = r'(?:"[^"]{1,200}"|`[^`]{1,200}`|\[[^\]]{1,200}\]|[^\s"`\[\](),;]{1,200})'
_TABLE = re.compile(rf"\b(?:FROM|INTO|UPDATE|JOIN|TABLE)\s+(?:ONLY\s+)?({_NAME}(?:\.{_NAME})?)", re.IGNORECASE)
_QUOTES = re.compile(r'["`\[\]]')

Row = dict[str, Any]


@page("trace")
def trace(console: Console, _parameters: Parameters, trace_id: str) -> dict[str, Any]:
    """Return the page of one trace; it waits for a trace that has not arrived yet."""
    trace_id = checked_trace_id(trace_id)
    store = console.store
    spans = store.stored_trace(trace_id)
    stored_records = list(reversed(store.stored_logs(trace_id)))
    modes = shown_modes(store)
    records = log_rows(affordable(stored_records, _MOST_RECORDS), modes)
    context: dict[str, Any] = {
        "trace_id": trace_id,
        "status": 200 if spans or records else 404,
        "lines": [],
        "spans": len(spans),
        "records": records,
        "record_count": len(stored_records),
        "linking": [
            (span.trace_id.hex(), span.name)
            for span in linking_to(trace_id, reversed(store.linking_spans()), _MOST_LINKING)
        ],
        "api": f"/api/traces/{trace_id}",
        "save": f"/api/save/traces?trace_id={trace_id}",
    }
    if spans:
        summary = summarize(spans)
        rows = _rows(spans, [row["record"] for row in records])
        of_trace, services = ordered(span.resource.mode for span in spans), {span.resource.service for span in spans}
        colours = Colours(modes)
        context |= {
            "lines": _folded(rows),
            "spans_shown": len(rows),
            "root": rows[0]["span"],
            "summary": summary,
            "errors": sum(span.status == STATUS_ERROR for span in spans),
            "modes": [(mode, colours[mode]) for mode in of_trace[:_MOST_NAMES]],
            "modes_left_out": max(len(of_trace) - _MOST_NAMES, 0),
            "services": sorted(services)[:_MOST_NAMES],
            "services_left_out": max(len(services) - _MOST_NAMES, 0),
            "ticks": [summary.duration_ns * part // (_TICKS - 1) for part in range(_TICKS)],
            "resource": rows[0]["span"].resource.attributes,
        }
    return context


def _rows(spans: Sequence[StoredSpan], records: Iterable[LogRecord]) -> list[Row]:
    """Return the spans in call order, siblings by start; a span whose parent is missing is a root.

    `left` and `width` are in per cent of the trace, `depth` is below the root; `own_ns` is the part of the duration in
    which no child ran; `marks` are the events, at per cent of the trace.
    """
    start = min(span.start_ns for span in spans)
    total = max(max(span.end_ns for span in spans) - start, 1)
    ids = {span.span_id for span in spans}
    children: dict[bytes, list[StoredSpan]] = {}
    for span in sorted(spans, key=lambda span: span.start_ns):
        parent = span.parent_id if span.parent_id in ids and span.parent_id != span.span_id else b""
        children.setdefault(parent, []).append(span)
    depths: dict[StoredSpan, int] = {}
    # Spans that name each other as parents have no root; they come last.
    for begin in (*children.get(b"", ()), *spans):
        stack = [(begin, 0)]
        while stack:
            span, depth = stack.pop()
            if span not in depths:
                depths[span] = depth
                stack += [(child, depth + 1) for child in reversed(children.get(span.span_id, []))]
    by_span: dict[str, list[LogRecord]] = {}
    for record in records:
        by_span.setdefault(record.span_id, []).append(record)

    def share(part: int) -> float:
        return 100 * min(max(part, 0), total) / total

    rows = []
    for span in affordable(depths, _MOST_SPANS):
        decoded, duration, left = span.decode(), max(span.end_ns - span.start_ns, 0), share(span.start_ns - start)
        table = _table(decoded)
        row = {
            "span": decoded,
            # With the table of its statement, where the name does not have it.
            "title": decoded.name if table in decoded.name else f"{decoded.name} {table}",
            "depth": min(depths[span], _DEEPEST),
            "left": left,
            "width": min(share(duration), 100 - left),
            "duration_ns": duration,
            "own_ns": max(duration - _covered(span, children.get(span.span_id, [])), 0),
            "failed": span.status == STATUS_ERROR,
            "records": by_span.get(decoded.span_id, []),
            "marks": [(share(event.time_ns - start), event) for event in decoded.events[:_MOST_MARKS]],
        }
        rows.append(row)
    return rows


def _folded(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the lines: a span each, or several of one parent that repeat a statement, placed at the first."""
    parents = {row["span"].parent_span_id for row in rows}
    same: dict[object, list[Row]] = {}
    for row in rows:
        span = row["span"]
        folds = _table(span) and span.span_id not in parents
        key = (span.parent_span_id, span.name, _statement(span)) if folds else span.span_id
        same.setdefault(key, []).append(row)
    lines = []
    for several in same.values():
        lines += [several] if len(several) >= _REPEATED else [[one] for one in several]
    place = {row["span"].span_id: index for index, row in enumerate(rows)}
    return sorted(lines, key=lambda line: place[line[0]["span"].span_id])


def _statement(span: Span) -> str:
    """Return the statement of a database span, empty for others."""
    return str(span.attributes.get("db.query.text") or span.attributes.get("db.statement") or "")


def _table(span: Span) -> str:
    """Return the first table of the statement, empty for spans without one."""
    table = span.attributes.get("db.collection.name")
    found = None if table else _TABLE.search(_statement(span))
    return _QUOTES.sub("", found[1]) if found else str(table or "")


def _covered(span: StoredSpan, children: Sequence[StoredSpan]) -> int:
    """Return for how many nanoseconds of the span at least one child runs."""
    covered, reached = 0, span.start_ns
    for child in children:
        begin, end = max(child.start_ns, reached), min(child.end_ns, span.end_ns)
        if end > begin:
            covered += end - begin
            reached = end
    return covered
