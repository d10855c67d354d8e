"""The list of traces, and the redirect from a pasted id to its trace."""

import re
from dataclasses import dataclass

from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_safe

from telemetry.tools.console.application import ConsoleRequest
from telemetry.tools.console.asking.parameters import TRACES, Parameters
from telemetry.tools.console.asking.query import STATUSES, TRACE_FIELDS
from telemetry.tools.console.counting.counters import OTLP_METRIC, SCRAPED_FAMILY
from telemetry.tools.console.pages.charts import Chart, Dot
from telemetry.tools.console.pages.formats import seconds
from telemetry.tools.console.pages.lists import MOST_LISTED, list_page
from telemetry.tools.console.pages.rendering import with_query
from telemetry.tools.console.pages.shown_modes import colour_of, shown_modes
from telemetry.tools.console.storage.records import StoredSpan
from telemetry.tools.console.storage.spans import SORTS, TraceSummary, summarize
from telemetry.tools.console.storage.store import Store

_LISTED = 50
_MOST_CHOICES = 200
_STATUSES = {"ok": "no error", "error": "an error in any span", "failed": "a failed request"}
_TRACE_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One line of the list; `share` is its duration compared to the longest one, in per cent."""

    summary: TraceSummary
    colour: int
    share: float


@require_safe
def traces(request: ConsoleRequest) -> HttpResponse:
    """The traces that match, and a scatter of their durations."""
    parameters = Parameters(request, *TRACES, blank=True)
    limit, skip = parameters.listing(_LISTED, MOST_LISTED)
    sort = parameters.choice("sort", SORTS) or "start"
    query = parameters.query(TRACE_FIELDS)
    store = request.console.store
    found = query.find_traces(store.stored_traces(), limit + 1, skip=skip, sort=sort)
    modes = shown_modes(store)
    rows = _rows(found[:limit], modes)
    context = {
        "rows": rows,
        "chart": _scatter(rows),
        "sort": sort,
        "sorts": {name: with_query("/traces", **parameters.given | {"sort": name}) for name in SORTS},
        "filtered": bool(query.terms),
        "kept": store.retained()["spans"],
        "modes": modes,
        "routes": _routes(store),
        "statuses": [(status, _STATUSES.get(status, status)) for status in STATUSES],
    }
    return list_page(request, "traces", parameters, context, usual=_LISTED, more=len(found) > limit)


def _rows(found: list[list[StoredSpan]], modes: list[str]) -> list[TraceRow]:
    summaries = list(map(summarize, found))
    longest = max((summary.duration_ns for summary in summaries), default=0) or 1
    return [
        TraceRow(summary, colour_of(summary.mode, modes), 100 * summary.duration_ns / longest) for summary in summaries
    ]


def _words(summary: TraceSummary) -> str:
    return f"{summary.root_name[:100]}, {seconds(summary.duration_ns / 1e9)}"


def _scatter(rows: list[TraceRow]) -> Chart:
    """Duration over time: a point for each trace of the list, which is its table."""
    summaries = [row.summary for row in rows]
    starts = [summary.start_ns / 1e9 for summary in summaries] or [0.0]
    dots = [
        Dot(start, each.duration_ns / 1e9, _words(each), f"/traces/{each.trace_id}", failed=each.failed)
        for each, start in zip(summaries, starts, strict=False)
    ]
    return Chart("Duration over time", [min(starts), max(*starts, min(starts) + 1)], (), seconds, dots)


def _routes(store: Store) -> list[str]:
    """The routes in the metrics of requests."""
    found = {
        str(route)
        for name, label in ((OTLP_METRIC, "http.route"), (SCRAPED_FAMILY, "http_route"))
        for series, _ in store.series(name, points=1)
        if (route := series.attributes.get(label))
    }
    return sorted(found)[:_MOST_CHOICES]


def trace_id_in(text: str) -> str | None:
    """The trace id in a text, in lower case: bare, in a `traceparent`, in a line of a log, with or without dashes."""
    found = _TRACE_ID.search(text.lower()) or _TRACE_ID.search(text.lower().replace("-", ""))
    return found[0] if found else None


@require_safe
def find(request: ConsoleRequest) -> HttpResponse:
    """Redirect to the trace whose id is in the text, or else to the traces that match it as a filter."""
    text = (Parameters(request, "q", blank=True).text("q") or "").strip()
    trace_id = trace_id_in(text)
    if trace_id:
        return HttpResponseRedirect(f"/traces/{trace_id}")
    return HttpResponseRedirect(with_query("/traces", q=text))
