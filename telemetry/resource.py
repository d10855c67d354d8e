"""Who sends: the resource that every span, metric and log record of one worker carries."""

import socket
from importlib.metadata import version
from uuid import UUID, uuid5

from opentelemetry.sdk.resources import Resource

from telemetry.config import TelemetryConfig
from telemetry.worker import Worker

# https://opentelemetry.io/docs/specs/semconv/resource/#service
_SERVICE_INSTANCE_NAMESPACE = UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")


def service_instance_id(place: str, slot: int) -> str:
    """Return the id of the worker in `slot` of the service at `place`: the same after a restart or a recycle.

    A random id for each process would start new series with every recycled worker, which `rate()` cannot follow.
    """
    return str(uuid5(_SERVICE_INSTANCE_NAMESPACE, f"{place}/{slot}"))


def build_resource(config: TelemetryConfig, worker: Worker, service_version: str) -> Resource:
    """Return the resource of `worker`.

    OTEL_RESOURCE_ATTRIBUTES wins, but for the instance id: theirs names the service, the slot tells its workers apart.
    """
    given = dict(config.resource_attributes)
    place = given.get("service.instance.id", f"{socket.gethostname()}/{worker.address}")
    return Resource(
        {
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": version("opentelemetry-sdk"),
            "service.version": service_version,
            "export.mode": config.mode,
            **given,
            "service.name": config.service_name,
            "service.instance.id": service_instance_id(place, worker.slot),
        }
    )
