"""Small read-only HTTP clients of the servers that store telemetry.

One dataclass for each server, made from its base URL. Its methods return plain values, or raise `BackendError`, whose
text names the address, the status and what to check. A request is bounded in time (`timeout`, in seconds) and size.
"""

from telemetry.backends.alloy import Alloy
from telemetry.backends.console import Console
from telemetry.backends.grafana import Grafana
from telemetry.backends.http import Backend, BackendError
from telemetry.backends.jaeger import Jaeger
from telemetry.backends.loki import Loki
from telemetry.backends.prometheus import Prometheus
from telemetry.backends.tempo import Tempo

__all__ = [
    "Alloy",
    "Backend",
    "BackendError",
    "Console",
    "Grafana",
    "Jaeger",
    "Loki",
    "Prometheus",
    "Tempo",
]
