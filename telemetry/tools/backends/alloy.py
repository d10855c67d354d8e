"""Grafana Alloy: readiness, its own counters, and the health of its components."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from prometheus_client.parser import text_string_to_metric_families

from telemetry.tools.backends.http import Backend

HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class Count:
    """One sample of Alloy's own metrics."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Component:
    """One component of its configuration, with its health: healthy, unhealthy, unknown or exited."""

    id: str
    health: str
    message: str


class Alloy(Backend):
    """An Alloy with its HTTP server (port 12345)."""

    name: ClassVar[str] = "Alloy"
    variable: ClassVar[str] = "TELEMETRY_ALLOY_URL"
    default_url: ClassVar[str] = "http://localhost:12345"
    ready_path: ClassVar[str] = "/-/ready"

    def metrics(self) -> list[Count]:
        """Return all samples of `/metrics`."""
        answer = self.get("/metrics")
        try:
            families = list(text_string_to_metric_families(answer.text))
        except ValueError as error:
            raise self.error(answer.url, f"the answer is not Prometheus' text format ({error})") from None
        return [Count(one.name, one.labels, one.value) for family in families for one in family.samples]

    def components(self) -> list[Component]:
        """Return the components with their health."""
        return [
            Component(one["localID"], one["health"]["state"], one["health"].get("message", ""))
            for one in self.get_json("/api/v0/web/components") or ()
        ]


def total(samples: Iterable[Count], name: str) -> float:
    """Return the sum of one metric over its samples; 0 if there are none."""
    return sum(sample.value for sample in samples if sample.name == name)
