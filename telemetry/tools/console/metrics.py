"""The metric points of the store: series by metric name."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from telemetry.tools.console.retention import BoundedQueue, Retained
from telemetry.tools.console.values import digest, size_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from telemetry.tools.console.limits import SignalLimits
    from telemetry.tools.console.origin import Origin
    from telemetry.tools.console.points import StoredPoint
    from telemetry.tools.console.values import PlainValue

Shape = Literal["counter", "histogram", "gauge"]

_SHAPES: dict[str, Shape] = {
    "counter": "counter",
    "histogram": "histogram",
    "exponential_histogram": "histogram",
    "gaugehistogram": "gauge",
}

#: What a series takes in memory beyond its points and texts (measured on CPython 3.11; bytes).
SERIES_OVERHEAD = 1800


def shape_of(kind: str) -> Shape:
    """How a metric of that type is drawn."""
    return _SHAPES.get(kind, "gauge")


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a metric is: `source` is "otlp" or "scrape", `type` in words ("counter", "histogram", ...)."""

    name: str
    source: str
    type: str
    unit: str
    description: str


@dataclass(slots=True, eq=False)
class Series:
    """The points of one metric with the same attributes and origin.

    `sample` is the sample's name where the series was scraped (`..._bucket`), else empty; `service` is the service's or
    the scrape target's name; `instance` the process's id, empty where one series covers all; `origin` is None of a
    scrape. `delta` says that points hold what came since the one before. `size` is what it takes in memory without its
    points.

    Series of the same `track` are drawn as one (the buckets of a scraped histogram); without one it is not drawn.
    """

    key: Hashable
    instrument: Instrument
    mode: str
    service: str
    sample: str
    attributes: dict[str, PlainValue]
    instance: str = ""
    delta: bool = False
    origin: Origin | None = None
    points: deque[StoredPoint] = field(default_factory=deque)
    track: Hashable | None = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.track = self._track()
        instrument = self.instrument
        texts = self.attributes, instrument.name, instrument.unit, instrument.description, self.sample, self.instance
        self.size = SERIES_OVERHEAD + size_of(texts)

    def _track(self) -> Hashable | None:
        if not self.sample:
            return self.key
        if shape_of(self.instrument.type) != "histogram":
            return None if self.sample.endswith("_created") else self.key
        if not self.sample.endswith("_bucket"):
            return None
        labels = sorted(item for item in self.attributes.items() if item[0] != "le")
        return digest(self.mode, *(text for item in labels for text in item))

    @property
    def shape(self) -> Shape:
        """How it is drawn."""
        return shape_of(self.instrument.type)


@dataclass(slots=True)
class MetricSummary:
    """One metric of one source; `series` are those that are drawn, a scraped histogram with all its buckets as one."""

    instrument: Instrument
    modes: set[str]
    series: int


class MetricStore:
    """Keeps the newest points of all series. Not thread-safe: the `Store` holds the lock."""

    def __init__(self, limits: SignalLimits) -> None:
        self._queue: BoundedQueue[StoredPoint] = BoundedQueue(limits, self._forget)
        self._series: dict[Hashable, Series] = {}
        self._by_name: dict[str, dict[Hashable, Series]] = {}

    def find(self, key: Hashable) -> Series | None:
        """The series with that key, if any of its points is kept."""
        return self._series.get(key)

    def add(self, point: StoredPoint) -> None:
        """Keep the point, and its series with it."""
        series = point.series
        if not series.points:
            self._queue.charge(series.size)
            if series.origin is not None:
                self._queue.share(series.origin)
            self._series[series.key] = series
            self._by_name.setdefault(series.instrument.name, {})[series.key] = series
        series.points.append(point)
        self._queue.append(point)

    def _forget(self, point: StoredPoint) -> None:
        series = point.series
        series.points.popleft()  # the series and the queue are in the same order
        if not series.points:
            self._queue.charge(-series.size)
            if series.origin is not None:
                self._queue.release(series.origin)
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

    def __iter__(self) -> Iterator[StoredPoint]:
        return iter(self._queue)

    @property
    def retained(self) -> Retained:
        """What is kept and what was evicted."""
        return self._queue.retained
