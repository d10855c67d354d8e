"""The metric points of the store: series by metric name."""

from collections.abc import Hashable
from dataclasses import dataclass

from telemetry.tools.console.limits import SignalLimits
from telemetry.tools.console.points import Instrument, Series, StoredPoint
from telemetry.tools.console.retention import BoundedQueue


@dataclass(slots=True)
class MetricSummary:
    """One metric of one source; `series` are those that are drawn, a scraped histogram with all its buckets as one."""

    instrument: Instrument
    modes: set[str]
    series: int


class MetricStore(BoundedQueue[StoredPoint]):
    """Keeps the newest points of all series."""

    def __init__(self, limits: SignalLimits) -> None:
        super().__init__(limits)
        self._series: dict[Hashable, Series] = {}
        self._by_name: dict[str, dict[Hashable, Series]] = {}

    def find(self, key: Hashable) -> Series | None:
        """The series with that key, if any of its points is kept."""
        return self._series.get(key)

    def add(self, point: StoredPoint) -> None:
        """Keep the point, and its series with it."""
        series = point.series
        if not series.points:
            self.charge(series.size)
            if series.origin is not None:
                self.share(series.origin)
            self._series[series.key] = series
            self._by_name.setdefault(series.instrument.name, {})[series.key] = series
        series.points.append(point)
        self.append(point)

    def forget(self, point: StoredPoint) -> None:
        series = point.series
        series.points.popleft()  # the series and the queue are in the same order
        if not series.points:
            self.charge(-series.size)
            if series.origin is not None:
                self.release(series.origin)
            del self._series[series.key]
            named = self._by_name[series.instrument.name]
            del named[series.key]
            if not named:
                del self._by_name[series.instrument.name]

    def summaries(self) -> list[MetricSummary]:
        """All metrics by name; one of OTLP and a scraped one of the same name are two."""
        found: dict[tuple[str, str], MetricSummary] = {}
        for name in sorted(self._by_name):
            tracks: dict[tuple[str, str], set[Hashable]] = {}
            for series in self._by_name[name].values():
                key = (name, series.instrument.source)
                summary = found.get(key)
                if summary is None:
                    summary = found[key] = MetricSummary(series.instrument, set(), 0)
                summary.modes.add(series.mode)
                if series.track is not None:
                    tracks.setdefault(key, set()).add(series.track)
            for key, drawn in tracks.items():
                found[key].series = len(drawn)
        return list(found.values())

    def named(self, name: str) -> list[Series]:
        """The series of one metric, in order of appearance."""
        return list(self._by_name.get(name, {}).values())
