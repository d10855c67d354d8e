"""The JSON API's endpoints and parameters, and the OpenAPI document of them."""

from dataclasses import dataclass
from typing import Any

from django.urls import get_resolver

from telemetry.tools.console.logs import SEVERITIES
from telemetry.tools.console.query import LOG_FIELDS, SORTS, STATUSES, TRACE_FIELDS


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path: what it answers, its query parameters, the one in its path if it has one, and how it is encoded."""

    summary: str
    parameters: tuple[str, ...] = ()
    path_parameter: str = ""
    content_type: str = "application/json"


OTLP_LINES = "application/x-ndjson"

#: Minutes that figures and charts are about, by what the address says.
WINDOWS = {"1": "1 min", "5": "5 min", "15": "15 min", "30": "30 min"}

#: By the names of their URLs.
ENDPOINTS = {
    "api-openapi": Endpoint("this API as an OpenAPI document"),
    "api-summary": Endpoint("counts per signal and mode, evictions, scrape targets"),
    "api-services": Endpoint("the processes that have sent something, by service and mode"),
    "api-traces": Endpoint("the latest traces that match", (*TRACE_FIELDS, "q", "sort", "skip", "limit")),
    "api-trace": Endpoint("the spans and log records of a trace", (), "trace_id"),
    "api-metrics": Endpoint("the names of metrics, with unit, type and description", ("limit",)),
    "api-metric": Endpoint("the series of a metric with their latest points", ("mode", "q", "limit", "points"), "name"),
    "api-logs": Endpoint("the latest log records that match", (*LOG_FIELDS, "trace_id", "q", "skip", "limit")),
    "api-modes": Endpoint("rate, failures, durations, losses and processes of each mode", ("window",)),
    "api-calls": Endpoint("which service calls which, with rate, errors and p95", ("window",)),
    "api-save": Endpoint("everything that is kept, as OTLP JSON lines", (), "", OTLP_LINES),
    "api-save-traces": Endpoint(
        "the traces that match and their log records, as OTLP JSON lines",
        (*TRACE_FIELDS, "trace_id", "q"),
        "",
        OTLP_LINES,
    ),
    "api-save-logs": Endpoint(
        "the log records that match, as OTLP JSON lines", (*LOG_FIELDS, "trace_id", "q"), "", OTLP_LINES
    ),
    "healthz": Endpoint("whether the console answers"),
}

_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_TRACE_ID = {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"}
_PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "mode": ("`export.mode` of the resource", _TEXT),
    "service": ("`service.name` of the resource", _TEXT),
    "route": ("`http.route` of a span", _TEXT),
    "logger": ("the name of the logger", _TEXT),
    "name": ("the name of a metric, in OpenTelemetry or Prometheus", _TEXT),
    "status": ("of the trace, or of the answer to its request", {"type": "string", "enum": list(STATUSES)}),
    "severity": ("the lowest severity", {"type": "string", "enum": list(SEVERITIES)}),
    "min_ms": ("the shortest duration of a trace, in milliseconds", {"type": "number", "minimum": 0}),
    "q": ('terms such as `http.route=/users duration>200ms "some text"`, all of which have to match', _TEXT),
    "from": ("the earliest start, ISO 8601 in UTC", _TIME),
    "to": ("the latest start, ISO 8601 in UTC", _TIME),
    "sort": ("`start`: the latest first; `duration`: the longest first", {"type": "string", "enum": list(SORTS)}),
    "skip": ("how many that match to leave out", {"type": "integer", "minimum": 1, "maximum": 1_000_000}),
    "window": ("minutes", {"type": "string", "enum": list(WINDOWS)}),
    "trace_id": ("32 hexadecimal digits", _TRACE_ID),
    "limit": ("the most that is listed", {"type": "integer", "minimum": 1, "maximum": 1000}),
    "points": ("the most points of a series", {"type": "integer", "minimum": 1, "maximum": 10_000}),
}


def path_of(name: str) -> str:
    """The path of an endpoint, as OpenAPI writes it: `/api/traces/{trace_id}`."""
    # The resolver knows it as "api/traces/%(trace_id)s".
    template: str = get_resolver("telemetry.tools.console.urls").reverse_dict.getlist(name)[0][0][0][0]
    return "/" + template.replace("%(", "{").replace(")s", "}")


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    paths = {}
    for name, endpoint in ENDPOINTS.items():
        given = [(each, "query") for each in endpoint.parameters]
        given += [(endpoint.path_parameter, "path")] if endpoint.path_parameter else []
        parameters = [
            {
                "name": each,
                "in": place,
                "required": place == "path",
                "description": _PARAMETERS[each][0],
                "schema": _PARAMETERS[each][1],
            }
            for each, place in given
        ]
        answers = {"200": endpoint.summary, "400": "a bad parameter"}
        if endpoint.path_parameter:
            answers["404"] = "nothing of it is kept"
        schema = {"schema": {"type": "object"}}
        paths[path_of(name)] = {
            "get": {
                "operationId": name,
                "summary": endpoint.summary,
                "parameters": parameters,
                "responses": {
                    status: {
                        "description": text,
                        "content": {endpoint.content_type if status == "200" else "application/json": schema},
                    }
                    for status, text in answers.items()
                },
            }
        }
    info = {"title": "Telemetry console", "version": "1", "description": "What the console keeps of each signal."}
    return {"openapi": "3.0.3", "info": info, "paths": paths}
