"""The metric points of the store: series by metric name."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

from prometheus_client.samples import Sample

from telemetry.tools.console.receiving.values import digest, plain_attributes
from telemetry.tools.console.storage.origin import LONGEST_NAME, UNKNOWN_MODE, Origin
from telemetry.tools.console.storage.points import POINT_CLASSES, Instrument, Series, StoredPoint
from telemetry.tools.console.storage.retention import BoundedQueue, SignalLimits


@dataclass(slots=True)
class MetricSummary:
    """One metric of one source; `series` are those that are drawn, a scraped histogram with all its buckets as one."""

    instrument: Instrument
    modes: set[str]
    series: int


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

    @property
    def identity(self) -> tuple[str, ...]:
        """What names its sender and its scope."""
        return (*self.origin.resource.instance, self.origin.resource.mode, self.origin.scope.name)


class MetricStore(BoundedQueue[StoredPoint]):
    """Keeps the newest points of all series."""

    def __init__(self, limits: SignalLimits) -> None:
        super().__init__(limits)
        self._series: dict[Hashable, Series] = {}
        self._by_name: dict[str, dict[Hashable, Series]] = {}

    def received(self, point: IncomingPoint) -> Series:
        """The series of a point: one of which points are kept, or a new one."""
        resource = point.origin.resource
        key = digest(point.instrument.name, point.kind, *point.identity, point.attributes)
        series = self._series.get(key)
        if series is None:
            message: Any = POINT_CLASSES[point.kind].FromString(point.raw)
            attributes = plain_attributes(message.attributes)
            instance = str(resource.attributes.get("service.instance.id", ""))
            of_sender = resource.mode, resource.service, "", attributes, instance
            series = Series(key, point.instrument, *of_sender, point.delta, point.origin)
        return series

    def scraped(self, target: str, instrument: Instrument, sample: Sample) -> Series:
        """The series of a sample: one of which samples are kept, or a new one."""
        labels = sample.labels
        key = digest(target, sample.name, *(text for item in sorted(labels.items()) for text in item))
        series = self._series.get(key)
        if series is None:
            mode = (labels.get("export_mode") or UNKNOWN_MODE)[:LONGEST_NAME]
            service = (labels.get("service_name") or target)[:LONGEST_NAME]
            series = Series(key, instrument, mode, service, sample.name, dict(labels))
        return series

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
        found: dict[tuple[str, str], list[Series]] = {}
        for name in sorted(self._by_name):
            for series in self._by_name[name].values():
                found.setdefault((name, series.instrument.source), []).append(series)
        return [
            MetricSummary(
                several[0].instrument,
                {series.mode for series in several},
                len({series.track for series in several if series.track is not None}),
            )
            for several in found.values()
        ]

    def named(self, name: str) -> list[Series]:
        """The series of one metric, in order of appearance."""
        return list(self._by_name.get(name, {}).values())
