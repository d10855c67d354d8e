"""What both modes build with: the SDK's providers of the three signals, and how their life ends."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    ExemplarFilter,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import Aggregation, ExplicitBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)

from telemetry import otlp
from telemetry.config import BatchConfig, TelemetryConfig
from telemetry.counted_exporters import CountedLogExporter, CountedMetricExporter, CountedSpanExporter
from telemetry.delivery import Delivery
from telemetry.metric_views import Attributes, build_views
from telemetry.privacy.exporters import RedactingMetricExporter, RedactingSpanExporter

# Of a stop's budget, what is kept for the last push of metrics, which tells what became of the rest.
_LAST_SHARE = 0.3
# What metrics need that are not pushed.
_LOCAL_SECONDS = 0.3
_EXEMPLARS: dict[str, Callable[[], ExemplarFilter]] = {
    "always_on": AlwaysOnExemplarFilter,
    "always_off": AlwaysOffExemplarFilter,
    "trace_based": TraceBasedExemplarFilter,
}


class Scrape(Protocol):
    """What answers `/metrics`."""

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the body and its content type for an Accept header."""


@dataclass(slots=True)
class Pipeline:
    """The providers of one worker, and what became of what they sent."""

    meter_provider: MeterProvider
    tracer_provider: TracerProvider
    logger_provider: LoggerProvider | None
    deliveries: list[Delivery]
    scrape: Scrape | None = None
    _stopped: bool = field(default=False, init=False)
    _lost_before: dict[str, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for delivery in self.deliveries:
            delivery.count_in(self.meter_provider)

    @property
    def failing(self) -> bool:
        """Whether the last export of any signal failed."""
        return any(delivery.failing for delivery in self.deliveries)

    def flush(self, budget: float) -> None:
        """Send what has ended so far; return after `budget` seconds at the latest."""
        providers = [self.tracer_provider, self.logger_provider, self.meter_provider]
        _join(_start([provider.force_flush for provider in providers if provider]), monotonic() + budget)

    def shutdown(self, budget: float) -> None:
        """Send what is left and stop, within `budget` seconds."""
        if self._stopped:
            return
        self._stopped = True
        self._lost_before = {delivery.signal: delivery.lost for delivery in self.deliveries}
        for delivery in self.deliveries:
            delivery.stop()
        others = [delivery for delivery in self.deliveries if delivery.signal != "metrics"]
        deadline = monotonic() + budget
        pushed = len(others) < len(self.deliveries)
        providers = [provider for provider in (self.tracer_provider, self.logger_provider) if provider]
        threads = _start([*(provider.shutdown for provider in providers), self.meter_provider.force_flush])
        _join(threads, deadline - (budget * _LAST_SHARE if pushed else 0))
        for delivery in others:
            delivery.abandon()
        # Once more, and then no more: what became of the last spans and log records is among the metrics.
        _join(_start([self.meter_provider.shutdown]), deadline + (0 if pushed else _LOCAL_SECONDS))

    def dropped(self) -> dict[str, int]:
        """Return how many items of each signal the shutdown did not deliver, or not to the backend's knowledge."""
        for delivery in self.deliveries:
            delivery.abandon()
        return {
            delivery.signal: dropped
            for delivery in self.deliveries
            if (dropped := delivery.lost - self._lost_before.get(delivery.signal, 0))
        }


def _start(actions: Iterable[Callable[[], object]]) -> list[threading.Thread]:
    """Run each action in a thread that may be left behind: the SDK's own time-outs add up, to 28 s with a dead backend.

    https://github.com/open-telemetry/opentelemetry-python/issues/3309
    """
    threads = []
    for action in actions:
        thread = threading.Thread(target=action, name=f"telemetry-{action.__name__}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no new threads while Python 3.12 or newer ends: then one after another
            action()
        else:
            threads.append(thread)
    return threads


def _join(threads: Iterable[threading.Thread], deadline: float) -> None:
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))


