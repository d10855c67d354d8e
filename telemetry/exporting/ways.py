"""The ways in which a signal can leave the exporter; each mode chooses among them."""

from typing import NamedTuple

from telemetry.config import BatchConfig, SignalConfig, TelemetryConfig


class Push(NamedTuple):
    """Batches go through the spool to a backend (exporter `otlp`), or to standard output (`console`)."""

    config: SignalConfig
    batch: BatchConfig

    @property
    def timeout(self) -> float:
        """How long a request may take, in seconds."""
        return min(self.config.timeout, self.batch.export_timeout or self.config.timeout)


class Answer(NamedTuple):
    """The exporter answers scrapes."""


class Ways(NamedTuple):
    """The way of each signal; None: not exported."""

    traces: Push | None
    metrics: Push | Answer | None
    logs: Push | None


def push(config: SignalConfig, batch: BatchConfig) -> Push | None:
    """Push a signal as configured; None if it is not exported."""
    return Push(config, batch) if config.exporter in {"otlp", "console"} else None


def push_metrics(config: TelemetryConfig) -> Push | None:
    """Push data points, which have no batch settings: each push is a batch."""
    return push(config.metrics, BatchConfig(0.0, None, 1, config.metric_export_timeout))


def push_logs(config: SignalConfig, batch: BatchConfig) -> Push | None:
    """Push log records; with the exporter `console`, the processes print them directly."""
    return Push(config, batch) if config.exporter == "otlp" else None


def answer() -> Answer:
    """Answer scrapes with a signal."""
    return Answer()
