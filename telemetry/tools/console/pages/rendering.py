"""Views made from functions: endpoints of the JSON API, with their OpenAPI document, and pages, with their files."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import getmembers, isfunction
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import URLPattern, register_converter
from django.urls import path as url
from django.urls.converters import StringConverter
from django.views.decorators.http import require_safe
from jinja2 import Environment, FileSystemLoader

from telemetry.tools.console.asking.parameters import WINDOWS, Parameters
from telemetry.tools.console.asking.search import STATUSES
from telemetry.tools.console.pages import formats
from telemetry.tools.console.storage.records import SEVERITIES
from telemetry.tools.console.storage.traces import SORTS

JSON = "application/json"
OTLP_LINES = "application/x-ndjson"

_IN_PATH = re.compile(r"<\w+:(\w+)>")


class AnyText(StringConverter):
    """A name of any characters, line breaks and slashes included."""

    regex = r"[\s\S]+"


register_converter(AnyText, "any")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path: its answer, its parameters in query and path, and its encoding.

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
    route: str, summary: str, parameters: tuple[str, ...] = (), content_type: str = JSON
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
    "sample": ("the name of a scraped sample, such as `http_server_request_duration_seconds_count`", _TEXT),
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


def operation(each: Endpoint) -> dict[str, Any]:
    """Return the endpoint's operation in an OpenAPI document."""
    answers = {"200": (each.summary, each.content_type), "400": ("a bad parameter", JSON)}
    if each.in_path:
        answers["404"] = ("nothing of it is kept", JSON)
    places = dict.fromkeys(each.parameters, "query") | dict.fromkeys(each.in_path, "path")
    parameters = [
        {"name": name, "in": place, "required": place == "path", **_PARAMETERS[name]} for name, place in places.items()
    ]
    responses = {
        status: {"description": text, "content": {kind: {"schema": {"type": "object"}}}}
        for status, (text, kind) in answers.items()
    }
    return {"operationId": each.name, "summary": each.summary, "parameters": parameters, "responses": responses}


_HERE = Path(__file__).resolve().parents[1]
_TYPES = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}
_ASSETS = {name: (_HERE / "static" / name).read_bytes() for name in _TYPES}

_environment = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_environment.filters.update(getmembers(formats, isfunction))
_environment.globals["parts"] = _environment.get_template("parts.html").module
#: The URL of each file, with the hash of its content, so that browsers may cache it indefinitely.
_environment.globals["assets"] = {
    name.replace(".", "_"): f"/assets/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"
    for name, content in _ASSETS.items()
}


def page(template: str, *names: str) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., HttpResponse]]:
    """Make a page of a function of console, query parameters with these names, and what is in the path.

    The function returns the template's context, in which `status` is the HTTP status if it is not 200.
    """

    def view_of(context_of: Callable[..., dict[str, Any]]) -> Callable[..., HttpResponse]:
        @require_safe
        @wraps(context_of)
        def view(request: HttpRequest, console: object, **in_path: str) -> HttpResponse:
            return _render(request, template, context_of(console, Parameters(request, *names, blank=True), **in_path))

        return view

    return view_of


def _render(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """Return the whole page, or only its block `live` if the script requests it by a header."""
    text = _environment.get_template(f"{template}.html").render(
        context,
        layout="live.html" if request.headers.get("X-Console-Part") == "live" else "page.html",
        section=request.path_info.strip("/").partition("/")[0],
        path=request.get_full_path(),
    )
    return HttpResponse(text, "text/html; charset=utf-8", status=context.get("status", 200))


def error(status: int, message: str, **details: object) -> JsonResponse:
    """The one shape of the API's errors: {"error": {"message": ..., ...}}."""
    return JsonResponse({"error": {"message": message, **details}}, status=status)


def error_page(request: HttpRequest, status: int, message: str, **details: object) -> HttpResponse:
    """Return an error as a page for browsers, otherwise in the API's shape."""
    if "text/html" in request.headers.get("Accept", "") and not request.path_info.startswith("/api"):
        return _render(request, "error", {"status": status, "message": message})
    return error(status, message, **details)


def with_query(url: str, **parameters: str | None) -> str:
    """Return the URL with the parameters that have a value."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{url}?{query}" if query else url


@require_safe
def asset(_request: HttpRequest, _console: object, name: str) -> HttpResponse:
    if name not in _ASSETS:
        raise Http404(f"no file {name}; there are {', '.join(_ASSETS)}")
    response = HttpResponse(_ASSETS[name], content_type=f"{_TYPES[name]}; charset=utf-8")
    response.headers["Cache-Control"] = "max-age=31536000, immutable"
    return response
