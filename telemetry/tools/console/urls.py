"""The URLs of the console: the pages, and below /api the JSON API."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from telemetry.tools.console import views
from telemetry.tools.console.openapi import ENDPOINTS
from telemetry.tools.console.pages.logs import logs
from telemetry.tools.console.pages.metrics import metric, metrics
from telemetry.tools.console.pages.modes import modes
from telemetry.tools.console.pages.overview import overview
from telemetry.tools.console.pages.rendering import asset
from telemetry.tools.console.pages.traces import find, traces
from telemetry.tools.console.pages.waterfall import trace


class AnyText(StringConverter):
    """A name of any characters, line breaks and slashes included."""

    regex = r"[\s\S]+"


register_converter(AnyText, "any")

urlpatterns = [
    path("", overview, name="overview"),
    path("traces", traces, name="traces"),
    path("traces/<str:trace_id>", trace, name="traces-one"),
    path("metrics", metrics, name="metrics"),
    path("metrics/<any:name>", metric, name="metrics-one"),
    path("logs", logs, name="logs"),
    path("modes", modes, name="modes"),
    path("find", find, name="find"),
    path("assets/<str:name>", asset, name="asset"),
    path("api/", views.index, name="api"),
    path("api/scrape", views.scrape, name="api-scrape"),
    path("api/faults", views.faults, name="api-faults"),
    *(endpoint.pattern for endpoint in ENDPOINTS),
]
