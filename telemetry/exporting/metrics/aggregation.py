"""The metrics of all processes of a service, in one set of series.

Does what the SDK's aggregation does (views, limits, exemplars, start times), and also adds up several processes and
continues in another exporter. Used by one thread; others pass their measurements to `emit`, which are counted by the
next `settle`.
"""

from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import time_ns
from typing import Any

from telemetry.exporting.metrics.series import HERE, Buckets, Current, Grown, Merge, Series, latest, least, total
from telemetry.exporting.metrics.views import Views
from telemetry.journal.records import Instrument

__all__ = ["HERE", "Aggregation", "Series"]

# https://opentelemetry.io/docs/specs/otel/metrics/sdk/#cardinality-limits
_LIMIT = 2000
_OVERFLOW = {"otel.metric.overflow": True}
_OF_NO_PROCESS = {"counter", "histogram"}
_OFFERS = {"always_on": True, "always_off": False, "trace_based": None}

Key = tuple[tuple[str, Any], ...]
Point = tuple[float, Mapping[str, Any]]


# How the gauges of several processes are merged; up-down counters are added up.
_MERGES: Mapping[str, Merge] = {"process.uptime": least}


@dataclass(slots=True)
class _Metric:
    """An instrument and its series."""

    instrument: Instrument
    keys: frozenset[str]
    make: Callable[[Mapping[str, Any]], Series]
    is_used: bool = False
    """Whether it was the last of its name and scope to be used for the first time since this exporter's start.

    The kind of an instrument may have changed.
    """
    series: dict[Key, Series] = field(default_factory=dict)


