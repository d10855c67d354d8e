"""Items arrived since the start, and the senders' `otel.sdk.*` counts of them, by mode, evicted or not."""

import copy
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from prometheus_client.samples import Sample

from telemetry.tools.console.counting.senders import LARGEST
from telemetry.tools.console.receiving.values import digest, whole
from telemetry.tools.console.storage.metrics import IncomingPoint
from telemetry.tools.console.storage.points import Series
from telemetry.tools.console.storage.records import Resource, StoredLog, StoredSpan

_OTHER = "(other)"
_DISTINCT_NAMES = 64


@dataclass(slots=True)
class ModeTotals:
    """Totals of one mode since the start.

    `spans` and `server_spans` count distinct spans: one that arrives again while the first is kept adds to
    `duplicate_spans` instead. `requests` is the number according to the metrics, without those that a sender older than
    the console had already counted when its first metrics arrived. `server_spans_before` and `access_records_before`
    count the spans and records of those requests; `spans_at_the_edge` ended so close to that moment that they may be on
    either side.
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
    server_spans_before: int = 0
    access_records_before: int = 0
    spans_at_the_edge: int = 0
    server_spans_by_service: dict[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Requests; a service that exports over OTLP and is scraped as well reports the same ones twice."""
        return max(self.requests_otlp, self.requests_scraped)

    @property
    def comparable(self) -> dict[str, int]:
        """The requests by each signal, which are equal unless something is lost or on its way."""
        return {
            "spans": self.server_spans - self.server_spans_before,
            "access_records": self.access_records - self.access_records_before,
            "metrics": self.requests,
        }

    def count_server_span(self, service: str) -> None:
        self.server_spans += 1
        service = _bounded(service, self.server_spans_by_service, _DISTINCT_NAMES)
        self.server_spans_by_service[service] = self.server_spans_by_service.get(service, 0) + 1


CountsT = TypeVar("CountsT")


class ByMode(dict[str, CountsT]):
    """The counts of each mode, created on first access; `most` modes, then one for all others."""

    def __init__(self, make: Callable[[], CountsT], most: int = _DISTINCT_NAMES) -> None:
        super().__init__()
        self._make = make
        self._most = most

    def __missing__(self, mode: str) -> CountsT:
        return self.setdefault(_bounded(mode, self, self._most), self._make())

    def snapshot(self) -> dict[str, CountsT]:
        return {mode: copy.deepcopy(counts) for mode, counts in self.items()}


def _bounded(name: str, known: Collection[str], most: int) -> str:
    return name if name in known or len(known) < most else _OTHER


DELIVERED = ""
_MOST_REASONS = 32
_LONGEST_REASON = 100
_JOURNAL_FULL = "journal_full"
_OF_JOURNAL = {"traces": "spans", "logs": "log records"}

#: Counters of the SDK and of the journal: which signal they count, and what: items that were recorded, that ended
#: (delivered without an `error.type`), that were dropped before (with one), or that found no room in a journal.
_COUNTERS: dict[str, tuple[str, str]] = {
    "otel.sdk.span.started": ("spans", "recorded"),
    "otel.sdk.log.created": ("log records", "recorded"),
    "otel.sdk.exporter.span.exported": ("spans", "ended"),
    "otel.sdk.exporter.log.exported": ("log records", "ended"),
    "otel.sdk.exporter.metric_data_point.exported": ("data points", "ended"),
    "otel.sdk.processor.span.processed": ("spans", "dropped"),
    "otel.sdk.processor.log.processed": ("log records", "dropped"),
    "telemetry.journal.dropped": ("", "journal"),
}
#: The same by their names in a scrape.
FATE_METRICS = _COUNTERS | {f"{name.replace('.', '_')}_total": counter for name, counter in _COUNTERS.items()}


