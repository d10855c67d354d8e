"""The URLs of the console."""

from django.urls import path

from telemetry.console import views

urlpatterns = [
    path("", views.index, name="index"),
    path("healthz", views.healthz, name="healthz"),
    path("api/summary", views.summary, name="api-summary"),
    path("api/traces", views.traces, name="api-traces"),
    path("api/traces/<str:trace_id>", views.trace, name="api-trace"),
    path("api/metrics", views.metrics, name="api-metrics"),
    path("api/metrics/<path:name>", views.metric, name="api-metric"),
    path("api/logs", views.logs, name="api-logs"),
    path("api/scrape", views.scrape, name="api-scrape"),
    path("api/faults", views.faults, name="api-faults"),
]
