"""Mode `collector`: traces, metrics and logs are pushed by OTLP to one collector."""

from opentelemetry.sdk.resources import Resource

from telemetry.config import TelemetryConfig
from telemetry.delivery import Delivery
from telemetry.metric_views import Attributes
from telemetry.providers import (
    Pipeline,
    build_logger_provider,
    build_meter_provider,
    build_push_reader,
    build_tracer_provider,
)
from telemetry.worker import Worker


def build(config: TelemetryConfig, resource: Resource, worker: Worker, of_service: Attributes) -> Pipeline:  # noqa: ARG001
    """Return the providers of one worker; `of_service`: what the service's own metrics may carry."""
    deliveries: list[Delivery] = []
    meter_provider = build_meter_provider(config, resource, build_push_reader(config, deliveries), of_service)
    return Pipeline(
        meter_provider=meter_provider,
        tracer_provider=build_tracer_provider(config, resource, meter_provider, deliveries),
        logger_provider=build_logger_provider(config, resource, meter_provider, deliveries),
        deliveries=deliveries,
    )
