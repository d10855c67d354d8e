"""Values that the SDK aggregates itself, those of observable instruments above all, copied into a slot file."""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    Sum,
)

from telemetry.series_key import GENERATION, SECONDS, VALUE, Kind, Merge, SeriesKey
from telemetry.shared_state import Entry, WorkerState


class _Cumulative:
    """A counter or histogram that started with this process, added to what former owners of the slot reached."""

    def __init__(self, entry: Entry, length: int) -> None:
        self._entry = entry
        self._base = list(entry.values[:length])
        self._last = [0.0] * length

    def update(self, point: NumberDataPoint | HistogramDataPoint) -> None:
        counts = [*point.bucket_counts, point.sum] if isinstance(point, HistogramDataPoint) else [point.value]
        if any(new < old for new, old in zip(counts, self._last, strict=True)):  # the source began anew
            self._base = [base + old for base, old in zip(self._base, self._last, strict=True)]
        self._last = [float(count) for count in counts]
        with self._entry.lock:
            for index, (base, new) in enumerate(zip(self._base, self._last, strict=True)):
                self._entry.values[index] = base + new


class _Current:
    """An up-down counter or gauge: it counts while its owner lives and as long as it is observed."""

    def __init__(self, entry: Entry, generation: int) -> None:
        self._entry = entry
        self._generation = float(generation)

    def update(self, point: NumberDataPoint) -> None:
        with self._entry.lock:
            values = self._entry.values
            values[VALUE] = point.value
            values[SECONDS] = point.time_unix_nano / 1e9
            values[GENERATION] = self._generation

    def retire(self) -> None:
        with self._entry.lock:
            self._entry.values[GENERATION] = 0.0


class ObservedValues:
    """Writes each batch that the SDK collects; one batch at a time."""

    def __init__(self, state: WorkerState, merges: Mapping[str, Merge]) -> None:
        self._state = state
        self._merges = merges
        # By the identity of the attributes: the SDK keeps one dict per series for as long as the series lives.
        self._series: dict[int, tuple[object, _Cumulative | _Current | None]] = {}
        self._keys: set[bytes] = set()
        self._current: set[_Current] = set()

    def receive(self, data: MetricsData) -> None:
        """Store the values; kinds of data that a scrape cannot show are left out and warned about once."""
        seen: set[_Current] = set()
        for resource_metrics in data.resource_metrics:
            for scope_metrics in resource_metrics.scope_metrics:
                for metric in scope_metrics.metrics:
                    self._store(metric, scope_metrics.scope.name, seen)
        for gone in self._current - seen:
            gone.retire()
        self._current = seen

    def _store(self, metric: Metric, scope: str, seen: set[_Current]) -> None:
        kind = _kind(metric.data)
        if kind is None:
            text = f"metric {metric.name} is left out: {type(metric.data).__name__} cannot be shown at /metrics"
            self._state.warn_once((metric.name, "kind"), text)
            return
        points: Sequence[Any] = metric.data.data_points
        for point in points:
            known = self._series.get(id(point.attributes))
            if known is None:
                known = point.attributes, self._begin(metric, scope, kind, point)
                self._series[id(point.attributes)] = known
            series = known[1]
            if series is not None:
                series.update(point)
            if isinstance(series, _Current):
                seen.add(series)

    def _begin(self, metric: Metric, scope: str, kind: Kind, point: Any) -> _Cumulative | _Current | None:
        key = SeriesKey(
            metric.name,
            metric.description or "",
            metric.unit or "",
            kind,
            f"observed:{scope}",
            tuple(point.explicit_bounds) if kind == "histogram" else (),
            self._merges.get(metric.name, "max") if kind == "gauge" else "sum",
            point.attributes or {},
        )
        encoded = key.encode()
        if encoded in self._keys:
            text = f"several views keep the same series of {metric.name}: the first one counts"
            self._state.warn_once((metric.name, "views"), text)
            return None
        self._keys.add(encoded)
        entry = self._state.entry(key)
        if entry is None:
            return None
        if kind in {"counter", "histogram"}:
            return _Cumulative(entry, key.values - 1)
        return _Current(entry, self._state.generation)


def _kind(data: object) -> Kind | None:
    if isinstance(data, Sum):
        return "counter" if data.is_monotonic else "updowncounter"
    if isinstance(data, Gauge):
        return "gauge"
    return "histogram" if isinstance(data, Histogram) else None
