"""The ways that a signal can take out of the exporter, which the modes choose from."""

from typing import NamedTuple

from telemetry.config import BatchConfig, SignalConfig

# Of a signal that has no batch of its own: data points, each push of which is a batch.
_NO_DELAY = BatchConfig(schedule_delay=0.0, max_queue_size=0, max_export_batch_size=1, export_timeout=30.0)


class Push(NamedTuple):
    """Batches go through the spool to a backend (exporter `otlp`), or to standard output (`console`)."""

    config: SignalConfig
    batch: BatchConfig


class Answer(NamedTuple):
    """The exporter answers when it is asked."""


class Ways(NamedTuple):
    """What becomes of each signal; None: nothing."""

    traces: Push | None
    metrics: Push | Answer | None
    logs: Push | None


def push(config: SignalConfig, batch: BatchConfig = _NO_DELAY) -> Push | None:
    """Push a signal as its configuration says; None where it is not exported."""
    return Push(config, batch) if config.exporter in {"otlp", "console"} else None


def push_logs(config: SignalConfig, batch: BatchConfig) -> Push | None:
    """Push log records; with the exporter `console` the processes print them, as they write them."""
    return Push(config, batch) if config.exporter == "otlp" else None


def answer() -> Answer:
    """Answer with a signal."""
    return Answer()
