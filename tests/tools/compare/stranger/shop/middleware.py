"""Answers /metrics before anything counts it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from telemetry.views import metrics


def metrics_first(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    return lambda request: metrics(request) if request.path == "/metrics" else get_response(request)
