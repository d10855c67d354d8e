"""The JSON API's endpoints and parameters, and the OpenAPI document of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import get_resolver

from telemetry.tools.console.logs import SEVERITIES
from telemetry.tools.console.query import LOG_FIELDS, STATUSES, TRACE_FIELDS


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path: what it answers, its query parameters, and the one in its path if it has one."""

    summary: str
    parameters: tuple[str, ...] = ()
    path_parameter: str = ""


#: By the names of their URLs.
ENDPOINTS = {
    "api-openapi": Endpoint("this API as an OpenAPI document"),
    "api-summary": Endpoint("counts per signal and mode, evictions, scrape targets"),
    "api-traces": Endpoint("the latest traces that match", (*TRACE_FIELDS, "q", "limit")),
    "api-trace": Endpoint("the spans and log records of a trace", (), "trace_id"),
    "api-metrics": Endpoint("the names of metrics, with unit, type and description", ("limit",)),
    "api-metric": Endpoint("the series of a metric with their latest points", ("mode", "limit", "points"), "name"),
    "api-logs": Endpoint("the latest log records that match", (*LOG_FIELDS, "trace_id", "q", "limit")),
    "healthz": Endpoint("whether the console answers"),
}

_TEXT = {"type": "string"}
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
    "trace_id": ("32 hexadecimal digits", _TRACE_ID),
    "limit": ("the most that is listed", {"type": "integer", "minimum": 1, "maximum": 1000}),
    "points": ("the most points of a series", {"type": "integer", "minimum": 1, "maximum": 10_000}),
}


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    paths = {}
    for name, endpoint in ENDPOINTS.items():
        # The resolver knows each path as a template: "api/traces/%(trace_id)s".
        template = get_resolver("telemetry.tools.console.urls").reverse_dict.getlist(name)[0][0][0][0]
        path = "/" + template.replace("%(", "{").replace(")s", "}")
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
        content = {"application/json": {"schema": {"type": "object"}}}
        paths[path] = {
            "get": {
                "operationId": name,
                "summary": endpoint.summary,
                "parameters": parameters,
                "responses": {status: {"description": text, "content": content} for status, text in answers.items()},
            }
        }
    info = {"title": "Telemetry console", "version": "1", "description": "What the console keeps of each signal."}
    return {"openapi": "3.0.3", "info": info, "paths": paths}
