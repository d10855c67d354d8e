"""Who produces what: a middleware the request's span and metrics, a wrapper of Django's cursors those of queries.

Both are put in once. That makes no provider and no thread, so it may happen before a fork; the API's proxies find the
providers later.
"""

import gc
import os
from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic

from django.conf import settings
from opentelemetry import metrics, propagate
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from telemetry.config import IncomingContext
from telemetry.incoming import BoundedBaggagePropagator, IncomingContextReader

_PROPAGATORS: dict[str, Callable[[], TextMapPropagator]] = {
    "tracecontext": TraceContextTextMapPropagator,
    "baggage": BoundedBaggagePropagator,
}
_PROCESS_METRICS: dict[str, list[str] | None] = {
    "process.cpu.time": ["user", "system"],
    "process.memory.usage": None,
    "process.memory.virtual": None,
    "process.thread.count": None,
    "process.open_file_descriptor.count": None,
}
_GARBAGE_METRICS = (
    ("cpython.gc.collections", "collections", "{collection}", "Garbage collections of a generation."),
    ("cpython.gc.collected_objects", "collected", "{object}", "Objects that garbage collections freed."),
    (
        "cpython.gc.uncollectable_objects",
        "uncollectable",
        "{object}",
        "Objects that no garbage collection could free.",
    ),
)


def patch(incoming_context: IncomingContext) -> None:
    """Put the producers into Django. Call it once, with Django's settings at hand, before the application is built.

    `incoming_context` is how far the context that requests bring is trusted.

    Raises RuntimeError without DJANGO_SETTINGS_MODULE.
    """
    if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
        raise RuntimeError("DJANGO_SETTINGS_MODULE is not set: set it before telemetry is instrumented")
    # The stable conventions, for what instrumentations the service adds.
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http,database"

    from telemetry.query_spans import QueryTracers
    from telemetry.request_middleware import RequestMiddleware

    RequestMiddleware.incoming = IncomingContextReader(incoming_context)
    # A service may answer probes before anything else looks at the request.
    position = getattr(settings, "TELEMETRY_MIDDLEWARE_POSITION", 0)
    middleware = list(settings.MIDDLEWARE)
    middleware.insert(position, f"{RequestMiddleware.__module__}.{RequestMiddleware.__qualname__}")
    settings.MIDDLEWARE = middleware
    QueryTracers().install()


def observe_process() -> None:
    """Report the process's CPU, memory, garbage collection and age. Call it in the worker, once its providers are set.

    Only `process.*` and `cpython.*`: the rest would repeat the host's figures once for every worker.
    """
    from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor

    SystemMetricsInstrumentor(config=_PROCESS_METRICS).instrument()
    _observe_garbage_collection()
    _observe_worker()


def _observe_garbage_collection() -> None:
    """Count from now on: a forked worker inherits the figures of its parent, and every worker would repeat them."""
    meter = metrics.get_meter(__name__)
    before = gc.get_stats()

    def observe(key: str, _options: CallbackOptions) -> Iterable[Observation]:
        for generation, (now, then) in enumerate(zip(gc.get_stats(), before, strict=True)):
            yield Observation(now[key] - then[key], {"cpython.gc.generation": generation})

    for name, key, unit, description in _GARBAGE_METRICS:
        meter.create_observable_counter(name, [partial(observe, key)], unit, description)


def _observe_worker() -> None:
    """Tell of each worker that it is there, and for how long: the sum is how many there are, a fall is a restart."""
    from telemetry.bound_metrics import settle_levels

    def count(_options: CallbackOptions) -> Iterable[Observation]:
        settle_levels()  # observable instruments are asked before the others are read
        yield Observation(1)

    meter = metrics.get_meter(__name__)
    started = monotonic()
    meter.create_observable_up_down_counter(
        "telemetry.worker.count", [count], "{worker}", "Processes that serve requests."
    )
    meter.create_observable_gauge(
        "process.uptime",
        [lambda _: [Observation(monotonic() - started)]],
        "s",
        "The time the process has been running.",
    )


def set_propagators(names: tuple[str, ...]) -> None:
    """Read and write the headers that OTEL_PROPAGATORS names, and no others."""
    propagate.set_global_textmap(CompositePropagator([_PROPAGATORS[name]() for name in names]))
