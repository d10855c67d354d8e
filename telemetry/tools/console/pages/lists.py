"""The lists of traces and of log records, with filters, pagination and export."""

import re
import zlib
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_safe

from telemetry.tools.console.asking.parameters import LOGS, TRACES, Parameters
from telemetry.tools.console.asking.search import LOG_FIELDS, STATUSES, TRACE_FIELDS
from telemetry.tools.console.counting.counts import OTLP_METRIC, SCRAPED_FAMILY
from telemetry.tools.console.pages.charts import Chart, Colours, Dot
from telemetry.tools.console.pages.formats import seconds
from telemetry.tools.console.pages.modes import shown_modes
from telemetry.tools.console.pages.rendering import page, with_query
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.records import SEVERITIES, StoredLog
from telemetry.tools.console.storage.store import Store
from telemetry.tools.console.storage.traces import SORTS, TraceSummary, summarize

_MOST_LISTED = 500
_MOST_ROUTES = 200
_STATUSES = {"ok": "no error", "error": "an error in any span", "failed": "a failed request"}
_ID, _UUID = "[0-9a-f]{32}", "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TRACE_ID = re.compile(_ID)
_ANY_ID = re.compile(rf"(?<![0-9a-f])(?:{_ID}|{_UUID})(?![0-9a-f])")
#: An id in a traceparent, a log line or an address; not in the value of a filter's term, or in the path of a request.
_NAMED_ID = re.compile(rf"""(?:^|trace[^\s=/]{{0,20}}[=/]["']?|[^0-9a-f=/])({_ID})(?![0-9a-f])""")


def _list(name: str, store: Store, parameters: Parameters, place: tuple[int, int], after: int) -> dict[str, Any]:
    """Return the context of both lists; `place` is limit and skip, `after` how many precede the next page, else 0."""
    (limit, skip), given = place, parameters.given
    # New records do not shift the previous and next pages.
    now = datetime.fromtimestamp(store.now_ns() / 1e9 + 1e-3, UTC)
    until = now.isoformat(timespec="milliseconds").removesuffix("+00:00")

    def at(place: int) -> str:
        return with_query(f"/{name}", **{"to": until} | given | {"skip": str(place) if place else ""})

    kept = {key: value for key, value in given.items() if key not in {"sort", "skip", "limit"}}
    return {
        "address": f"/{name}",
        "wanted": given,
        "filtered": bool(kept),
        "newer": at(max(skip - limit, 0)) if skip else None,
        "older": at(after) if after else None,
        "save": with_query(f"/api/save/{name}", **kept),
        "services": sorted({sender.service for sender in store.senders() if sender.service}),
        "modes": shown_modes(store),
    }


@page("traces", *TRACES)
def traces(console: Console, parameters: Parameters) -> dict[str, Any]:
    store, (limit, skip) = console.store, parameters.listing(50, _MOST_LISTED)
    sort = parameters.choice("sort", SORTS) or "start"
    found = parameters.query(TRACE_FIELDS).find_traces_of(store, limit + 1, skip=skip, sort=sort)
    listed = _list("traces", store, parameters, (limit, skip), skip + limit if len(found) > limit else 0)
    summaries = list(map(summarize, found[:limit]))
    colours = Colours(listed["modes"])
    longest = max((each.duration_ns for each in summaries), default=0) or 1
    routes = {
        str(series.attributes[label])
        for name, label in ((OTLP_METRIC, "http.route"), (SCRAPED_FAMILY, "http_route"))
        for series, _ in store.series(name, points=1)
        if series.attributes.get(label)
    }
    return {
        **listed,
        "rows": [(each, colours[each.mode], 100 * each.duration_ns / longest) for each in summaries],
        "chart": _scatter(summaries),
        "sort": sort,
        "sorts": {name: with_query("/traces", **parameters.given | {"sort": name}) for name in SORTS},
        "kept": store.retained()["spans"],
        "routes": sorted(routes)[:_MOST_ROUTES],
        "statuses": [(status, _STATUSES.get(status, status)) for status in STATUSES],
    }


def _scatter(summaries: list[TraceSummary]) -> Chart:
    """Return duration over time: a point for each trace of the list, which serves as its table."""
    dots = []
    for each in summaries:
        duration = each.duration_ns / 1e9
        title = f"{each.root_name[:100]}, {seconds(duration)}"
        dots.append(Dot(each.start_ns / 1e9, duration, title, f"/traces/{each.trace_id}", failed=each.failed))
    starts = [dot.time for dot in dots] or [0.0]
    return Chart("Duration over time", [min(starts), max(*starts, min(starts) + 1)], (), seconds, dots)


@require_safe
def find(request: HttpRequest, console: Console) -> HttpResponse:
    """Redirect to the trace whose id the text is, in any form, or contains, else to the traces that match as a filter.

    A UUID, or an id in a filter or path, may be another thing's: it counts only if such a trace is kept.
    """
    parameters = Parameters(request, "q", blank=True)
    text = (parameters.text("q") or "").strip()
    found = _trace_id_in(text.lower(), console.store)
    if found is None:
        parameters.query(TRACE_FIELDS)  # an invalid query is reported here, instead of being passed on in a URL
    return HttpResponseRedirect(f"/traces/{found}" if found else with_query("/traces", q=text))


def _trace_id_in(text: str, store: Store) -> str | None:
    whole = text.replace("-", "")
    if _TRACE_ID.fullmatch(whole):
        return whole
    for each in _ANY_ID.findall(text):
        found: str = each.replace("-", "")
        if store.stored_traces(found) or store.stored_logs(found):
            return found
    named = _NAMED_ID.search(text)
    return named[1] if named else None


@page("logs", *LOGS)
def logs(console: Console, parameters: Parameters) -> dict[str, Any]:
    store, (limit, skip) = console.store, parameters.listing(100, _MOST_LISTED)
    kept = store.stored_logs(parameters.trace_id())
    found, more = parameters.query(LOG_FIELDS).find_logs(kept, limit, skip=skip)
    listed = _list("logs", store, parameters, (limit, skip), skip + len(found) if more else 0)
    # They arrive in batches of several workers, each in its own order.
    latest_first = sorted(found, key=lambda record: record.time_ns, reverse=True)
    return {
        **listed,
        "rows": log_rows(latest_first, listed["modes"]),
        "severities": SEVERITIES,
        "kept": store.retained()["log_records"],
    }


def log_rows(records: Iterable[StoredLog], modes: list[str]) -> list[dict[str, Any]]:
    """Return a line for each record: record, level, its mode's colour, and an id that survives a page refresh."""
    same: Counter[str] = Counter()
    colours = Colours(modes)
    rows = []
    for stored in records:
        name = f"log-{stored.time_ns}-{zlib.crc32(stored.raw):x}"
        same[name] += 1
        reached = [level for level, least in SEVERITIES.items() if stored.severity_number >= least]
        row = {
            "record": stored.decode(),
            "id": f"{name}-{same[name]}" if same[name] > 1 else name,
            "level": reached[-1] if reached else "unset",
            "colour": colours[stored.resource.mode],
        }
        rows.append(row)
    return rows
