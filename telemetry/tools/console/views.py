"""The console's JSON API, and a page that links to it.

A record becomes an object of its fields. Times are ISO 8601 in UTC (`start_ns` becomes `start`), durations milliseconds
(`duration_ms`), missing ids null. Numbers that JSON cannot represent (NaN and the infinities) are strings, as in
OTLP's JSON.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from itertools import chain
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_http_methods, require_POST

from telemetry.exposition.names import label_value
from telemetry.tools.account import as_data
from telemetry.tools.console.asking.parameters import LOGS, TRACES, WINDOWS, Parameters, checked_trace_id
from telemetry.tools.console.asking.search import LOG_FIELDS, TRACE_FIELDS
from telemetry.tools.console.counting.accounts import accounts
from telemetry.tools.console.files import lines_of
from telemetry.tools.console.pages.modes import mode_panels
from telemetry.tools.console.pages.rendering import ENDPOINTS, OTLP_LINES, endpoint, error, operation, page
from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.receiving.values import iso_time
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.metrics import Entry
from telemetry.tools.console.storage.points import Series, StoredPoint
from telemetry.tools.console.storage.records import LogRecord, Resource, Span
from telemetry.tools.console.storage.retention import affordable
from telemetry.tools.console.storage.traces import SORTS, Trace, summarize

Json = dict[str, Any]

#: The most common types in an answer; types derived from them have their own rules.
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
_NULL_IF_EMPTY = ("_id", "event_name")
_SAVED_TRACES, _SAVED_LOGS = (*TRACE_FIELDS, "trace_id", "q"), (*LOG_FIELDS, "trace_id", "q")
_LISTED = 50
_MOST_LISTED = 1000
_POINTS = 100
_MOST_POINTS = 10_000
_LONGEST_FAULTS = 10_000


def as_json(value: Any) -> Any:
    """Return the value converted to JSON types, at any depth."""
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value).replace("inf", "Infinity").replace("nan", "NaN")
    if isinstance(value, Resource):
        value = value.attributes
    elif hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [as_json(item) for item in value]
    if is_dataclass(value):
        return dict(_member(name, getattr(value, name)) for name in value.__dataclass_fields__)
    return value


def _member(name: str, value: Any) -> tuple[str, Any]:
    if name == "duration_ns":
        return "duration_ms", value / 1e6
    if name.endswith("_ns"):
        return name.removesuffix("_ns"), iso_time(value)
    return name, None if value == "" and name.endswith(_NULL_IF_EMPTY) else as_json(value)


def record_json(record: Span | LogRecord) -> Json:
    """Return a span or log record with all of its fields."""
    found = {**as_json(record), "mode": record.resource.mode, "service": record.resource.service}
    if isinstance(record, LogRecord):
        return {**found, "logger": record.scope.name}
    duration_ms = max(record.end_ns - record.start_ns, 0) / 1e6
    return {**found, "start_unix_nano": str(record.start_ns), "duration_ms": duration_ms}


def metric_json(metric: Entry) -> Json:
    return {**asdict(metric.first), "modes": sorted(metric.modes), "series": metric.series}


def series_json(series: Series, points: Sequence[StoredPoint]) -> Json:
    """Return a series with its points, the oldest first."""
    decoded = [as_json(point.decode()) for point in points]
    return {
        "source": series.instrument.source,
        "sample": series.sample or None,
        "mode": series.mode,
        "service": series.service,
        "attributes": as_json(series.attributes),
        "points": [point.pop("data") | point for point in decoded],
    }


@page("api")
def index(_console: Console, _parameters: Parameters) -> Json:
    return {"endpoints": ENDPOINTS}


@endpoint("api/openapi.json", "this API as an OpenAPI document")
def openapi(_console: Console, _parameters: Parameters) -> Json:
    info = {"title": "Telemetry console", "version": "1", "description": "What the console keeps of each signal."}
    return {"openapi": "3.0.3", "info": info, "paths": {each.path: {"get": operation(each)} for each in ENDPOINTS}}


@endpoint("api/summary", "counts per signal and mode, evictions, scrape targets")
def summary(console: Console, _parameters: Parameters) -> Json:
    store, targets = console.store, console.scraper.targets
    counted = accounts(store, targets)
    return {
        "started": iso_time(store.started_ns),
        "modes": {
            name: asdict(totals) | {"requests": totals.requests, "accounts": list(map(as_data, counted.get(name, ())))}
            for name, totals in sorted(store.totals().items())
        },
        "retained": as_json(store.retained()),
        "scrape_targets": as_json(targets),
        "answers": [
            {"protocol": protocol, "signal": signal, "status": status, "count": count}
            for (protocol, signal, status), count in sorted(console.receiver.answers.items())
        ],
    }


@endpoint("api/services", "the processes that have sent something, by service and mode")
def services(console: Console, _parameters: Parameters) -> Json:
    return {
        "services": [
            as_json(sender) | {"signals": {signal: iso_time(time_ns) for signal, time_ns in sender.signals.items()}}
            for sender in console.store.senders()
        ]
    }


@endpoint("api/traces", "the latest traces that match", TRACES)
def traces(console: Console, parameters: Parameters) -> Json:
    limit, skip = parameters.listing(_LISTED, _MOST_LISTED)
    sort = parameters.choice("sort", SORTS) or "start"
    found = parameters.query(TRACE_FIELDS).find_traces_of(console.store, limit + 1, skip=skip, sort=sort)
    return {"traces": [as_json(summarize(trace)) for trace in found[:limit]], "more": len(found) > limit}


@endpoint("api/traces/<str:trace_id>", "the spans and log records of a trace")
def trace(console: Console, _parameters: Parameters, trace_id: str) -> Json:
    trace_id = checked_trace_id(trace_id)
    spans, records = console.store.stored_trace(trace_id), list(reversed(console.store.stored_logs(trace_id)))
    if not spans and not records:
        raise Http404(f"no spans and no log records of trace {trace_id} are kept")
    shown = [record_json(span.decode()) for span in affordable(spans, _MOST_LISTED)]
    logged = [record_json(record.decode()) for record in affordable(records, _MOST_LISTED)]
    return {
        "trace_id": trace_id,
        "spans": shown,
        "spans_left_out": len(spans) - len(shown),
        "logs": logged,
        "logs_left_out": len(records) - len(logged),
    }


@endpoint("api/metrics", "the names of metrics, with unit, type and description", ("limit",))
def metrics(console: Console, parameters: Parameters) -> Json:
    limit = parameters.integer("limit", _MOST_LISTED, _MOST_LISTED)
    found = console.store.metrics()
    return {"metrics": list(map(metric_json, found[:limit])), "metrics_left_out": max(len(found) - limit, 0)}


_OF_METRIC = ("mode", "sample", "q", "limit", "points")


@endpoint("api/metrics/<any:name>", "the series of a metric with their latest points", _OF_METRIC)
def metric(console: Console, parameters: Parameters, name: str) -> Json:
    limit = parameters.integer("limit", _MOST_LISTED, _MOST_LISTED)
    points = parameters.integer("points", _POINTS, _MOST_POINTS)
    described = [metric_json(item) for item in console.store.metrics() if item.first.name == name]
    if not described:
        raise Http404(f"no points of metric {name} are kept; /api/metrics has the names")
    query, sample = parameters.labels(), parameters.text("sample")
    every = [
        (series, kept)
        for series, kept in console.store.series(name, parameters.text("mode"), points)
        if sample in {None, series.sample}
        and query.matches_labels({key: label_value(value) for key, value in series.attributes.items()})
    ]
    sized = affordable(every, limit, lambda each: each[0].size + sum(point.size for point in each[1]))
    shown = [series_json(*each) for each in sized]
    return {"name": name, "metrics": described, "series": shown, "series_left_out": len(every) - len(shown)}


@endpoint("api/logs", "the latest log records that match", LOGS)
def logs(console: Console, parameters: Parameters) -> Json:
    limit, skip = parameters.listing(_LISTED, _MOST_LISTED)
    kept = console.store.stored_logs(parameters.trace_id())
    found, more = parameters.query(LOG_FIELDS).find_logs(kept, limit, skip=skip)
    return {"logs": [record_json(record.decode()) for record in found], "more": more}


@endpoint("api/modes", "rate, failures, durations, losses and processes of each mode", ("window",))
def modes(console: Console, parameters: Parameters) -> Json:
    window = _window(parameters)
    return {"window_seconds": window, "modes": mode_panels(console.store, window)}


@endpoint("api/calls", "which service calls which, with rate, errors and p95", ("window",))
def calls(console: Console, parameters: Parameters) -> Json:
    window = _window(parameters)
    return {"window_seconds": window, "calls": as_json(console.store.calls(window))}


def _window(parameters: Parameters) -> int:
    return 60 * int(parameters.choice("window", WINDOWS) or "5")


@endpoint("api/save", "everything that is kept, as OTLP JSON lines", content_type=OTLP_LINES)
def save(console: Console, _parameters: Parameters) -> HttpResponseBase:
    store = console.store
    traces = lines_of("traces", chain.from_iterable(map(Trace.spans, reversed(store.stored_traces()))))
    logs, metrics = lines_of("logs", reversed(store.stored_logs())), lines_of("metrics", store.stored_points())
    return _download("telemetry", chain(traces, logs, metrics))


@endpoint("api/save/traces", "matching traces and their log records, as OTLP JSON lines", _SAVED_TRACES, OTLP_LINES)
def save_traces(console: Console, parameters: Parameters) -> HttpResponseBase:
    store, trace_id = console.store, parameters.trace_id()
    kept = store.stored_traces(trace_id)
    found = parameters.query(TRACE_FIELDS).find_traces(kept, len(kept))
    ids = [spans[0].trace_id.hex() for spans in found] or ([trace_id] if trace_id else [])
    records = chain.from_iterable(reversed(store.stored_logs(each)) for each in ids)
    name = f"trace-{trace_id}" if trace_id else "traces"
    return _download(name, chain(lines_of("traces", chain.from_iterable(found)), lines_of("logs", records)))


@endpoint("api/save/logs", "the log records that match, as OTLP JSON lines", _SAVED_LOGS, OTLP_LINES)
def save_logs(console: Console, parameters: Parameters) -> HttpResponseBase:
    query = parameters.query(LOG_FIELDS)
    kept = reversed(console.store.stored_logs(parameters.trace_id()))
    return _download("logs", lines_of("logs", query.matching_logs(kept)))


def _download(name: str, lines: Iterable[bytes]) -> HttpResponseBase:
    disposition = {"Content-Disposition": f'attachment; filename="{name}.jsonl"'}
    return StreamingHttpResponse(lines, content_type=OTLP_LINES, headers=disposition)


@endpoint("healthz", "whether the console answers")
def healthz(_console: Console, _parameters: Parameters) -> Json:
    return {"status": "ok"}


@require_POST
def scrape(request: HttpRequest, console: Console) -> HttpResponse:
    Parameters(request)
    return JsonResponse({"scrape_targets": as_json(console.scraper.scrape())})


@require_http_methods(["GET", "PUT", "DELETE"])
def faults(request: HttpRequest, console: Console) -> HttpResponse:
    """The receiver's faults; they can be set only if the console was started so."""
    Parameters(request)
    if request.method != "GET" and not console.allow_faults:
        return error(403, "faults can be set only if the console was started with --allow-faults")
    if request.method == "PUT":
        try:
            console.receiver.faults = Faults.from_json(json.loads(request.read(_LONGEST_FAULTS)))
        except (ValueError, RecursionError) as bad:
            return error(400, str(bad))
    elif request.method == "DELETE":
        console.receiver.faults = Faults()
    return JsonResponse({"faults": asdict(console.receiver.faults)})
