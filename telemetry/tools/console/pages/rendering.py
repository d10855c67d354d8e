"""Templates and files of the pages, apart from the process's Django settings, which may be another site's."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.template import Context, Engine
from django.urls import reverse
from django.views.decorators.http import require_safe

from telemetry.tools.console.application import ConsoleRequest

_HERE = Path(__file__).resolve().parents[1]
_ASSETS = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}
_NAVIGATION = (
    ("overview", "Overview"), ("traces", "Traces"), ("metrics", "Metrics"), ("logs", "Logs"), ("modes", "Modes"),
)  # fmt: skip
#: The header with which the script asks for the part of a page that changes.
_PART = "HTTP_X_CONSOLE_PART"

_engine = Engine(
    dirs=[str(_HERE / "templates")],
    builtins=["telemetry.tools.console.pages.formats"],
    autoescape=True,
    string_if_invalid="",
)


def page(request: ConsoleRequest, template: str, context: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    """The page `template`, or only its live part where the script asks for it.

    A page `x.html` extends `page.html` and includes its live part `x.live.html`.
    """
    values = {**context, "live_template": f"console/{template}.live.html"}
    if request.META.get(_PART) == "live":
        name = f"console/{template}.live.html"
    else:
        name = f"console/{template}.html"
        match = request.resolver_match
        section = (match.url_name or "").partition("-")[0] if match else ""
        values |= {"section": section, "navigation": _navigation(), "assets": _urls(), "path": request.get_full_path()}
    return HttpResponse(
        _engine.get_template(name).render(Context(values, use_l10n=False)), "text/html; charset=utf-8", status=status
    )


def error_page(request: ConsoleRequest, status: int, message: str) -> HttpResponse:
    """An error for people."""
    return page(request, "error", {"status": status, "message": message}, status=status)


def with_query(url: str, **parameters: str | None) -> str:
    """The URL with those parameters that have a value."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{url}?{query}" if query else url


def _navigation() -> list[tuple[str, str, str]]:
    return [(name, reverse(name), title) for name, title in _NAVIGATION]


@cache
def _asset(name: str) -> bytes:
    return (_HERE / "static" / name).read_bytes()


def _urls() -> dict[str, str]:
    """The address of each file, with its content's hash: a browser may keep it for ever."""
    return {
        name.replace(".", "_"): f"{reverse('asset', args=[name])}?v={hashlib.sha256(_asset(name)).hexdigest()[:12]}"
        for name in _ASSETS
    }


@require_safe
def asset(_request: ConsoleRequest, name: str) -> HttpResponse:
    """One of the files that pages need."""
    if name not in _ASSETS:
        raise Http404(f"no file {name}; there are {', '.join(_ASSETS)}")
    response = HttpResponse(_asset(name), content_type=f"{_ASSETS[name]}; charset=utf-8")
    response.headers["Cache-Control"] = "max-age=31536000, immutable"
    return response
