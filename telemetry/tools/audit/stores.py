"""The items of one service and mode in Tempo or Jaeger, Loki and Prometheus in a window."""

import json
from collections.abc import Mapping
from contextlib import suppress
from time import time

from telemetry.config import Signal
from telemetry.tools.account import Stored
from telemetry.tools.audit.counters import Counters, UncountedError, Window
from telemetry.tools.audit.service_counts import ServiceCounts, milliseconds
from telemetry.tools.backends import BackendError, Jaeger, Loki, Prometheus, Tempo
from telemetry.tools.backends.otlp_json import StoredSpan

_MOST_TRACES = 50_000
_NEWEST_TRACES = 20
_RECENT = 600.0
_DISCARDED: Mapping[Signal, str] = {"traces": "tempo_discarded_spans_total", "logs": "loki_discarded_samples_total"}
# One sample per data point: the others are a histogram's other samples, and series that Prometheus or resources add.
_NOT_POINTS = r"(.+_(bucket|sum|min|max)|target_info|otel_scope_info|traces_.+|ALERTS.*|.*:.*|up|scrape_.+)"
_COUNTED = "http_server_request_duration_seconds_count"


def spans(backend: Tempo | Jaeger, service: str, mode: str, window: Window, discarded: Mapping[str, int]) -> Stored:
    """Count the spans; with Jaeger, also the duplicates."""
    if isinstance(backend, Tempo):
        query = f"{{ resource.service.name = {json.dumps(service)} && resource.export.mode = {json.dumps(mode)} }}"
        items = backend.count(query, window.start, window.end)
        moments = _newest_traces(backend, query, window) if items else []
        twice = None
    else:
        found = [span for span in jaeger_spans(backend, service, window) if span.mode == mode]
        items = len({(span.trace_id, span.span_id) for span in found})
        twice = len(found) - items
        moments = [span.start_ns for span in found]
    return Stored(backend.name, items, twice, max(moments) / 1e9 if moments else None, discarded)


def _newest_traces(tempo: Tempo, query: str, window: Window) -> list[int]:
    """Return when the newest traces began; nothing if the search fails, which does not affect the count."""
    with suppress(BackendError):
        since = max(window.start, time() - _RECENT)
        found = tempo.search(f"{query} with (most_recent=true)", since, time(), _NEWEST_TRACES)
        return [one.start_ns for one in found]
    return []


def jaeger_spans(jaeger: Jaeger, service: str, window: Window) -> list[StoredSpan]:
    """Return the spans begun in the window; BackendError if there are too many traces to count."""
    found = jaeger.search(service, window.start, window.end, _MOST_TRACES)
    if len({span.trace_id for span in found}) >= _MOST_TRACES:
        path = f"{jaeger.base}/api/v3/traces"
        raise jaeger.error(path, f"more than {_MOST_TRACES} traces", remedy="choose a shorter --window")
    inside = (window.start * 1e9, window.end * 1e9)
    return [span for span in found if span.service == service and inside[0] <= span.start_ns <= inside[1]]


def log_records(loki: Loki, service: str, mode: str, window: Window, discarded: Mapping[str, int]) -> Stored:
    """Count the log records."""
    selector = f"{{service_name={json.dumps(service)}, export_mode={json.dumps(mode)}}}"
    items = loki.count(selector, window.start, window.end)
    newest = loki.lines(selector, max(window.start, time() - _RECENT), time(), limit=1) if items else []
    return Stored(loki.name, items, None, newest[0].time_ns / 1e9 if newest else None, discarded)


def data_points(prometheus: Prometheus, counts: ServiceCounts, *, scraped: int | None) -> Stored:
    """Count the samples of pushed data points; for a service that is scraped, the scrapes that succeeded."""
    newest = prometheus.value(f"max(timestamp({_COUNTED}{{{counts.matchers}}}))")
    items = _samples(prometheus, counts.matchers, counts.window) if scraped is None else scraped
    return Stored(prometheus.name, items, None, newest)


def _samples(prometheus: Prometheus, matchers: str, window: Window) -> int:
    """Count the samples from the window's start on, without those at its end, which the next push counts."""
    time = f"[{milliseconds(window.seconds)}]"
    end = window.end - 0.001
    found = f'last_over_time({{__name__!~"{_NOT_POINTS}",{matchers}}}{time})'
    names = [sample.labels["__name__"] for sample in prometheus.query(f"count by (__name__) ({found})", end)]
    # One by one: without their names, series of different metrics have the same labels.
    counts = (prometheus.value(f"sum(count_over_time({name}{{{matchers}}}{time}))", end) for name in names)
    return round(sum(count or 0.0 for count in counts))


class Discards:
    """The items that the backends refused in the window, by reason, if Prometheus scrapes the backends' metrics."""

    def __init__(self, prometheus: Prometheus, start: float) -> None:
        self._counters: Counters | None = None
        with suppress(UncountedError):
            names = ("up", *_DISCARDED.values())
            self._counters = Counters.since(start, prometheus, names, 'component=~"tempo|loki"')

    def of(self, signal: Signal) -> Mapping[str, int]:
        """Return the refused items by reason."""
        name = _DISCARDED.get(signal)
        return self._counters.by("reason", name) if self._counters and name else {}
