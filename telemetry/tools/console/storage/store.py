"""The console's memory: bounded records of three signals, and totals that eviction does not change."""

import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from itertools import chain, islice

from prometheus_client import Metric

from telemetry.tools.console.counting.counts import (
    COUNTED_SAMPLES,
    SCRAPED_FAMILY,
    Counters,
    Fates,
    ModeTotals,
    first_counts,
)
from telemetry.tools.console.counting.senders import SERVER_LOGGER, Sender, Senders
from telemetry.tools.console.storage.history import SLOT_SECONDS, Figures, History
from telemetry.tools.console.storage.metrics import Entry, IncomingPoint, MetricStore, sender_of
from telemetry.tools.console.storage.points import Instrument, OtlpPoint, SamplePoint, Series, SeriesPoints
from telemetry.tools.console.storage.records import KIND_SERVER, LogRecord, OriginCache, Span, StoredLog, StoredSpan
from telemetry.tools.console.storage.retention import Limits, Retained
from telemetry.tools.console.storage.traces import Calls, LogStore, SpanStore, Trace, calls_between

#: The logger of the service that writes one record per request.
ACCESS_LOGGER = "userapi.access"
#: The same, and what `TELEMETRY["ACCESS_LOGGER"]` is by default.
ACCESS_LOGGERS = frozenset({ACCESS_LOGGER, "telemetry.access"})

#: Figures leave out the last moments, which of what is replayed are complete.
_SHOWN_AFTER_NS = 2 * SLOT_SECONDS * 10**9