def build_meter_provider(
    config: TelemetryConfig,
    resource: Resource,
    reader: MetricReader | None,
    of_service: Attributes,
    histogram: Callable[[Sequence[float]], Aggregation] = ExplicitBucketHistogramAggregation,
) -> MeterProvider:
    """Return the provider of metrics that `reader` collects.

    `of_service`: which attributes the service's own metrics may carry. `histogram` makes aggregations with own buckets.
    """
    return MeterProvider(
        metric_readers=[reader] if reader else [],
        resource=resource,
        exemplar_filter=_EXEMPLARS[config.exemplar_filter](),
        shutdown_on_exit=False,
        views=build_views(histogram, of_service),
    )


def build_push_reader(config: TelemetryConfig, deliveries: list[Delivery]) -> MetricReader | None:
    """Return the reader that exports all metrics at an interval, or None where metrics are not pushed."""
    exporter: MetricExporter
    if config.metrics.exporter == "otlp":
        deliveries.append(delivery := Delivery("metrics", config.metrics.endpoint, config.metrics.protocol))
        exporter = CountedMetricExporter(otlp.metric_exporter(config.metrics, delivery.answered), delivery)
    elif config.metrics.exporter == "console":
        exporter = ConsoleMetricExporter()
    else:
        return None
    exporter = RedactingMetricExporter(exporter)
    return PeriodicExportingMetricReader(
        exporter, config.metric_export_interval * 1e3, config.metric_export_timeout * 1e3
    )


def build_tracer_provider(
    config: TelemetryConfig, resource: Resource, meter_provider: MeterProvider, deliveries: list[Delivery]
) -> TracerProvider:
    """Return the provider of spans, which sends them in batches."""
    provider = TracerProvider(
        sampler=build_sampler(config), resource=resource, shutdown_on_exit=False, meter_provider=meter_provider
    )
    exporter: SpanExporter
    if config.traces.exporter == "otlp":
        deliveries.append(delivery := Delivery("traces", config.traces.endpoint, config.traces.protocol))
        exporter = CountedSpanExporter(otlp.span_exporter(config.traces, delivery.answered), delivery)
    elif config.traces.exporter == "console":
        exporter = ConsoleSpanExporter()
    else:
        return provider
    exporter = RedactingSpanExporter(exporter)
    processor = BatchSpanProcessor(exporter, **_batching(config.span_batch), meter_provider=meter_provider)
    if config.traces.exporter == "otlp":
        delivery.watch(processor)
    provider.add_span_processor(processor)
    return provider


def build_logger_provider(
    config: TelemetryConfig, resource: Resource, meter_provider: MeterProvider, deliveries: list[Delivery]
) -> LoggerProvider | None:
    """Return the provider of log records, or None where they go to standard output alone."""
    if config.logs.exporter != "otlp":
        return None
    deliveries.append(delivery := Delivery("logs", config.logs.endpoint, config.logs.protocol))
    exporter = CountedLogExporter(otlp.log_exporter(config.logs, delivery.answered), delivery)
    processor = BatchLogRecordProcessor(exporter, **_batching(config.log_batch), meter_provider=meter_provider)
    delivery.watch(processor)
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False, meter_provider=meter_provider)
    provider.add_log_record_processor(processor)
    return provider


def build_sampler(config: TelemetryConfig) -> Sampler:
    """Return the sampler that OTEL_TRACES_SAMPLER names.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
    """
    name = config.sampler.removeprefix("parentbased_")
    root: Sampler
    if name == "traceidratio":
        root = TraceIdRatioBased(1.0 if config.sampler_arg is None else config.sampler_arg)
    else:
        root = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}[name]
    return ParentBased(root) if config.sampler.startswith("parentbased_") else root


def _batching(batch: BatchConfig) -> dict[str, Any]:
    return {
        "schedule_delay_millis": batch.schedule_delay * 1e3,
        "max_queue_size": batch.max_queue_size,
        "max_export_batch_size": batch.max_export_batch_size,
        "export_timeout_millis": batch.export_timeout * 1e3,
    }
