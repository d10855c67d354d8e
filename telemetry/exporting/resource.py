"""The resource of all spans, metrics and log records of the service."""

import socket
from importlib.metadata import version
from typing import Any
from uuid import UUID, uuid5

from telemetry.config import TelemetryConfig

# https://opentelemetry.io/docs/specs/semconv/resource/#service
_SERVICE_INSTANCE_NAMESPACE = UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")


def service_instance_id(place: str, run: int) -> str:
    """Return the id of a run of the service at `place`: the same after a restart."""
    return str(uuid5(_SERVICE_INSTANCE_NAMESPACE, f"{place}/{run}"))


def build_resource(config: TelemetryConfig, place: str, run: int, service_version: str) -> dict[str, Any]:
    """Return the resource of a service that listens at `place`.

    OTEL_RESOURCE_ATTRIBUTES takes precedence; a given instance id is combined with the run, to be unique. What
    identifies the service comes first: of too many attributes, the last ones are dropped.
    """
    given = dict(config.resource_attributes)
    named = given.get("service.instance.id", f"{socket.gethostname()}/{place}")
    identity = {"service.name": config.service_name, "service.instance.id": service_instance_id(named, run)}
    return {
        **identity,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": version("opentelemetry-sdk"),
        "service.version": service_version,
        "export.mode": config.mode,
        **given,
        **identity,
    }