class Store:
    """The telemetry that has arrived. Thread-safe; readers get copies, decoded outside the lock."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.origins = OriginCache()
        self.started_ns = time.time_ns()
        self._changed = threading.Condition(threading.RLock())
        self._spans = SpanStore(self.limits.spans)
        self._logs = LogStore(self.limits.logs)
        self._metrics = MetricStore(self.limits.points)
        self._counters = Counters()
        self._history = History()
        self._senders = Senders()
        #: What searches have found out, by their terms: until which change no trace matches, except some.
        self.unmatched: dict[Hashable, tuple[int, Collection[int]]] = {}
        self._replays = False
        self._latest_ns = 0

    def now_ns(self) -> int:
        """The time that pages are about, in nanoseconds since the epoch: now, or the end of what was replayed."""
        return self._latest_ns + _SHOWN_AFTER_NS if self._latest_ns else time.time_ns()

    def replay(self) -> None:
        """Treat everything added from now on as a replay: the current time is the latest time added."""
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
        """Store and count spans; one whose ids are already stored is counted as a duplicate and left out."""
        now_ns = self._arrival_ns(span.end_ns for span in spans)
        with self._changed:
            self._senders.note({span.resource for span in spans}, "traces", now_ns)
            for span in spans:
                totals = self._counters.totals[span.resource.mode]
                if not self._spans.add(span):
                    totals.duplicate_spans += 1
                    continue
                totals.spans += 1
                if span.kind == KIND_SERVER:
                    totals.count_server_span(span.resource.service)
                    self._counters.place(span)
                    self._history[span.resource.mode].add(span, span.end_ns if self._replays else now_ns)
            self._changed.notify_all()

    def add_logs(self, records: Sequence[StoredLog]) -> None:
        now_ns = self._arrival_ns(record.time_ns for record in records)
        with self._changed:
            self._senders.note({record.resource for record in records}, "logs", now_ns)
            for record in records:
                totals = self._counters.totals[record.resource.mode]
                totals.log_records += 1
                if record.scope.name in ACCESS_LOGGERS:
                    totals.access_records += 1
                    self._counters.place(record)
                elif record.scope.name == SERVER_LOGGER:
                    self._senders.note_start(record, now_ns)
                self._logs.add(record)
            self._changed.notify_all()

    def add_points(self, points: Sequence[IncomingPoint]) -> None:
        now_ns = self._arrival_ns(point.time_ns for point in points)
        with self._changed:
            self._senders.note({point.origin.resource for point in points}, "metrics", now_ns)
            self._counters.begin(first_counts(points, self.started_ns), self._requests)
            for point in points:
                series = self._metrics.received(point)
                self._counters.count_point(point, series.attributes, self.started_ns)
                if point.has_value:
                    self._metrics.add(OtlpPoint(series, point.kind, point.time_ns, point.raw))
            self._changed.notify_all()

    def add_samples(self, target: str, families: Iterable[Metric], time_ns: int) -> int:
        """Keep and count the samples of one scrape; returns their number."""
        added = 0
        with self._changed:
            for family in families:
                instrument = Instrument(family.name, "scrape", family.type, family.unit, family.documentation)
                counted = family.name == SCRAPED_FAMILY or f"{family.name}_total" in COUNTED_SAMPLES
                older = {
                    frozenset(each.labels.items())
                    for each in (family.samples if counted else ())
                    if each.name == f"{family.name}_created" and 0 < each.value * 1e9 < self.started_ns
                }
                if family.name == SCRAPED_FAMILY:
                    senders = {sender_of(target, dict(labels)) for labels in older}
                    self._counters.begin(dict.fromkeys(senders, time_ns), self._requests)
                for sample in family.samples:
                    series = self._metrics.scraped(target, instrument, sample)
                    is_older = sample.name in COUNTED_SAMPLES and frozenset(sample.labels.items()) in older
                    self._counters.count_sample(series, sample, time_ns, is_older=is_older)
                    self._metrics.add(SamplePoint(series, time_ns, sample.value, sample.exemplar))
                    added += 1
            self._changed.notify_all()
        return added

    def _requests(self) -> Iterator[StoredSpan | StoredLog]:
        """The server spans and access records that are kept."""
        yield from (span for span in self._spans if span.kind == KIND_SERVER)
        yield from (record for record in self._logs if record.scope.name in ACCESS_LOGGERS)

    def totals(self) -> dict[str, ModeTotals]:
        """What has arrived since the start, by mode."""
        with self._changed:
            return self._counters.totals.snapshot()

    def mode(self, name: str) -> ModeTotals:
        """The totals of one mode; zeros if nothing has arrived of it."""
        return self.totals().get(name) or ModeTotals()

    def history(self, seconds: int, steps: int) -> dict[str, list[Figures]]:
        """Return the request figures of the last `seconds`, in `steps` equal parts, by mode."""
        with self._changed:
            return self._history.figures(seconds, steps, self.now_ns() / 1e9)

    def recent(self, seconds: int) -> dict[str, Figures]:
        with self._changed:
            return self._history.recent(seconds, self.now_ns() / 1e9)

    def calls(self, seconds: int) -> list[Calls]:
        """Which service called which in the last `seconds`; nothing while a single one sends."""
        several = len({sender.service for sender in self.senders()}) > 1
        return calls_between(self.stored_traces(), seconds, self.now_ns()) if several else []

    def senders(self) -> list[Sender]:
        with self._changed:
            return self._senders.all()

    def fates(self) -> dict[str, Fates]:
        with self._changed:
            return self._counters.fates.snapshot()

    def retained(self) -> dict[str, Retained]:
        with self._changed:
            kept = self._spans.retained, self._logs.retained, self._metrics.retained
            return dict(zip(("spans", "log_records", "points"), kept, strict=True))

    def wait_for(self, condition: Callable[["Store"], bool], timeout: float = 5.0) -> bool:
        """Wait until the condition holds, checking whenever something arrives; return False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), timeout)

    def stored_traces(self, trace_id: str | None = None) -> list[Trace]:
        """The traces, which go on changing, the one that appeared last first; only one if its id in hex is given."""
        with self._changed:
            return self._spans.latest(None if trace_id is None else bytes.fromhex(trace_id))

    @property
    def span_changes(self) -> int:
        """How often a trace has changed."""
        return self._spans.changes

    def linking_spans(self) -> list[StoredSpan]:
        """The spans that have links, undecoded, in order of arrival."""
        with self._changed:
            return list(self._spans.linking)

    def stored_logs(self, trace_id: str | None = None) -> list[StoredLog]:
        """The log records, undecoded, the newest first; of one trace if its id in hex is given."""
        with self._changed:
            return list(self._logs.latest(None if trace_id is None else bytes.fromhex(trace_id)))

    def stored_trace(self, trace_id: str) -> list[StoredSpan]:
        """The spans of the trace with that id in hex, undecoded, by start; empty if none is kept."""
        kept = chain.from_iterable(map(Trace.spans, self.stored_traces(trace_id)))
        return sorted(kept, key=lambda span: span.start_ns)

    def trace(self, trace_id: str) -> list[Span]:
        return [span.decode() for span in self.stored_trace(trace_id)]

    def spans(self) -> list[Span]:
        """All spans that are kept, in order of arrival."""
        with self._changed:
            kept = list(self._spans)
        return [span.decode() for span in kept]

    def logs(self, limit: int | None = None, mode: str | None = None, trace_id: str | None = None) -> list[LogRecord]:
        """The latest log records, the newest first."""
        found = (record for record in self.stored_logs(trace_id) if mode is None or record.resource.mode == mode)
        return [record.decode() for record in islice(found, limit)]

    def stored_points(self) -> list[OtlpPoint]:
        """Return the points received over OTLP, undecoded, in order of arrival."""
        with self._changed:
            return [point for point in self._metrics if isinstance(point, OtlpPoint)]

    def metrics(self) -> list[Entry]:
        """All metrics of which points are kept, by name."""
        with self._changed:
            return self._metrics.summaries()

    def series(self, name: str, mode: str | None = None, points: int | None = None) -> list[SeriesPoints]:
        """The series of one metric with their latest points, the oldest of them first."""
        with self._changed:
            return [(each, each.latest(points)) for each in self._metrics.named(name) if mode in {None, each.mode}]

    def around(self, several: Iterable[Series], times_ns: Sequence[int]) -> list[SeriesPoints]:
        """Return the series with stored points, each with the points needed for its values at these times."""
        with self._changed:
            return [(series, series.around(times_ns)) for series in several if series.points]
