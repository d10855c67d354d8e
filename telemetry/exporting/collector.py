"""Mode `collector`: traces, metrics and logs are pushed by OTLP to one collector."""

from telemetry.config import TelemetryConfig
from telemetry.exporting.ways import Ways, push, push_logs, push_metrics


def ways(config: TelemetryConfig) -> Ways:
    """Return the way of each signal."""
    return Ways(
        traces=push(config.traces, config.span_batch),
        metrics=push_metrics(config),
        logs=push_logs(config.logs, config.log_batch),
    )
