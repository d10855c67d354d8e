"""The console's memory: bounded records of three signals, and totals that eviction does not change."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from prometheus_client import Metric
from prometheus_client.samples import Sample

from telemetry.tools.console.calls import Calls, calls_between
from telemetry.tools.console.counts import OTLP_METRIC, SCRAPED_SAMPLE, ModeTotals, RequestCounts, Totals
from telemetry.tools.console.fates import FATE_METRICS, FateCounts, Fates, started_at
from telemetry.tools.console.history import SLOT_SECONDS, Figures, History
from telemetry.tools.console.limits import Limits
from telemetry.tools.console.logs import LogStore
from telemetry.tools.console.metrics import MetricStore, MetricSummary
from telemetry.tools.console.origin import LONGEST_NAME, UNKNOWN_MODE, Origin, OriginCache
from telemetry.tools.console.points import POINT_CLASSES, Instrument, OtlpPoint, SamplePoint, Series, StoredPoint
from telemetry.tools.console.records import KIND_SERVER, LogRecord, Span, StoredLog, StoredSpan
from telemetry.tools.console.retention import Retained
from telemetry.tools.console.senders import SERVER_LOGGER, Sender, Senders
from telemetry.tools.console.spans import SpanStore, Trace, TraceSummary, summarize
from telemetry.tools.console.values import digest, plain_attributes, whole

#: The logger of the service that writes one record per request.
ACCESS_LOGGER = "userapi.access"
#: The same, and what `TELEMETRY["ACCESS_LOGGER"]` is by default.
ACCESS_LOGGERS = frozenset({ACCESS_LOGGER, "telemetry.access"})

#: Figures leave out the last moments, which of what is replayed are complete.
_SHOWN_AFTER_NS = 2 * SLOT_SECONDS * 10**9


class IncomingPoint(NamedTuple):
    """A data point on its way into the store; `kind` is a key of `points.POINT_CLASSES`."""

    instrument: Instrument
    origin: Origin
    kind: str
    raw: bytes
    delta: bool
    time_ns: int
    start_ns: int
    #: The number of measurements, or the value of a sum or gauge.
    value: float
    #: A digest of the attributes.
    attributes: bytes


class Store:
    """What has arrived. Thread-safe; readers get copies, decoded outside the lock."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.origins = OriginCache()
        self.started_ns = time.time_ns()
        self._changed = threading.Condition(threading.RLock())
        self._spans = SpanStore(self.limits.spans)
        self._logs = LogStore(self.limits.logs)
        self._metrics = MetricStore(self.limits.points)
        self._totals = Totals()
        self._requests = RequestCounts()
        self._history = History()
        self._senders = Senders()
        self._fates = FateCounts()
        self._replays = False
        self._latest_ns = 0

    def now_ns(self) -> int:
        """The time that pages are about, in nanoseconds since the epoch: now, or the end of what was replayed."""
        return self._latest_ns + _SHOWN_AFTER_NS if self._latest_ns else time.time_ns()

    # Writing

    def replay(self) -> None:
        """From now on, what is added is old: the time is the latest that was added."""
        self._replays = True

    def _arrival_ns(self, times: Iterable[int]) -> int:
        """When records with these times arrive: now, or the latest time of what is replayed."""
        now_ns = time.time_ns()
        if not self._replays:
            return now_ns
        known = [each for each in times if 0 < each <= now_ns]
        if known:
            self.started_ns = min(self.started_ns, *known)
            self._latest_ns = max(self._latest_ns, *known)
        return self._latest_ns or now_ns

    def add_spans(self, spans: Sequence[StoredSpan]) -> None:
        """Keep and count spans; one whose ids are kept already is counted as a duplicate and left out."""
        now_ns = self._arrival_ns(span.end_ns for span in spans)
        with self._changed:
            self._senders.hear({span.resource for span in spans}, "traces", now_ns)
            for span in spans:
                totals = self._totals.mode(span.resource.mode)
                if not self._spans.add(span):
                    totals.duplicate_spans += 1
                    continue
                totals.spans += 1
                if span.kind == KIND_SERVER:
                    totals.count_server_span(span.resource.service)
                    self._history.mode(span.resource.mode).add(span, span.end_ns if self._replays else now_ns)
            self._changed.notify_all()

    def add_logs(self, records: Sequence[StoredLog]) -> None:
        """Keep and count log records."""
        now_ns = self._arrival_ns(record.time_ns for record in records)
        with self._changed:
            self._senders.hear({record.resource for record in records}, "logs", now_ns)
            for record in records:
                totals = self._totals.mode(record.resource.mode)
                totals.log_records += 1
                if record.scope.name in ACCESS_LOGGERS:
                    totals.access_records += 1
                elif record.scope.name == SERVER_LOGGER:
                    self._senders.hear_start(record, now_ns)
                self._logs.add(record)
            self._changed.notify_all()

    def add_points(self, points: Sequence[IncomingPoint]) -> None:
        """Keep and count data points received by OTLP."""
        now_ns = self._arrival_ns(point.time_ns for point in points)
        with self._changed:
            self._senders.hear({point.origin.resource for point in points}, "metrics", now_ns)
            for point in points:
                self._add_point(point)
            self._changed.notify_all()

    def _add_point(self, point: IncomingPoint) -> None:
        instrument, kind, resource = point.instrument, point.kind, point.origin.resource
        identity = (*resource.instance, resource.mode, point.origin.scope.name)
        key = digest(instrument.name, kind, *identity, point.attributes)
        series = self._metrics.find(key)
        if series is None:
            message: Any = POINT_CLASSES[kind].FromString(point.raw)
            attributes = plain_attributes(message.attributes)
            instance = str(resource.attributes.get("service.instance.id", ""))
            series = Series(
                key, instrument, resource.mode, resource.service, "", attributes, instance, point.delta, point.origin
            )
        totals = self._totals.mode(resource.mode)
        totals.data_points += 1
        is_requests = instrument.name == OTLP_METRIC and kind in {"histogram", "exponential_histogram"}
        if is_requests or (instrument.name in FATE_METRICS and kind == "sum"):
            gain = whole(point.value)
            if not point.delta:
                start_ns = point.start_ns
                counted = digest(instrument.name, *identity, str(start_ns), point.attributes)
                is_first = not self._requests.knows(counted)
                gain = self._requests.gain(counted, point.time_ns, gain, resets=start_ns == 0)
                if is_first and not is_requests:
                    gain = self._since_start(resource.mode, instrument.name, series.attributes, start_ns, gain)
            if is_requests:
                totals.requests_otlp += gain
            else:
                self._fates.add(resource.mode, instrument.name, series.attributes, gain)
        self._metrics.add(OtlpPoint(series, kind, point.time_ns, point.raw))

    def add_samples(self, target: str, families: Iterable[Metric], time_ns: int) -> int:
        """Keep and count the samples of one scrape; returns their number."""
        added = 0
        with self._changed:
            for family in families:
                instrument = Instrument(family.name, "scrape", family.type, family.unit, family.documentation)
                created = started_at(family) if f"{family.name}_total" in FATE_METRICS else {}
                for sample in family.samples:
                    self._add_sample(target, instrument, sample, time_ns, created)
                    added += 1
            self._changed.notify_all()
        return added

    def _add_sample(
        self,
        target: str,
        instrument: Instrument,
        sample: Sample,
        time_ns: int,
        created: Mapping[frozenset[tuple[str, str]], float],
    ) -> None:
        labels = sample.labels
        key = digest(target, sample.name, *(text for item in sorted(labels.items()) for text in item))
        mode = (labels.get("export_mode") or UNKNOWN_MODE)[:LONGEST_NAME]
        series = self._metrics.find(key)
        if series is None:
            service = (labels.get("service_name") or target)[:LONGEST_NAME]
            series = Series(key, instrument, mode, service, sample.name, dict(labels))
        totals = self._totals.mode(mode)
        totals.scraped_samples += 1
        if sample.name == SCRAPED_SAMPLE or sample.name in FATE_METRICS:
            is_first = not self._requests.knows(key)
            gain = self._requests.gain(key, time_ns, whole(sample.value), resets=True)
            if sample.name == SCRAPED_SAMPLE:
                totals.requests_scraped += gain
            else:
                if is_first:
                    start_ns = int(created.get(frozenset(labels.items()), 0.0) * 1e9)
                    gain = self._since_start(mode, sample.name, labels, start_ns, gain)
                self._fates.add(mode, sample.name, labels, gain)
        self._metrics.add(SamplePoint(series, time_ns, sample.value, sample.exemplar))

    def _since_start(self, mode: str, metric: str, labels: Mapping[str, object], start_ns: int, count: int) -> int:
        """Return what of a series' first count came since the console's start: all or nothing."""
        if not 0 < start_ns < self.started_ns:
            return count
        totals = self._totals.mode(mode)
        arrived = {"spans": totals.spans, "log records": totals.log_records}
        self._fates.begin(mode, metric, labels, count, arrived)
        return 0

    # Reading

    def totals(self) -> dict[str, ModeTotals]:
        """What has arrived since the start, by mode."""
        with self._changed:
            return self._totals.snapshot()

    def mode(self, name: str) -> ModeTotals:
        """The totals of one mode; zeros if nothing has arrived of it."""
        return self.totals().get(name) or ModeTotals()

    def history(self, seconds: int, steps: int) -> dict[str, list[Figures]]:
        """How requests went in the last `seconds`, in `steps` equal parts, by mode."""
        with self._changed:
            return self._history.figures(seconds, steps, self.now_ns() / 1e9)

    def recent(self, seconds: int) -> dict[str, Figures]:
        """How requests went in the last `seconds`, by mode."""
        with self._changed:
            return self._history.recent(seconds, self.now_ns() / 1e9)

    def calls(self, seconds: int) -> list[Calls]:
        """Which service called which in the last `seconds`; nothing while a single one sends."""
        several = len({sender.service for sender in self.senders()}) > 1
        return calls_between(self.stored_traces(), seconds, self.now_ns()) if several else []

    def senders(self) -> list[Sender]:
        """The known processes."""
        with self._changed:
            return self._senders.all()

    def fates(self) -> dict[str, Fates]:
        """What the senders report of their records, by mode."""
        with self._changed:
            return self._fates.snapshot()

    def retained(self) -> dict[str, Retained]:
        """What is kept of each signal, and what was evicted."""
        with self._changed:
            return {
                "spans": self._spans.retained,
                "log_records": self._logs.retained,
                "points": self._metrics.retained,
            }

    def wait_for(self, condition: Callable[["Store"], bool], timeout: float = 5.0) -> bool:
        """Wait until the condition holds, looking again whenever something arrives; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), timeout)

    def traces(
        self, limit: int | None = None, mode: str | None = None, service: str | None = None
    ) -> list[TraceSummary]:
        """Summaries of the latest traces, the newest first; those in which a span has that mode, and that service."""
        found = (
            spans
            for spans in map(Trace.spans, self.stored_traces())
            if (mode is None or any(span.resource.mode == mode for span in spans))
            and (service is None or any(span.resource.service == service for span in spans))
        )
        return list(map(summarize, islice(filter(None, found), limit)))

    def stored_traces(self, trace_id: str | None = None) -> list[Trace]:
        """The traces, which go on changing, the one that appeared last first; only one if its id in hex is given."""
        with self._changed:
            return self._spans.latest(None if trace_id is None else bytes.fromhex(trace_id))

    def linking_spans(self) -> list[StoredSpan]:
        """The spans that have links, undecoded, in order of arrival."""
        with self._changed:
            return self._spans.linking()

    def has_trace(self, trace_id: str) -> bool:
        """Whether a span of the trace is kept."""
        with self._changed:
            return bool(self._spans.trace(bytes.fromhex(trace_id)))

    def stored_logs(self, trace_id: str | None = None) -> list[StoredLog]:
        """The log records, undecoded, the newest first; of one trace if its id in hex is given."""
        with self._changed:
            return list(self._logs.latest(None if trace_id is None else bytes.fromhex(trace_id)))

    def stored_trace(self, trace_id: str) -> list[StoredSpan]:
        """The spans of the trace with that id in hex, undecoded, by start; empty if none is kept."""
        with self._changed:
            kept = self._spans.trace(bytes.fromhex(trace_id))
        return sorted(kept, key=lambda span: span.start_ns)

    def trace(self, trace_id: str) -> list[Span]:
        """The same spans decoded."""
        return [span.decode() for span in self.stored_trace(trace_id)]

    def spans(self) -> list[Span]:
        """All spans that are kept, in order of arrival."""
        with self._changed:
            kept = list(self._spans)
        return [span.decode() for span in kept]

    def logs(
        self,
        limit: int | None = None,
        mode: str | None = None,
        trace_id: str | None = None,
        minimum_severity: int = 0,
    ) -> list[LogRecord]:
        """The latest log records, the newest first; severity is the log data model's number."""
        found = (
            record
            for record in self.stored_logs(trace_id)
            if (mode is None or record.resource.mode == mode) and record.severity_number >= minimum_severity
        )
        return [record.decode() for record in islice(found, limit)]

    def stored_points(self) -> list[OtlpPoint]:
        """The points that came by OTLP, undecoded, in order of arrival."""
        with self._changed:
            return [point for point in self._metrics if isinstance(point, OtlpPoint)]

    def metrics(self) -> list[MetricSummary]:
        """All metrics of which points are kept, by name."""
        with self._changed:
            return self._metrics.summaries()

    def series(
        self, name: str, mode: str | None = None, points: int | None = None, since_ns: int = 0
    ) -> list[tuple[Series, Sequence[StoredPoint]]]:
        """The series of one metric with their latest points, the oldest of them first.

        Of the points before `since_ns` there is the last one, from which on the series is known.
        """
        with self._changed:
            return [
                (series, series.latest(points, since_ns))
                for series in self._metrics.named(name)
                if mode is None or series.mode == mode
            ]
