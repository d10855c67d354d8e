"""The JSON API's endpoints, each declared where it is answered, and the OpenAPI document of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import URLPattern, register_converter
from django.urls import path as url
from django.urls.converters import StringConverter
from django.views.decorators.http import require_safe

from telemetry.tools.console.asking.parameters import WINDOWS, Parameters
from telemetry.tools.console.asking.query import STATUSES
from telemetry.tools.console.storage.records import SEVERITIES
from telemetry.tools.console.storage.traces import SORTS

OTLP_LINES = "application/x-ndjson"

_JSON = "application/json"
_IN_PATH = re.compile(r"<\w+:(\w+)>")


class AnyText(StringConverter):
    """A name of any characters, line breaks and slashes included."""

    regex = r"[\s\S]+"


register_converter(AnyText, "any")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path: what it answers, its parameters in the query and in the path, and how it is encoded.

    `path` is as OpenAPI writes it, `/api/traces/{trace_id}`; `pattern` is the entry for Django's resolver.
    """

    name: str
    path: str
    pattern: URLPattern
    summary: str
    parameters: tuple[str, ...]
    in_path: list[str]
    content_type: str


#: In the order of the list at `/api/`.
ENDPOINTS: list[Endpoint] = []


def endpoint(
    route: str, summary: str, parameters: tuple[str, ...] = (), content_type: str = _JSON
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make an endpoint of a function of console, parameters and what is in the path, which answers a JSON object."""

    def register(answer: Callable[..., Any]) -> Callable[..., Any]:
        @require_safe
        def view(request: HttpRequest, console: object, **in_path: str) -> HttpResponseBase:
            found = answer(console, Parameters(request, *parameters), **in_path)
            return JsonResponse(found) if isinstance(found, dict) else found

        name, path = f"api-{answer.__name__.replace('_', '-')}", "/" + _IN_PATH.sub(r"{\1}", route)
        found = Endpoint(name, path, url(route, view), summary, parameters, _IN_PATH.findall(route), content_type)
        ENDPOINTS.append(found)
        return answer

    return register


_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_TRACE_ID = {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"}
_DESCRIBED: dict[str, tuple[str, dict[str, Any]]] = {
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
_PARAMETERS = {name: {"description": text, "schema": schema} for name, (text, schema) in _DESCRIBED.items()}


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    info = {"title": "Telemetry console", "version": "1", "description": "What the console keeps of each signal."}
    return {"openapi": "3.0.3", "info": info, "paths": {each.path: {"get": _operation(each)} for each in ENDPOINTS}}


def _operation(each: Endpoint) -> dict[str, Any]:
    answers = {"200": (each.summary, each.content_type), "400": ("a bad parameter", _JSON)}
    if each.in_path:
        answers["404"] = ("nothing of it is kept", _JSON)
    places = dict.fromkeys(each.parameters, "query") | dict.fromkeys(each.in_path, "path")
    parameters = [
        {"name": name, "in": place, "required": place == "path", **_PARAMETERS[name]} for name, place in places.items()
    ]
    responses = {
        status: {"description": text, "content": {kind: {"schema": {"type": "object"}}}}
        for status, (text, kind) in answers.items()
    }
    return {"operationId": each.name, "summary": each.summary, "parameters": parameters, "responses": responses}
