"""The console's JSON API, and a page that links to it."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from django.http import Http404, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from telemetry.exposition.names import label_value
from telemetry.tools.console.application import ConsoleRequest, error_response
from telemetry.tools.console.faults import Faults
from telemetry.tools.console.files import lines_of
from telemetry.tools.console.openapi import ENDPOINTS, OTLP_LINES, WINDOWS, document, path_of
from telemetry.tools.console.pages.overview import mode_panels
from telemetry.tools.console.pages.rendering import page
from telemetry.tools.console.parameters import Parameters, checked_trace_id
from telemetry.tools.console.points import Series, StoredPoint
from telemetry.tools.console.query import LOG_FIELDS, SORTS, TRACE_FIELDS
from telemetry.tools.console.retention import affordable
from telemetry.tools.console.shapes import (
    as_json,
    calls_json,
    log_json,
    metric_json,
    panel_json,
    sender_json,
    series_json,
    span_json,
    summary_json,
)
from telemetry.tools.console.spans import summarize

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
    """The API's endpoints."""
    Parameters(request)
    return page(request, "api", {"endpoints": [(path_of(name), endpoint) for name, endpoint in ENDPOINTS.items()]})


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
def services(request: ConsoleRequest) -> HttpResponse:
    """The processes that have sent something."""
    Parameters(request)
    return JsonResponse({"services": list(map(sender_json, request.console.store.senders()))})


@require_safe
def traces(request: ConsoleRequest) -> HttpResponse:
    """The latest traces."""
    parameters = _parameters(request, "api-traces")
    limit, skip = parameters.listing(_LISTED, _MOST_LISTED)
    sort = parameters.choice("sort", SORTS) or "start"
    kept = request.console.store.stored_traces()
    found = parameters.query(TRACE_FIELDS).find_traces(kept, limit, skip=skip, sort=sort)
    return JsonResponse({"traces": [as_json(summarize(trace)) for trace in found]})


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
    query = parameters.labels()
    every = [
        SeriesPart(series, kept)
        for series, kept in store.series(name, parameters.text("mode"), points)
        if query.matches_labels({key: label_value(value) for key, value in series.attributes.items()})
    ]
    series = [series_json(part.series, part.points) for part in affordable(every, limit)]
    return JsonResponse(
        {"name": name, "metrics": described, "series": series, "series_left_out": len(every) - len(series)}
    )


@require_safe
def logs(request: ConsoleRequest) -> HttpResponse:
    """The latest log records."""
    parameters = _parameters(request, "api-logs")
    limit, skip = parameters.listing(_LISTED, _MOST_LISTED)
    kept = request.console.store.stored_logs(parameters.trace_id("trace_id"))
    found = parameters.query(LOG_FIELDS).find_logs(kept, limit, skip=skip)
    return JsonResponse({"logs": [log_json(record.decode()) for record in found]})


@require_safe
def modes(request: ConsoleRequest) -> HttpResponse:
    """The figures of each mode, side by side."""
    window = _window(_parameters(request, "api-modes"))
    return JsonResponse(
        {"window_seconds": window, "modes": list(map(panel_json, mode_panels(request.console, window)))}
    )


@require_safe
def calls(request: ConsoleRequest) -> HttpResponse:
    """Which service calls which."""
    window = _window(_parameters(request, "api-calls"))
    return JsonResponse({"window_seconds": window, "calls": list(map(calls_json, request.console.store.calls(window)))})


def _window(parameters: Parameters) -> int:
    return 60 * int(parameters.choice("window", WINDOWS) or "5")


@require_safe
def save(request: ConsoleRequest) -> HttpResponseBase:
    """Everything that is kept."""
    Parameters(request)
    store = request.console.store
    parts: list[tuple[str, Callable[[], Iterable[Any]]]] = [
        ("traces", lambda: chain.from_iterable(reversed(store.stored_traces()))),
        ("logs", lambda: reversed(store.stored_logs())),
        ("metrics", store.stored_points),
    ]
    return _download("telemetry", (line for signal, read in parts for line in lines_of(signal, read())))


@require_safe
def save_traces(request: ConsoleRequest) -> HttpResponseBase:
    """The spans and log records of the traces that match."""
    parameters = _parameters(request, "api-save-traces")
    store, trace_id = request.console.store, parameters.trace_id("trace_id")
    traces = [spans for spans in [store.stored_trace(trace_id)] if spans] if trace_id else store.stored_traces()
    found = parameters.query(TRACE_FIELDS).find_traces(traces, len(traces))
    ids = [spans[0].trace_id.hex() for spans in found] or ([trace_id] if trace_id else [])
    records = chain.from_iterable(reversed(store.stored_logs(each)) for each in ids)
    name = f"trace-{trace_id}" if trace_id else "traces"
    return _download(name, chain(lines_of("traces", chain.from_iterable(found)), lines_of("logs", records)))


@require_safe
def save_logs(request: ConsoleRequest) -> HttpResponseBase:
    """The log records that match."""
    parameters = _parameters(request, "api-save-logs")
    query = parameters.query(LOG_FIELDS)
    kept = reversed(request.console.store.stored_logs(parameters.trace_id("trace_id")))
    return _download("logs", lines_of("logs", (record for record in kept if query.matches_log(record))))


def _download(name: str, lines: Iterable[bytes]) -> HttpResponseBase:
    disposition = {"Content-Disposition": f'attachment; filename="{name}.jsonl"'}
    return StreamingHttpResponse(lines, content_type=OTLP_LINES, headers=disposition)


@require_POST
def scrape(request: ConsoleRequest) -> HttpResponse:
    """Scrape all targets now."""
    Parameters(request)
    return JsonResponse({"scrape_targets": as_json(request.console.scraper.scrape())})


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
