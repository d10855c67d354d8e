"""Garbage collector metrics of this process; the exporter measures its CPU and memory from outside."""

import gc
from collections.abc import Iterable
from functools import partial

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

_METRICS = (
    ("cpython.gc.collections", "collections", "{collection}", "Garbage collections of a generation."),
    ("cpython.gc.collected_objects", "collected", "{object}", "Objects that garbage collections freed."),
    (
        "cpython.gc.uncollectable_objects",
        "uncollectable",
        "{object}",
        "Objects that no garbage collection could free.",
    ),
)


def observe_runtime(provider: MeterProvider) -> None:
    """Count from now on: forked processes inherit their parent's totals, and each would report them again.

    `provider` is ours, also where the project has made one of its own the global one.
    """
    meter = provider.get_meter("telemetry.instrumentation")
    before = gc.get_stats()

    def observe(key: str, _options: CallbackOptions) -> Iterable[Observation]:
        for generation, (now, then) in enumerate(zip(gc.get_stats(), before, strict=True)):
            yield Observation(now[key] - then[key], {"cpython.gc.generation": generation})

    for name, key, unit, description in _METRICS:
        meter.create_observable_counter(name, [partial(observe, key)], unit, description)
