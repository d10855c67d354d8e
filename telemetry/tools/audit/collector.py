"""Alloy between the service and the stores: its counts in the window, over all its senders."""

from collections.abc import Mapping

from telemetry.config import Signal
from telemetry.tools.account import Passed
from telemetry.tools.audit.counters import Counters
from telemetry.tools.backends import Prometheus

_ITEMS: Mapping[Signal, str] = {"traces": "spans", "logs": "log_records", "metrics": "metric_points"}
_REMOTE_WRITE = "prometheus_remote_storage_samples"
_QUEUE = "otelcol_exporter_queue_size"
_METRICS = (
    "up",
    "otelcol_receiver_(accepted|refused)_(spans|log_records|metric_points)_total",
    "otelcol_exporter_(sent|send_failed|enqueue_failed)_(spans|log_records|metric_points)_total",
    _QUEUE,
    f"{_REMOTE_WRITE}_(failed_total|pending)",
)
# As deploy/prometheus/prometheus.yml names it; Jaeger has metrics of the same names.
_OF_ALLOY = 'component="alloy"'


class CollectorCounts:
    """Alloy's own metrics in Prometheus, which scrapes it directly."""

    def __init__(self, prometheus: Prometheus, start: float) -> None:
        """Read them from `start` (seconds since the epoch) to now; raises UncountedError if there are none."""
        self._counters = Counters.since(start, prometheus, _METRICS, _OF_ALLOY)

    def passed(self, signal: Signal) -> Passed:
        """Return the items that it received, and their outcome."""
        counters, items = self._counters, _ITEMS[signal]
        received = counters.gain(f"otelcol_receiver_accepted_{items}_total")
        lost = {
            reason: gain
            for reason in ("send_failed", "enqueue_failed")
            if (gain := counters.gain(f"otelcol_exporter_{reason}_{items}_total"))
        }
        sent = counters.gain(f"otelcol_exporter_sent_{items}_total")
        queued = counters.last(_QUEUE) > 0
        by_otlp = counters.has(f"otelcol_exporter_sent_{items}_total")
        if signal == "metrics" and (counters.has(f"{_REMOTE_WRITE}_pending") or not by_otlp):
            # Remote write counts samples, of which a data point has several. It may have replaced OTLP.
            if failed := counters.gain(f"{_REMOTE_WRITE}_failed_total"):
                lost["samples failed by remote write"] = failed
            sent = received - sum(lost.values())
            queued = counters.last(f"{_REMOTE_WRITE}_pending") > 0 or (by_otlp and queued)
        return Passed("Alloy", received, counters.gain(f"otelcol_receiver_refused_{items}_total"), sent, lost, queued)
