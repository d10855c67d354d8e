"""Mode `direct`: no collector. The service answers `/metrics`, and sends traces and logs straight to the backends."""

import atexit
from pathlib import Path

from opentelemetry.sdk.resources import Resource

from telemetry.config import TelemetryConfig
from telemetry.delivery import Delivery
from telemetry.exposition import Exposition
from telemetry.metric_views import Attributes
from telemetry.providers import (
    Pipeline,
    build_logger_provider,
    build_meter_provider,
    build_push_reader,
    build_tracer_provider,
)
from telemetry.shared_metrics import SharedMemoryMetricReader
from telemetry.shared_state import WorkerState
from telemetry.state_directory import create_state_directory
from telemetry.worker import Worker


def build(config: TelemetryConfig, resource: Resource, worker: Worker, of_service: Attributes) -> Pipeline:
    """Return the providers of one worker; `of_service`: what the service's own metrics may carry."""
    deliveries: list[Delivery] = []
    scrape = None
    if config.metrics.exporter == "prometheus":
        directory = worker.state_directory or _own_state_directory()
        reader = SharedMemoryMetricReader(WorkerState(directory, worker.slot), merges={"process.uptime": "min"})
        meter_provider = build_meter_provider(config, resource, reader, of_service, reader.histogram)
        scrape = Exposition(directory, resource.attributes, reader.refresh)
    else:
        meter_provider = build_meter_provider(config, resource, build_push_reader(config, deliveries), of_service)
    return Pipeline(
        meter_provider=meter_provider,
        tracer_provider=build_tracer_provider(config, resource, meter_provider, deliveries),
        logger_provider=build_logger_provider(config, resource, meter_provider, deliveries),
        deliveries=deliveries,
        scrape=scrape,
    )


def _own_state_directory() -> Path:
    """Make the directory of a process that serves alone; it goes with the process."""
    directory = create_state_directory()
    atexit.register(directory.close)
    return directory.path
