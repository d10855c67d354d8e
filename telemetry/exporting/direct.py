"""Mode `direct`: no collector. The exporter answers `/metrics`, and pushes traces and logs straight to the backends."""

from telemetry.config import TelemetryConfig
from telemetry.exporting.ways import Ways, answer, push, push_logs, push_metrics


def ways(config: TelemetryConfig) -> Ways:
    """Return the way of each signal."""
    return Ways(
        traces=push(config.traces, config.span_batch),
        metrics=answer() if config.metrics.exporter == "prometheus" else push_metrics(config),
        logs=push_logs(config.logs, config.log_batch),
    )