@dataclass(slots=True)
class Fates:
    """The outcome of one mode's records: by signal, how many were delivered (key "") or lost, by reason.

    `made` is how many were recorded. For a sender older than the console, whose first count is not in `made`, `before`
    is how many records had arrived by that count, and `backlog` how many of that count had not ended by then.
    """

    signals: dict[str, Counter[str]] = field(default_factory=dict)
    made: Counter[str] = field(default_factory=Counter)
    before: dict[str, int] = field(default_factory=dict)
    backlog: Counter[str] = field(default_factory=Counter)

    def waiting(self, signal: str) -> int:
        """How many have not ended, according to the senders' reports."""
        ended = self.signals.get(signal, Counter()).total()
        return max(self.made[signal] + self.backlog[signal] - ended, 0)

    def delivered(self, signal: str) -> int | None:
        """How many the backends have confirmed, None if no sender reported it."""
        counts = self.signals.get(signal)
        return None if counts is None else counts[DELIVERED]

    def lost(self, signal: str) -> dict[str, int]:
        """How many were lost, by reason; the most frequent first."""
        counts = self.signals.get(signal, Counter())
        return {reason: count for reason, count in counts.most_common() if reason != DELIVERED and count}

    @property
    def dropped(self) -> int:
        """Spans and log records lost for any reason; a lost data point's counts are in the next one."""
        return sum(sum(self.lost(signal).values()) for signal in ("spans", "log records"))

    def add(self, metric: str, labels: Mapping[str, object], gain: int) -> None:
        """Count the increase of a series of a metric in FATE_METRICS; labels may have their names in a scrape."""
        signal, role = FATE_METRICS[metric]
        reason = _label(labels, "error.type")[:_LONGEST_REASON]
        if role == "journal":
            signal, reason = _OF_JOURNAL.get(_label(labels, "telemetry.signal"), ""), _JOURNAL_FULL
        if not signal or not (gain or role == "ended"):
            return
        if role in {"recorded", "journal"} and _is_sampled(labels):
            self.made[signal] += gain
        if role in {"ended", "journal"} or (role == "dropped" and reason):
            counts = self.signals.setdefault(signal, Counter())
            counts[_bounded(reason, counts, _MOST_REASONS)] += gain

    def begin(self, metric: str, labels: Mapping[str, object], count: int, arrived: Mapping[str, int]) -> None:
        """Note that a series of `metric` is older than the console; `arrived` are the items so far by signal."""
        signal, role = FATE_METRICS[metric]
        if role == "recorded":
            self.before.setdefault(signal, arrived[signal])
            self.made.setdefault(signal, 0)
            self.backlog[signal] += count if _is_sampled(labels) else 0
        elif role == "ended" or (role == "dropped" and _label(labels, "error.type")):
            self.backlog[signal] -= count


def _is_sampled(labels: Mapping[str, object]) -> bool:
    return _label(labels, "otel.span.sampling_result") in {"", "RECORD_AND_SAMPLE"}


def _label(labels: Mapping[str, object], name: str) -> str:
    value = labels.get(name)
    return str(labels.get(name.replace(".", "_"), "") if value is None else value)


#: The service's histogram of request durations, whose count is the number of requests.
OTLP_METRIC = "http.server.request.duration"
SCRAPED_FAMILY = "http_server_request_duration_seconds"
SCRAPED_SAMPLE = f"{SCRAPED_FAMILY}_count"

#: Samples whose increase is counted.
COUNTED_SAMPLES = frozenset({SCRAPED_SAMPLE, *FATE_METRICS})

#: How a sender whose requests are counted is known: mode and instance, or of a scrape service.
Name = tuple[str, Hashable]


def _names_of(resource: Resource) -> tuple[Name, Name]:
    return (resource.mode, resource.instance), (resource.mode, resource.service)


def _counts_requests(point: IncomingPoint) -> bool:
    return (
        point.has_value
        and point.instrument.name == OTLP_METRIC
        and point.kind in {"histogram", "exponential_histogram"}
    )


def first_counts(points: Iterable[IncomingPoint], since_ns: int) -> dict[Name, int]:
    """Return the times of the points by which senders older than `since_ns` count requests."""
    older = (point for point in points if 0 < point.start_ns < since_ns and _counts_requests(point) and not point.delta)
    return {_names_of(each.origin.resource)[0]: each.time_ns for each in older if each.origin.resource.size <= LARGEST}


#: How far a request's end may be from a count that includes it: the exporter reads requests with a delay.
_EDGE_NS = 2 * 10**9
_MOST_OLDER = 256

#: The number of most recently updated series whose last values are remembered: about 4 MB.
_TRACKED_SERIES = 10_000


