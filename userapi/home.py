"""`/`: a page of links."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from telemetry import lifecycle
from userapi import __version__

_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Return the page; it needs no script, no database and nothing from elsewhere."""
    context = {
        "version": __version__,
        "mode": lifecycle.load_config().mode,
        "open_access": settings.OPEN_ACCESS,
        "console_url": settings.CONSOLE_URL,
    }
    response = render(request, "userapi/home.html", context)
    response["Content-Security-Policy"] = _POLICY
    return response
