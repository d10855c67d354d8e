"""The items that the service recorded in a window, from its own metrics in Prometheus or its exporter's status."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from telemetry.config import Signal
from telemetry.tools.account import Recorded
from telemetry.tools.audit.counters import Counters, Window
from telemetry.tools.backends import Prometheus

_NAMES: Mapping[Signal, str] = {"traces": "span", "logs": "log", "metrics": "metric_data_point"}
_STARTED = "otel_sdk_span_started_total"
_CREATED = "otel_sdk_log_created_total"
_DROPPED = "telemetry_journal_dropped_total"
_METRICS = (
    _STARTED,
    _CREATED,
    _DROPPED,
    "telemetry_exporter_starts_total",
    "otel_sdk_processor_(span|log)_(processed_total|queue_size)",
    "otel_sdk_exporter_(span|log|metric_data_point)_(exported_total|inflight)",
)
_SAMPLED = {"otel_span_sampling_result": "RECORD_AND_SAMPLE"}
_JOURNAL_FULL = "journal_full"
_SCRAPE_FAILED = "scrape failed"


class ServiceCounts:
    """The service's own metrics in Prometheus."""

    def __init__(self, prometheus: Prometheus, service: str, mode: str, start: float) -> None:
        """Read them from `start` (seconds since the epoch) to now; raises UncountedError if there are none."""
        self._prometheus = prometheus
        self.matchers = f"service_name={json.dumps(service)},export_mode={json.dumps(mode)}"
        self._counters = Counters.since(start, prometheus, _METRICS, self.matchers)

    @property
    def window(self) -> Window:
        """The window that the counts cover."""
        return self._counters.window

    def recorded(self, signal: Signal) -> Recorded:
        """Return the counts of a signal that is pushed."""
        counters, name = self._counters, _NAMES[signal]
        exported, processed = f"otel_sdk_exporter_{name}_exported_total", f"otel_sdk_processor_{name}_processed_total"
        ended = counters.by("error_type", exported)
        confirmed = ended.pop("", 0)
        failed = counters.by("error_type", processed)
        failed.pop("", None)
        lost = Counter(ended) + Counter(failed)
        waiting = counters.last(f"otel_sdk_exporter_{name}_inflight") + counters.last(
            f"otel_sdk_processor_{name}_queue_size"
        )
        if signal == "metrics":
            # A push is counted by the next one; until then it is neither lost nor confirmed.
            return Recorded(confirmed + lost.total(), confirmed, lost, waiting, counters.margin(exported))
        if dropped := counters.gain(_DROPPED, telemetry_signal=signal):
            lost[_JOURNAL_FULL] += dropped
        made, labels = (_STARTED, _SAMPLED) if signal == "traces" else (_CREATED, {})
        items = counters.gain(made, **labels) + dropped
        return Recorded(items, confirmed, lost, waiting, counters.margin(made, **labels))

    def scraped(self) -> tuple[Recorded, int]:
        """Return the scrapes of a service that is scraped, and how many of them succeeded."""
        targets = {(one["job"], one["instance"]) for one in self._counters.labels()}
        tried = stored = 0.0
        for job, instance in targets:
            up = f"up{{job={json.dumps(job)},instance={json.dumps(instance)}}}[{milliseconds(self.window.seconds)}]"
            tried += self._prometheus.value(f"count_over_time({up})", self.window.end) or 0.0
            stored += self._prometheus.value(f"sum_over_time({up})", self.window.end) or 0.0
        failed = round(tried - stored)
        lost = {_SCRAPE_FAILED: failed} if failed else {}
        return Recorded(round(tried), round(stored), lost, unit="scrapes"), round(stored)


def from_status(signal: Mapping[str, Any], rings: list[Mapping[str, Any]], field: str) -> Recorded:
    """Return an exporter's counts of a signal since its run began; `field` is the signal's name in the rings."""
    lost = Counter(signal["losses"])
    if dropped := sum(ring["dropped"].get(field, 0) for ring in rings):
        lost[_JOURNAL_FULL] += dropped
    waiting = signal["queue"] + signal["in_flight"]
    return Recorded(signal["accepted"] + lost.total() + waiting, signal["accepted"], lost, waiting)


def milliseconds(seconds: float) -> str:
    """Return a duration as PromQL writes it."""
    return f"{max(round(seconds * 1000), 1)}ms"
