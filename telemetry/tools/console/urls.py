"""The URLs of the console: the pages, and below /api the JSON API."""

from django.urls import path

from telemetry.tools.console import views
from telemetry.tools.console.pages.lists import find, logs, traces
from telemetry.tools.console.pages.metrics import metric, metrics
from telemetry.tools.console.pages.modes import modes, overview
from telemetry.tools.console.pages.rendering import ENDPOINTS, asset
from telemetry.tools.console.pages.waterfall import trace

urlpatterns = [
    path("", overview),
    path("traces", traces),
    path("traces/<str:trace_id>", trace),
    path("metrics", metrics),
    path("metrics/<any:name>", metric),
    path("logs", logs),
    path("modes", modes),
    path("find", find),
    path("assets/<str:name>", asset),
    path("api/", views.index),
    path("api/scrape", views.scrape),
    path("api/faults", views.faults),
    *(endpoint.pattern for endpoint in ENDPOINTS),
]