class Aggregation:
    """The metrics; `exemplars` names one of the SDK's filters; `limit` is the most series of a metric."""

    def __init__(self, views: Views, *, exemplars: str = "trace_based", limit: int = _LIMIT) -> None:
        self._views = views
        self._offers = _OFFERS[exemplars]
        self._limit = limit
        self._metrics: dict[tuple[str, ...], _Metric] = {}
        self._by_instrument: dict[Instrument, _Metric] = {}
        self._emitted: deque[tuple[Instrument, float, Mapping[str, Any]]] = deque()
        self._has_settled = False

    def series(self, instrument: Instrument, attributes: Mapping[str, Any]) -> Series:
        """Return the series of the instrument's allowed `attributes`; callers that record often should keep it."""
        metric = self._metric(instrument)
        kept = _kept(attributes, metric.keys)
        return self._of(metric, kept, _key(kept))

    def _metric(self, instrument: Instrument) -> _Metric:
        """Return the metric of an instrument, whose first use gives it its name."""
        return self._by_instrument.get(instrument) or self._first_use(instrument)

    def _kept_metric(self, instrument: Instrument) -> _Metric:
        """Return the metric of an instrument without using it."""
        identity = _identity(instrument)
        metric = self._metrics.get(identity)
        if metric is None:
            metric = _Metric(instrument, self._views.attributes(instrument[1]), self._maker(instrument))
            self._metrics[identity] = metric
        return metric

    def _first_use(self, instrument: Instrument) -> _Metric:
        metric, name, scope = self._kept_metric(instrument), instrument[1], instrument[4]
        if not metric.is_used:
            for other in self._metrics.values():
                if (other.instrument[1], other.instrument[4]) == (name, scope):
                    other.is_used = False
            metric.instrument, metric.make, metric.is_used = instrument, self._maker(instrument), True
            for series in metric.series.values():
                if isinstance(series, Buckets):
                    series.rebucket(self._views.boundaries(instrument))
        self._by_instrument[instrument] = metric
        return metric

    def _maker(self, instrument: Instrument) -> Callable[[Mapping[str, Any]], Series]:
        """Return the factory of an instrument's series."""
        kind, name = instrument[:2]
        offers = self._offers
        if kind == "counter":
            return lambda attributes: Series(attributes, time_ns(), offers)
        if kind == "histogram":
            bounds = self._views.boundaries(instrument)
            return lambda attributes: Buckets(attributes, time_ns(), offers, bounds)
        if kind == "observable_counter":
            return lambda attributes: Grown(attributes, time_ns())
        merge = total if kind.endswith("updowncounter") else _MERGES.get(name, latest)
        return lambda attributes: Current(attributes, time_ns(), offers, merge)

    def _of(self, metric: _Metric, attributes: Mapping[str, Any], key: Key) -> Series:
        found = metric.series.get(key)
        if found is None:
            if len(metric.series) >= self._limit - 1:
                attributes, key = _OVERFLOW, tuple(_OVERFLOW.items())
            found = metric.series.get(key)
        if found is None:
            found = metric.series[key] = metric.make(attributes)
        return found

    def record(  # noqa: PLR0917  (the fields of a record, in its order)
        self,
        instrument: Instrument,
        value: float,
        attributes: Mapping[str, Any],
        time: int = 0,
        trace_id: bytes | None = None,
        span_id: bytes | None = None,
        sampled: bool = False,
        source: Hashable = HERE,
    ) -> None:
        """Take a measurement of an instrument by the process `source`; `time` in ns, 0 for no exemplar."""
        series = self.series(instrument, attributes)
        if isinstance(series, Current):
            take = series.add if instrument[0] == "updowncounter" else series.observe
            take(source, value, time)
            series.offer(value, time, trace_id, span_id, sampled)
        else:
            series.record(value, time, trace_id, span_id, sampled)

    def observe(self, instrument: Instrument, source: Hashable, points: Iterable[Point], time: int = 0) -> None:
        """Take all values of an instrument that the process `source` observes; forget those it no longer observes.

        Sums whose filtered attributes are equal are added up.
        """
        adds = not instrument[0].endswith("gauge")
        values: dict[int, float] = {}
        for value, attributes in points:
            place = id(self.series(instrument, attributes))
            values[place] = values.get(place, 0) + value if adds else value
        for series in self._metric(instrument).series.values():
            observed = values.get(id(series))
            if isinstance(series, Current):
                if observed is None:
                    series.forget(source)
                else:
                    series.observe(source, observed, time)
            elif isinstance(series, Grown) and observed is not None:
                series.observe(source, observed)

    def observe_all(self, observed: Iterable[tuple[Instrument, Iterable[Point]]], source: Hashable, time: int) -> None:
        """Take everything that the process `source` observes at a time; instruments of one metric are taken as one."""
        joined: dict[tuple[str, ...], tuple[Instrument, list[Point]]] = {}
        for instrument, points in observed:
            joined.setdefault(_identity(instrument), (instrument, []))[1].extend(points)
        for instrument, all_points in joined.values():
            self.observe(instrument, source, all_points, time)

    def keep(self, sources: Collection[Hashable]) -> None:
        """Forget the values of all processes except `sources` and this one."""
        living = {HERE, *sources}
        for metric in self._metrics.values():
            if metric.instrument[0] not in _OF_NO_PROCESS:
                for series in metric.series.values():
                    series.keep(living)

    def keep_current(self, sources: Collection[Hashable]) -> None:
        """Forget the current values of all processes except `sources`, but not the totals that they observed.

        Totals need no such care: one that is lower than the last of the same process id is taken for a new process's.
        """
        for metric in self._metrics.values():
            for series in metric.series.values():
                if isinstance(series, Current):
                    series.keep(sources)

    def known(self, instrument: Instrument) -> list[Mapping[str, Any]]:
        """Return the attributes of an instrument's series, including those without a value."""
        return [series.attributes for series in self._metric(instrument).series.values()]

    def emit(self, instrument: Instrument, value: float, attributes: Mapping[str, Any]) -> None:
        """Take a measurement, from any thread, that must not wait for a record to be committed."""
        self._emitted.append((instrument, value, attributes))

    def settle(self) -> None:
        """Count the measurements from `emit`."""
        while self._emitted:
            self.record(*self._emitted.popleft())
            self._has_settled = True

    @property
    def has_emitted(self) -> bool:
        """Whether `emit` has taken measurements since the last `state`."""
        return self._has_settled or bool(self._emitted)

    def metrics(self) -> Iterator[tuple[Instrument, list[Series]]]:
        """Yield each instrument with its series that have a value, those in use first.

        One whose kind has changed is no longer in use: its name belongs to the one of the present kind.
        """
        self.settle()
        for metric in self._in_use_first():
            if series := [each for each in metric.series.values() if each.is_current]:
                yield metric.instrument, series

    def state(self) -> list[Any]:
        """Return the state from which another exporter continues, ready for `marshal`."""
        self.settle()
        self._has_settled = False
        return [
            (
                metric.instrument,
                [(series.attributes, series.start, series.state()) for series in metric.series.values()],
            )
            for metric in self._in_use_first()
        ]

    def _in_use_first(self) -> list[_Metric]:
        return sorted(self._metrics.values(), key=lambda metric: not metric.is_used)

    def restore(self, state: Iterable[Any]) -> None:
        """Continue from the `state` of a former exporter.

        Series that the current views merge are added up, and buckets become those of the current instrument.
        The former exporter's observations of itself are forgotten.
        """
        for instrument, all_series in state:
            metric = self._kept_metric(instrument)
            for attributes, start, values in all_series:
                kept = attributes if attributes == _OVERFLOW else _kept(attributes, metric.keys)
                series = self._of(metric, kept, _key(kept))
                series.start = min(series.start, start)
                series.restore(values)
                if isinstance(series, Current):
                    series.forget(HERE)


def _identity(instrument: Instrument) -> tuple[str, ...]:
    """Return what distinguishes metrics; instruments that differ otherwise, as after an upgrade, are one metric."""
    kind, name, unit, _, scope, *_ = instrument
    return kind, name, unit, scope


def _kept(attributes: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {name: attributes[name] for name in sorted(attributes) if name in keys}


def _key(attributes: Mapping[str, Any]) -> Key:
    return tuple([(name, value if value.__class__ is str else _hashable(value)) for name, value in attributes.items()])


def _hashable(value: Any) -> Any:
    # 1, 1.0 and True are equal, but different series.
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    if isinstance(value, Mapping):
        return "mapping", tuple((name, _hashable(value[name])) for name in sorted(value))
    return value.__class__.__name__, value
