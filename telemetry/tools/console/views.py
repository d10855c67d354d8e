"""The console's JSON API, and a page that links to it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from django.http import Http404, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from telemetry.tools.console.application import error_response
from telemetry.tools.console.faults import Faults
from telemetry.tools.console.openapi import ENDPOINTS, document
from telemetry.tools.console.parameters import Parameters, checked_trace_id
from telemetry.tools.console.query import LOG_FIELDS, TRACE_FIELDS
from telemetry.tools.console.retention import affordable
from telemetry.tools.console.shapes import (
    log_json,
    metric_json,
    series_json,
    span_json,
    summary_json,
    target_json,
    trace_summary_json,
)
from telemetry.tools.console.spans import summarize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.tools.console.application import ConsoleRequest
    from telemetry.tools.console.metrics import Series
    from telemetry.tools.console.points import StoredPoint

_LISTED = 50
_MOST_LISTED = 1000
_POINTS = 100
_MOST_POINTS = 10_000
_LONGEST_FAULTS = 10_000


@dataclass(frozen=True, slots=True)
class SeriesPart:
    """A series with some of its points."""

    series: Series
    points: Sequence[StoredPoint]

    @property
    def size(self) -> int:
        """What they take in the store (bytes)."""
        return self.series.size + sum(point.size for point in self.points)


def _parameters(request: ConsoleRequest, name: str) -> Parameters:
    """The query parameters, which must be among those of the document."""
    return Parameters(request, *ENDPOINTS[name].parameters)


@require_safe
def index(request: ConsoleRequest) -> HttpResponse:
    """The API's links."""
    Parameters(request)
    rows = (
        (reverse(name), reverse(name), "; ".join([endpoint.summary, *endpoint.parameters]))
        for name, endpoint in ENDPOINTS.items()
        if not endpoint.path_parameter
    )
    links = format_html_join("\n", '<li><a href="{}">{}</a>: {}</li>', rows)
    page = format_html(
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>JSON API</title></head>\n'
        "<body>\n<h1>JSON API</h1>\n<ul>\n{}\n</ul>\n</body>\n</html>\n",
        links,
    )
    return HttpResponse(page, content_type="text/html; charset=utf-8")


@require_safe
def openapi(request: ConsoleRequest) -> HttpResponse:
    """The API's OpenAPI document."""
    _parameters(request, "api-openapi")
    return JsonResponse(document())


@require_safe
def healthz(request: ConsoleRequest) -> HttpResponse:
    """200 while the console answers."""
    Parameters(request)
    return JsonResponse({"status": "ok"})


@require_safe
def summary(request: ConsoleRequest) -> HttpResponse:
    """What has arrived since the start, and what is kept of it."""
    Parameters(request)
    return JsonResponse(summary_json(request.console))


@require_safe
def traces(request: ConsoleRequest) -> HttpResponse:
    """The latest traces."""
    parameters = _parameters(request, "api-traces")
    limit = parameters.integer("limit", _LISTED, _MOST_LISTED)
    found = parameters.query(TRACE_FIELDS).find_traces(request.console.store.stored_traces(), limit)
    return JsonResponse({"traces": [trace_summary_json(summarize(trace)) for trace in found]})


@require_safe
def trace(request: ConsoleRequest, trace_id: str) -> HttpResponse:
    """The spans of one trace with the log records that belong to it."""
    Parameters(request)
    trace_id = checked_trace_id("trace_id", trace_id)
    store = request.console.store
    spans, records = store.stored_trace(trace_id), list(reversed(store.stored_logs(trace_id)))
    if not spans and not records:
        raise Http404(f"no spans and no log records of trace {trace_id} are kept")
    shown = [span_json(span.decode()) for span in affordable(spans, _MOST_LISTED)]
    logged = [log_json(record.decode()) for record in affordable(records, _MOST_LISTED)]
    return JsonResponse(
        {
            "trace_id": trace_id,
            "spans": shown,
            "spans_left_out": len(spans) - len(shown),
            "logs": logged,
            "logs_left_out": len(records) - len(logged),
        }
    )


@require_safe
def metrics(request: ConsoleRequest) -> HttpResponse:
    """The metrics of which points are kept."""
    limit = _parameters(request, "api-metrics").integer("limit", _MOST_LISTED, _MOST_LISTED)
    found = request.console.store.metrics()
    return JsonResponse(
        {"metrics": list(map(metric_json, found[:limit])), "metrics_left_out": max(len(found) - limit, 0)}
    )


@require_safe
def metric(request: ConsoleRequest, name: str) -> HttpResponse:
    """The series of one metric with their latest points."""
    parameters = _parameters(request, "api-metric")
    limit = parameters.integer("limit", _MOST_LISTED, _MOST_LISTED)
    points = parameters.integer("points", _POINTS, _MOST_POINTS)
    store = request.console.store
    described = [metric_json(item) for item in store.metrics() if item.instrument.name == name]
    if not described:
        raise Http404(f"no points of metric {name} are kept; /api/metrics has the names")
    every = [SeriesPart(*item) for item in store.series(name, parameters.text("mode"), points)]
    series = [series_json(part.series, part.points) for part in affordable(every, limit)]
    return JsonResponse(
        {"name": name, "metrics": described, "series": series, "series_left_out": len(every) - len(series)}
    )


@require_safe
def logs(request: ConsoleRequest) -> HttpResponse:
    """The latest log records."""
    parameters = _parameters(request, "api-logs")
    limit = parameters.integer("limit", _LISTED, _MOST_LISTED)
    kept = request.console.store.stored_logs(parameters.trace_id("trace_id"))
    found = parameters.query(LOG_FIELDS).find_logs(kept, limit)
    return JsonResponse({"logs": [log_json(record.decode()) for record in found]})


@require_POST
def scrape(request: ConsoleRequest) -> HttpResponse:
    """Scrape all targets now."""
    Parameters(request)
    return JsonResponse({"scrape_targets": [target_json(target) for target in request.console.scraper.scrape()]})


@require_http_methods(["GET", "PUT", "DELETE"])
def faults(request: ConsoleRequest) -> HttpResponse:
    """The receiver's faults; they can be set only if the console was started so."""
    Parameters(request)
    receiver = request.console.receiver
    if request.method != "GET" and not request.console.allow_faults:
        return error_response(403, "faults can be set only if the console was started with --allow-faults")
    if request.method == "PUT":
        try:
            receiver.faults = Faults.from_json(json.loads(request.read(_LONGEST_FAULTS)))
        except ValueError as error:
            return error_response(400, str(error))
    elif request.method == "DELETE":
        receiver.faults = Faults()
    return JsonResponse({"faults": asdict(receiver.faults)})
