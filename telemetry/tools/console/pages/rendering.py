"""Templates and files of the pages, apart from the process's Django settings, which may be another site's."""

import hashlib
from collections.abc import Mapping
from inspect import getmembers, isfunction
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_safe
from jinja2 import Environment, FileSystemLoader

from telemetry.tools.console.application import ConsoleRequest
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


def page(request: ConsoleRequest, name: str, context: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    """The page of the template `name`, or only its block `live` where the script asks for it by a header."""
    text = _environment.get_template(f"{name}.html").render(
        context,
        layout="live.html" if request.headers.get("X-Console-Part") == "live" else "page.html",
        section=request.path_info.strip("/").partition("/")[0],
        path=request.get_full_path(),
    )
    return HttpResponse(text, "text/html; charset=utf-8", status=status)


def with_query(url: str, **parameters: str | None) -> str:
    """The URL with those parameters that have a value."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{url}?{query}" if query else url


@require_safe
def asset(_request: ConsoleRequest, name: str) -> HttpResponse:
    """One of the files that pages need."""
    if name not in _ASSETS:
        raise Http404(f"no file {name}; there are {', '.join(_ASSETS)}")
    response = HttpResponse(_ASSETS[name], content_type=f"{_TYPES[name]}; charset=utf-8")
    response.headers["Cache-Control"] = "max-age=31536000, immutable"
    return response
