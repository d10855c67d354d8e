"""Small read-only HTTP clients for the servers that store telemetry.

One dataclass for each server, made from its base URL. Its methods return plain values, or raise `BackendError`, whose
text names the address, the status and what to check. A request is bounded in time (`timeout`, in seconds) and size.
"""

from telemetry.tools.backends.alloy import Alloy
from telemetry.tools.backends.console import Console
from telemetry.tools.backends.grafana import Grafana
from telemetry.tools.backends.http import Backend, BackendError
from telemetry.tools.backends.jaeger import Jaeger
from telemetry.tools.backends.loki import Loki
from telemetry.tools.backends.prometheus import Prometheus
from telemetry.tools.backends.tempo import Tempo

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
