"""The ways in which a signal can leave the exporter; each mode chooses among them."""

from typing import NamedTuple

from telemetry.config import BatchConfig, SignalConfig

# For data points, which have no batch settings: each push is a batch.
_NO_DELAY = BatchConfig(schedule_delay=0.0, max_queue_size=0, max_export_batch_size=1, export_timeout=30.0)


class Push(NamedTuple):
    """Batches go through the spool to a backend (exporter `otlp`), or to standard output (`console`)."""

    config: SignalConfig
    batch: BatchConfig


class Answer(NamedTuple):
    """The exporter answers scrapes."""


class Ways(NamedTuple):
    """The way of each signal; None: not exported."""

    traces: Push | None
    metrics: Push | Answer | None
    logs: Push | None


def push(config: SignalConfig, batch: BatchConfig = _NO_DELAY) -> Push | None:
    """Push a signal as configured; None if it is not exported."""
    return Push(config, batch) if config.exporter in {"otlp", "console"} else None


def push_logs(config: SignalConfig, batch: BatchConfig) -> Push | None:
    """Push log records; with the exporter `console`, the processes print them directly."""
    return Push(config, batch) if config.exporter == "otlp" else None


def answer() -> Answer:
    """Answer scrapes with a signal."""
    return Answer()
