"""The log message of a process that begins to serve."""

import logging

from telemetry.config import SignalConfig, TelemetryConfig
from telemetry.project import Project

# The service's start is logged regardless of OTEL_LOG_LEVEL.
_announcer = logging.getLogger("telemetry.server")


def announce(config: TelemetryConfig, project: Project, slot: int) -> None:
    """Log that this process, which records into `slot`, begins to serve."""
    for name in ("opentelemetry", "telemetry"):
        logging.getLogger(name).setLevel(config.log_level.upper())
    _announcer.setLevel(logging.INFO)
    version = config.version_of(project.service_version)
    ways = {"traces": config.traces, "metrics": config.metrics, "logs": config.logs}
    _announcer.info(
        "Starting %s server",
        config.service_name,
        extra={"telemetry.mode": config.mode, "service.version": version, "worker.slot": slot}
        | {f"telemetry.{name}": _destination(way) for name, way in ways.items()},
    )


def _destination(config: SignalConfig) -> str:
    return f"{config.protocol} {config.endpoint}" if config.exporter == "otlp" else config.exporter
