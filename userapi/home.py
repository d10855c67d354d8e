"""`/`: a page of links."""

from csp import constants as csp
from csp.decorators import csp_replace
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from telemetry import lifecycle
from userapi import __version__


@csp_replace({"script-src": None, "style-src": [csp.SELF], "connect-src": None, "form-action": [csp.NONE]})
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Return the page; it needs no script, no database and no external resources."""
    context = {
        "version": __version__,
        "mode": lifecycle.load_config().mode,
        "open_access": settings.OPEN_ACCESS,
        "console_url": settings.CONSOLE_URL,
    }
    return render(request, "userapi/home.html", context)
