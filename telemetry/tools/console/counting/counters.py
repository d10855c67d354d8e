"""What has arrived and what the senders' own counters say of it, by mode, since the start."""

from collections.abc import Mapping

from prometheus_client.samples import Sample

from telemetry.tools.console.counting.counts import ByMode, ModeTotals, RequestCounts
from telemetry.tools.console.counting.fates import FATE_METRICS, Fates
from telemetry.tools.console.receiving.values import digest, whole
from telemetry.tools.console.storage.metrics import IncomingPoint
from telemetry.tools.console.storage.points import Series

#: The service's histogram of request durations, whose count is the number of requests.
OTLP_METRIC = "http.server.request.duration"
SCRAPED_FAMILY = "http_server_request_duration_seconds"
SCRAPED_SAMPLE = f"{SCRAPED_FAMILY}_count"


class Counters:
    """Totals and fates of each mode. Not thread-safe: the `Store` holds the lock."""

    def __init__(self) -> None:
        self.totals = ByMode(ModeTotals)
        self.fates = ByMode(Fates)
        self._requests = RequestCounts()

    def count_point(self, point: IncomingPoint, attributes: Mapping[str, object], since_ns: int) -> None:
        """Count a data point, and what its series has gained since the console's start."""
        name, mode = point.instrument.name, point.origin.resource.mode
        totals = self.totals[mode]
        totals.data_points += 1
        is_requests = name == OTLP_METRIC and point.kind in {"histogram", "exponential_histogram"}
        if not is_requests and not (name in FATE_METRICS and point.kind == "sum"):
            return
        gain = whole(point.value)
        if not point.delta:
            start_ns = point.start_ns
            counted = digest(name, *point.identity, str(start_ns), point.attributes)
            is_first = not self._requests.knows(counted)
            gain = self._requests.gain(counted, point.time_ns, gain, resets=start_ns == 0)
            if is_first and not is_requests and 0 < start_ns < since_ns:
                gain = self._before(mode, name, attributes, gain)
        if is_requests:
            totals.requests_otlp += gain
        else:
            self.fates[mode].add(name, attributes, gain)

    def count_sample(
        self,
        series: Series,
        sample: Sample,
        time_ns: int,
        created: Mapping[frozenset[tuple[str, str]], float],
        since_ns: int,
    ) -> None:
        """Count a scraped sample, and the same of its series, which `created` has the start of (seconds)."""
        totals = self.totals[series.mode]
        totals.scraped_samples += 1
        if sample.name != SCRAPED_SAMPLE and sample.name not in FATE_METRICS:
            return
        is_first = not self._requests.knows(series.key)
        gain = self._requests.gain(series.key, time_ns, whole(sample.value), resets=True)
        if sample.name == SCRAPED_SAMPLE:
            totals.requests_scraped += gain
            return
        if is_first and 0 < int(created.get(frozenset(sample.labels.items()), 0.0) * 1e9) < since_ns:
            gain = self._before(series.mode, sample.name, sample.labels, gain)
        self.fates[series.mode].add(sample.name, sample.labels, gain)

    def _before(self, mode: str, metric: str, labels: Mapping[str, object], count: int) -> int:
        """Return what a series older than the console has gained since its start: nothing of its first count."""
        totals = self.totals[mode]
        self.fates[mode].begin(metric, labels, count, {"spans": totals.spans, "log records": totals.log_records})
        return 0
