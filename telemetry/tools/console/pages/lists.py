"""The lists of traces and of log records, with filters, the pages before and after, and saving."""

import re
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_safe

from telemetry.tools.console.application import ConsoleRequest
from telemetry.tools.console.asking.parameters import LOGS, TRACES, Parameters
from telemetry.tools.console.asking.query import LOG_FIELDS, STATUSES, TRACE_FIELDS
from telemetry.tools.console.counting.counts import OTLP_METRIC, SCRAPED_FAMILY
from telemetry.tools.console.pages.charts import Chart, Dot
from telemetry.tools.console.pages.formats import seconds
from telemetry.tools.console.pages.rendering import page, with_query
from telemetry.tools.console.pages.shown_modes import colour_of, services_of, shown_modes
from telemetry.tools.console.storage.logs import SEVERITIES
from telemetry.tools.console.storage.records import LogRecord, StoredLog
from telemetry.tools.console.storage.spans import SORTS, TraceSummary, summarize
from telemetry.tools.console.storage.store import Store

_MOST_LISTED = 500
_TRACES_LISTED, _LOGS_LISTED = 50, 100
_MOST_CHOICES = 200
_STATUSES = {"ok": "no error", "error": "an error in any span", "failed": "a failed request"}
_TRACE_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def _page(
    request: ConsoleRequest, name: str, parameters: Parameters, context: dict[str, Any], *, usual: int, more: bool
) -> HttpResponse:
    """The page of a list with `usual` lines; `more` says that something comes after the last one."""
    limit, skip = parameters.listing(usual, _MOST_LISTED)
    given, store = parameters.given, request.console.store
    # What arrives meanwhile does not move the pages before and after.
    now = datetime.fromtimestamp(store.now_ns() / 1e9 + 1e-3, UTC)
    until = now.isoformat(timespec="milliseconds").removesuffix("+00:00")

    def at(place: int) -> str:
        return with_query(f"/{name}", **{"to": until} | given | {"skip": str(place) if place else ""})

    kept = {key: value for key, value in given.items() if key not in {"sort", "skip", "limit"}}
    context = {
        "address": f"/{name}",
        "wanted": given,
        "filtered": bool(kept),
        "newer": at(max(skip - limit, 0)) if skip else None,
        "older": at(skip + limit) if more else None,
        "save": with_query(f"/api/save/{name}", **kept),
        "services": services_of(store),
        **context,
    }
    return page(request, name, context)


@require_safe
def traces(request: ConsoleRequest) -> HttpResponse:
    """The traces that match, and a scatter of their durations."""
    parameters, store = Parameters(request, *TRACES, blank=True), request.console.store
    limit, skip = parameters.listing(_TRACES_LISTED, _MOST_LISTED)
    sort = parameters.choice("sort", SORTS) or "start"
    found = parameters.query(TRACE_FIELDS).find_traces_of(store, limit + 1, skip=skip, sort=sort)
    modes, summaries = shown_modes(store), list(map(summarize, found[:limit]))
    longest = max((summary.duration_ns for summary in summaries), default=0) or 1
    context = {
        "rows": [(each, colour_of(each.mode, modes), 100 * each.duration_ns / longest) for each in summaries],
        "chart": _scatter(summaries),
        "sort": sort,
        "sorts": {name: with_query("/traces", **parameters.given | {"sort": name}) for name in SORTS},
        "kept": store.retained()["spans"],
        "modes": modes,
        "routes": _routes(store),
        "statuses": [(status, _STATUSES.get(status, status)) for status in STATUSES],
    }
    return _page(request, "traces", parameters, context, usual=_TRACES_LISTED, more=len(found) > limit)


def _scatter(summaries: list[TraceSummary]) -> Chart:
    """Duration over time: a point for each trace of the list, which is its table."""
    dots = []
    for each in summaries:
        duration = each.duration_ns / 1e9
        title = f"{each.root_name[:100]}, {seconds(duration)}"
        dots.append(Dot(each.start_ns / 1e9, duration, title, f"/traces/{each.trace_id}", failed=each.failed))
    starts = [dot.time for dot in dots] or [0.0]
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


@require_safe
def find(request: ConsoleRequest) -> HttpResponse:
    """Redirect to the trace whose id is in the text, or else to the traces that match it as a filter.

    The id is bare, in a `traceparent` or in a line of a log, in any case, with or without dashes.
    """
    text = (Parameters(request, "q", blank=True).text("q") or "").strip()
    found = _TRACE_ID.search(text.lower()) or _TRACE_ID.search(text.lower().replace("-", ""))
    return HttpResponseRedirect(f"/traces/{found[0]}" if found else with_query("/traces", q=text))


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line: the record, its id on the page, the level that its severity belongs to, and its mode's colour."""

    record: LogRecord
    id: str
    level: str
    colour: int


@require_safe
def logs(request: ConsoleRequest) -> HttpResponse:
    """The latest log records that match."""
    parameters, store = Parameters(request, *LOGS, blank=True), request.console.store
    limit, skip = parameters.listing(_LOGS_LISTED, _MOST_LISTED)
    kept, modes = store.stored_logs(parameters.trace_id("trace_id")), shown_modes(store)
    found = parameters.query(LOG_FIELDS).find_logs(kept, limit + 1, skip=skip)
    # They come in batches of several workers, each in its own order.
    latest_first = sorted(found[:limit], key=lambda record: record.time_ns, reverse=True)
    context = {
        "rows": log_rows(latest_first, modes),
        "severities": SEVERITIES,
        "kept": store.retained()["log_records"],
        "modes": modes,
    }
    return _page(request, "logs", parameters, context, usual=_LOGS_LISTED, more=len(found) > limit)


def log_rows(records: Iterable[StoredLog], modes: list[str]) -> list[LogRow]:
    """A line for each record, whose id stays the same when the page is renewed."""
    same: Counter[str] = Counter()
    rows = []
    for stored in records:
        name = f"log-{stored.time_ns}-{zlib.crc32(stored.raw):x}"
        same[name] += 1
        record = stored.decode()
        number = f"-{same[name]}" if same[name] > 1 else ""
        reached = [level for level, least in SEVERITIES.items() if record.severity_number >= least]
        level = reached[-1] if reached else "unset"
        rows.append(LogRow(record, name + number, level, colour_of(record.resource.mode, modes)))
    return rows
