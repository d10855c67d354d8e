"""TELEMETRY_INSTRUMENTATION=contrib: OpenTelemetry's own instrumentations of Django and database drivers, unmodified.

They record through the public API into the same journal and exporter. Log records are recorded as without contrib,
since the logs API has no public names yet. tests/signals/test_contrib.py lists the differences and their reasons.
"""

import re
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.signals import request_started
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from telemetry.config import TelemetryConfig
from telemetry.config.instrumentations import DRIVERS, find
from telemetry.recording.journal import journal
from telemetry.recording.middleware import is_tested
from telemetry.recording.process import Recording

_ANY_HOST = "^[a-z]+://[^/]*"


class OutgoingOnly(TextMapPropagator):
    """Injects headers as `propagator` does, and extracts none: TELEMETRY_INCOMING_CONTEXT=ignore."""

    def __init__(self, propagator: TextMapPropagator) -> None:
        self._propagator = propagator

    def extract(
        self,
        carrier: CarrierT,  # noqa: ARG002  (the client's headers, ignored)
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,  # noqa: ARG002
    ) -> Context:
        return Context() if context is None else context

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        self._propagator.inject(carrier, context, setter)

    @property
    def fields(self) -> set[str]:
        return self._propagator.fields


def install(config: TelemetryConfig, recording: Recording, untraced: Collection[str]) -> None:
    """Run the instrumentations; call this once, before the application is built.

    Requests to the paths in `untraced` are not recorded.
    """
    excluded = [*config.excluded_urls, *(f"{_ANY_HOST}{re.escape(path)}$" for path in sorted(untraced))]
    # After the middleware that answers scrapes, before that of the access record, which belongs to the trace.
    position = list(settings.MIDDLEWARE).index("telemetry.middleware.requests") + 1
    _run("django", excluded_urls=",".join(excluded), middleware_position=position)
    for vendor in sorted({connections[alias].vendor for alias in settings.DATABASES}):
        if driver := DRIVERS.get(vendor):
            _run(driver)
    request_started.connect(partial(_begin, recording), weak=False, dispatch_uid=__name__)


def answering(get_response: Any, answers: Mapping[str, Any]) -> Any:
    """Return a middleware that answers the paths in `answers` with their views, and records nothing."""
    if iscoroutinefunction(get_response):

        async def respond_async(request: HttpRequest) -> HttpResponseBase:
            view = answers.get(request.path_info)
            response: HttpResponseBase = await (sync_to_async(view)(request) if view else get_response(request))
            return response

        return respond_async

    def respond(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = answers.get(request.path_info, get_response)(request)
        return response

    return respond


def _run(name: str, **options: object) -> None:
    found = find(name)
    if found is None:
        raise RuntimeError(f"opentelemetry-instrumentation-{name} is not installed")
    found.load()().instrument(**options)


def _begin(recording: Recording, environ: Any = None, scope: Any = None, **_: object) -> None:
    if journal.ring is None:
        server = environ.get("SERVER_NAME") if environ else ((scope or {}).get("server") or [None])[0]
        if not is_tested(server):
            recording.begin()
