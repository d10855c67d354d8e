"""Values determined by several variables together."""

from dataclasses import dataclass

from telemetry.config import variables
from telemetry.config.instrumentations import DRIVERS, find
from telemetry.config.reader import DEFAULT, Environment, derived_from
from telemetry.config.values import Instrumentation, Mode, Pairs


@dataclass(frozen=True, slots=True)
class BatchConfig:
    """How spans or log records are collected into batches. Times are in seconds."""

    schedule_delay: float
    max_queue_size: int | None
    """None if only the bytes of the spool are limited."""
    max_export_batch_size: int
    export_timeout: float | None
    """None if only the exporter's own timeout limits a request."""


def mode(environment: Environment) -> Mode:
    """Return the mode: off if the SDK is disabled."""
    chosen = environment.value("mode", variables.MODE)
    if environment.given(variables.SDK_DISABLED):
        environment.sources["mode"] = environment.named(variables.SDK_DISABLED)
        return "off"
    return chosen


def instrumentation(environment: Environment) -> Instrumentation:
    """Return the instrumentation; refuse contrib if it is not installed or contradicts other variables."""
    chosen = environment.value("instrumentation", variables.INSTRUMENTATION)
    if chosen == "native":
        return chosen
    for name in ("django", *DRIVERS.values()):
        if find(name) is None:
            reason = f"needs the package opentelemetry-instrumentation-{name}"
            environment.refuse(variables.INSTRUMENTATION, reason, "native, or contrib with its packages installed")
    if environment.given(variables.INCOMING_CONTEXT) == "link":
        reason = f"needs {variables.INSTRUMENTATION.name}=native"
        environment.refuse(variables.INCOMING_CONTEXT, reason, "trust or ignore with contrib")
    return chosen


def resource(environment: Environment) -> tuple[str, Pairs]:
    """Return `service.name` and the other attributes of the resource."""
    pairs: Pairs = environment.value("resource_attributes", variables.RESOURCE_ATTRIBUTES)
    attributes = dict(pairs)
    name = environment.value("service_name", variables.SERVICE_NAME)
    named_there = attributes.pop("service.name", "")
    if named_there and environment.sources["service_name"] == DEFAULT:
        name = named_there
        environment.sources["service_name"] = environment.named(variables.RESOURCE_ATTRIBUTES)
    return name, tuple(attributes.items())


def batch(environment: Environment, prefix: str, names: variables.BatchVariables) -> BatchConfig:
    """Return the batch settings, with batches no larger than the queue; `prefix` is that of its fields."""
    queue = environment.value(f"{prefix}.max_queue_size", names.max_queue_size)
    size = environment.value(f"{prefix}.max_export_batch_size", names.max_export_batch_size)
    if queue is not None and size > queue:
        if environment.sources[f"{prefix}.max_export_batch_size"] == DEFAULT:
            source = derived_from(environment.named(names.max_queue_size))
            environment.sources[f"{prefix}.max_export_batch_size"] = source
            size = queue
        else:
            accepted = f"1 to {queue} ({names.max_queue_size.name})"
            environment.refuse(names.max_export_batch_size, "is larger than the queue", accepted)
    return BatchConfig(
        schedule_delay=environment.value(f"{prefix}.schedule_delay", names.schedule_delay),
        max_queue_size=queue,
        max_export_batch_size=size,
        export_timeout=environment.value(f"{prefix}.export_timeout", names.export_timeout),
    )


def metric_times(environment: Environment) -> tuple[float, float | None]:
    """Return the interval of pushes and their timeout, at most the interval; None if it is unset."""
    interval = environment.value("metric_export_interval", variables.METRIC_EXPORT_INTERVAL)
    timeout = environment.value("metric_export_timeout", variables.METRIC_EXPORT_TIMEOUT)
    if timeout is None or timeout <= interval:
        return interval, timeout
    environment.warn(
        variables.METRIC_EXPORT_TIMEOUT,
        f"is longer than {variables.METRIC_EXPORT_INTERVAL.name}, which is used instead: {interval * 1000:.0f} ms",
    )
    environment.sources["metric_export_timeout"] = derived_from(environment.sources["metric_export_interval"])
    return interval, interval


def spool(environment: Environment) -> tuple[str | None, int]:
    """Return the spool's folder, None for shared memory, and its bytes per signal."""
    folder = environment.value("spool_dir", variables.SPOOL_DIR)
    size = environment.value("spool_bytes", variables.SPOOL_BYTES)
    if size is None:
        environment.sources["spool_bytes"] = derived_from(environment.sources["spool_dir"])
        size = variables.DISK_SPOOL_BYTES if folder else variables.MEMORY_SPOOL_BYTES
    return folder, size


def sampler(environment: Environment) -> tuple[str, float | None]:
    """Return the sampler and its ratio, None if it takes none."""
    chosen = environment.value("sampler", variables.SAMPLER)
    share = environment.value("sampler_arg", variables.SAMPLER_ARG)
    if variables.takes_ratio(chosen):
        return chosen, share
    if environment.text(variables.SAMPLER_ARG):
        environment.warn(variables.SAMPLER_ARG, f"is not used by the sampler {chosen} ({variables.SAMPLER.name})")
    environment.sources["sampler_arg"] = derived_from(environment.sources["sampler"])
    return chosen, None
