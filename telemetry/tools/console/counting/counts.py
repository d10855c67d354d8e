"""What has arrived since the start and what senders count of it, by mode; eviction does not change it."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from prometheus_client.samples import Sample

from telemetry.tools.console.counting.fates import FATE_METRICS, Fates
from telemetry.tools.console.receiving.values import digest, whole
from telemetry.tools.console.storage.metrics import IncomingPoint
from telemetry.tools.console.storage.points import Series

_OTHER = "(other)"
_DISTINCT_NAMES = 64


@dataclass(slots=True)
class ModeTotals:
    """Totals of one mode since the start.

    `spans` and `server_spans` count distinct spans: one that arrives again while the first is kept adds to
    `duplicate_spans` instead. `requests` is the number by the metrics.
    """

    spans: int = 0
    server_spans: int = 0
    duplicate_spans: int = 0
    log_records: int = 0
    access_records: int = 0
    data_points: int = 0
    scraped_samples: int = 0
    requests_otlp: int = 0
    requests_scraped: int = 0
    server_spans_by_service: dict[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Requests; a service that exports by OTLP and is scraped as well reports the same ones twice."""
        return max(self.requests_otlp, self.requests_scraped)

    def count_server_span(self, service: str) -> None:
        """Count a span of kind SERVER."""
        self.server_spans += 1
        services = self.server_spans_by_service
        service = _bounded(service, services, _DISTINCT_NAMES)
        services[service] = services.get(service, 0) + 1


CountsT = TypeVar("CountsT")


class ByMode(dict[str, CountsT]):
    """What is counted of each mode, made when it is first asked for; `most` modes, then one for all others.

    Not thread-safe: the `Store` holds the lock.
    """

    def __init__(self, make: Callable[[], CountsT], most: int = _DISTINCT_NAMES) -> None:
        super().__init__()
        self._make = make
        self._most = most

    def __missing__(self, mode: str) -> CountsT:
        return self.setdefault(_bounded(mode, self, self._most), self._make())

    def snapshot(self) -> dict[str, CountsT]:
        """A copy by mode."""
        return {mode: copy.deepcopy(counts) for mode, counts in self.items()}


def _bounded(name: str, known: Collection[str], most: int) -> str:
    return name if name in known or len(known) < most else _OTHER


#: About 4 MB of them.
_TRACKED_SERIES = 10_000


class RequestCounts:
    """Turns values of cumulative series into gains.

    Remembers the last value of the most recently updated series, by a digest of what identifies them (bounded). Not
    thread-safe: the `Store` holds the lock.
    """

    def __init__(self, tracked_series: int = _TRACKED_SERIES) -> None:
        self._tracked = tracked_series
        self._last: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()

    def knows(self, series: Hashable) -> bool:
        """Whether there was a value of the series."""
        return series in self._last

    def gain(self, series: Hashable, time_ns: int, count: int, *, resets: bool) -> int:
        """What the series has gained since its last value.

        A point that is older than the last one (a late retry) adds nothing. `resets` says that the series has no start
        time as part of its identity, so a value below the last one means that it began again at 0.
        """
        last_time, last_count = self._last.get(series, (0, 0))
        if time_ns < last_time:
            return 0
        self._last[series] = (time_ns, count)
        self._last.move_to_end(series)
        if len(self._last) > self._tracked:
            self._last.popitem(last=False)
        return count if resets and count < last_count else count - last_count


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
