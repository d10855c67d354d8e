"""Pages made of templates, and their files, apart from the process's Django settings, which may be another site's."""

import hashlib
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import getmembers, isfunction
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from jinja2 import Environment, FileSystemLoader

from telemetry.tools.console.asking.parameters import Parameters
from telemetry.tools.console.pages import formats

_HERE = Path(__file__).resolve().parents[1]
_TYPES = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}
_ASSETS = {name: (_HERE / "static" / name).read_bytes() for name in _TYPES}

_environment = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_environment.filters.update(getmembers(formats, isfunction))
_environment.globals["parts"] = _environment.get_template("parts.html").module
#: The address of each file, with its content's hash: a browser may keep it for ever.
_environment.globals["assets"] = {
    name.replace(".", "_"): f"/assets/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"
    for name, content in _ASSETS.items()
}


def page(template: str, *names: str) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., HttpResponse]]:
    """Make a page of a function of console, query parameters with these names, and what is in the path.

    The function returns the template's context, in which `status` is the HTTP status where that is not 200.
    """

    def view_of(context_of: Callable[..., dict[str, Any]]) -> Callable[..., HttpResponse]:
        @require_safe
        @wraps(context_of)
        def view(request: HttpRequest, console: object, **in_path: str) -> HttpResponse:
            return _render(request, template, context_of(console, Parameters(request, *names, blank=True), **in_path))

        return view

    return view_of


def _render(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """The whole page, or only its block `live` where the script asks for it by a header."""
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
    """An error as a page for browsers, else in the API's shape."""
    if "text/html" in request.headers.get("Accept", "") and not request.path_info.startswith("/api"):
        return _render(request, "error", {"status": status, "message": message})
    return error(status, message, **details)


def with_query(url: str, **parameters: str | None) -> str:
    """The URL with those parameters that have a value."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{url}?{query}" if query else url


@require_safe
def asset(_request: HttpRequest, _console: object, name: str) -> HttpResponse:
    """One of the files that pages need."""
    if name not in _ASSETS:
        raise Http404(f"no file {name}; there are {', '.join(_ASSETS)}")
    response = HttpResponse(_ASSETS[name], content_type=f"{_TYPES[name]}; charset=utf-8")
    response.headers["Cache-Control"] = "max-age=31536000, immutable"
    return response