class Counters:
    """Totals and fates of each mode. Not thread-safe: the `Store` holds the lock."""

    def __init__(self) -> None:
        self.totals = ByMode(ModeTotals)
        self.fates = ByMode(Fates)
        self._last: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()
        #: The times of the first counts of senders older than the console.
        self._first: dict[Name, int] = {}

    def begin(self, counts: Mapping[Name, int], kept: Callable[[], Iterable[StoredSpan | StoredLog]]) -> None:
        """Leave out what these senders, older than the console, have counted until their first counts, at these times.

        `kept` returns the server spans and access records that have arrived.
        """
        known = set(self._first)
        new = [(name, time_ns) for name, time_ns in counts.items() if name not in known]
        self._first |= dict(new[: _MOST_OLDER - len(known)])
        for record in kept() if len(self._first) > len(known) else ():
            if known.isdisjoint(_names_of(record.resource)):
                self.place(record)

    def first_count(self, resource: Resource) -> int:
        """Return the time of a sender's first count if it is older than the console, else 0."""
        if not self._first:
            return 0
        return max(self._first.get(name, 0) for name in _names_of(resource))

    def place(self, record: StoredSpan | StoredLog) -> None:
        """Count a server span or an access record if its request was before, or close to, its sender's first count."""
        if first_ns := self.first_count(record.resource):
            totals = self.totals[record.resource.mode]
            if isinstance(record, StoredLog):
                totals.access_records_before += record.time_ns <= first_ns
            else:
                totals.server_spans_before += record.end_ns <= first_ns
                totals.spans_at_the_edge += abs(record.end_ns - first_ns) <= _EDGE_NS

    def count_point(self, point: IncomingPoint, attributes: Mapping[str, object], since_ns: int) -> None:
        """Count a data point, and the increase of its series since the console's start."""
        name, mode = point.instrument.name, point.origin.resource.mode
        totals = self.totals[mode]
        totals.data_points += 1
        is_requests = _counts_requests(point)
        if not is_requests and not (point.has_value and name in FATE_METRICS and point.kind == "sum"):
            return
        gain, is_first = whole(point.value), False
        if not point.delta:
            key = digest(name, *point.identity, str(point.start_ns), point.attributes)
            gain, is_first = self._gain(key, point.time_ns, gain, resets=point.start_ns == 0)
        if is_requests:
            if not (is_first and point.time_ns <= self.first_count(point.origin.resource)):
                totals.requests_otlp += gain
        else:
            self._add(mode, name, attributes, gain, is_older=is_first and 0 < point.start_ns < since_ns)

    def count_sample(self, series: Series, sample: Sample, time_ns: int, *, is_older: bool) -> None:
        """Count a scraped sample, and the increase of its series; `is_older`: the series is older than the console."""
        totals = self.totals[series.mode]
        totals.scraped_samples += 1
        if sample.name not in COUNTED_SAMPLES:
            return
        gain, is_first = self._gain(series.key, time_ns, whole(sample.value), resets=True)
        if sample.name == SCRAPED_SAMPLE:
            first_ns = self._first.get((series.mode, series.service), 0)
            if not (is_first and (is_older or time_ns <= first_ns)):
                totals.requests_scraped += gain
        else:
            self._add(series.mode, sample.name, sample.labels, gain, is_older=is_first and is_older)

    def _gain(self, series: Hashable, time_ns: int, count: int, *, resets: bool) -> tuple[int, bool]:
        """Return the increase of a cumulative series since its last value, and whether there was none.

        A point older than the last one (a late retry) adds nothing. `resets` means that the series' identity has no
        start time, so a value below the last one means that it restarted at 0.
        """
        is_first = series not in self._last
        last_time, last_count = self._last.get(series, (0, 0))
        if time_ns < last_time:
            return 0, is_first
        self._last[series] = (time_ns, count)
        self._last.move_to_end(series)
        if len(self._last) > _TRACKED_SERIES:
            self._last.popitem(last=False)
        return count if resets and count < last_count else count - last_count, is_first

    def _add(self, mode: str, metric: str, labels: Mapping[str, object], gain: int, *, is_older: bool) -> None:
        """Count what a sender reports; for a series older than the console, without its first count."""
        fates, totals = self.fates[mode], self.totals[mode]
        if is_older:
            fates.begin(metric, labels, gain, {"spans": totals.spans, "log records": totals.log_records})
        fates.add(metric, labels, 0 if is_older else gain)
