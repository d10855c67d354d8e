"""Who produces spans, request metrics and query metrics: the OpenTelemetry contrib instrumentations, patched in once.

Patching makes no provider and no thread, so it may happen before a fork; the API's proxies find the providers later.
"""

import os
from collections.abc import Callable

from django.conf import settings
from opentelemetry import propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# Anchored, since the instrumentation searches them anywhere in the URL, the host included.
UNTRACED_PATHS = ("livez", "readyz", "metrics")
_EXCLUDED_URLS = ",".join(rf"^https?://[^/]+/{path}$" for path in UNTRACED_PATHS)

_PROPAGATORS: dict[str, Callable[[], TextMapPropagator]] = {
    "tracecontext": TraceContextTextMapPropagator,
    "baggage": W3CBaggagePropagator,
}
_PROCESS_METRICS: dict[str, list[str] | None] = {
    "process.cpu.time": ["user", "system"],
    "process.memory.usage": None,
    "process.memory.virtual": None,
    "process.thread.count": None,
    "process.open_file_descriptor.count": None,
    "cpython.gc.collections": None,
    "cpython.gc.collected_objects": None,
    "cpython.gc.uncollectable_objects": None,
}


def patch() -> None:
    """Patch Django, psycopg and sqlite3. Call it once, with Django's settings at hand, before the application is built.

    Raises RuntimeError without DJANGO_SETTINGS_MODULE: the Django instrumentation would configure empty settings
    (https://github.com/open-telemetry/opentelemetry-python-contrib/issues/2023).
    """
    if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
        raise RuntimeError("DJANGO_SETTINGS_MODULE is not set: set it before telemetry is instrumented")
    # Only the stable conventions; read once by the first instrumentation.
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http,database"

    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor

    # A service may answer probes before anything else looks at the request.
    position = getattr(settings, "TELEMETRY_MIDDLEWARE_POSITION", 0)
    DjangoInstrumentor().instrument(excluded_urls=_EXCLUDED_URLS, middleware_position=position)
    PsycopgInstrumentor().instrument()
    SQLite3Instrumentor().instrument()


def observe_process() -> None:
    """Report the process's CPU, memory and garbage collection. Call it in the worker, once its providers are set.

    Only `process.*` and `cpython.*`: the rest would repeat the host's figures once for every worker.
    """
    from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor

    SystemMetricsInstrumentor(config=_PROCESS_METRICS).instrument()


def set_propagators(names: tuple[str, ...]) -> None:
    """Read and write the headers that OTEL_PROPAGATORS names, and no others."""
    propagate.set_global_textmap(CompositePropagator([_PROPAGATORS[name]() for name in names]))
