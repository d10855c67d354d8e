"""The metric points of the store, and the list of metrics, in which a metric both received and scraped is one entry."""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from opentelemetry.proto.metrics.v1 import metrics_pb2
from prometheus_client.samples import Sample

from telemetry.exposition.names import family_name
from telemetry.tools.console.receiving.values import digest, plain_attributes
from telemetry.tools.console.storage.points import POINT_CLASSES, Instrument, Series, StoredPoint
from telemetry.tools.console.storage.records import LONGEST_NAME, UNKNOWN_MODE, Origin
from telemetry.tools.console.storage.retention import BoundedQueue, SignalLimits

#: Groups of metrics by the first word of their names, in order; metrics in none are the service's own.
GROUPS = ("The service's own", "HTTP", "Database", "Process and runtime", "Telemetry itself")
_GROUP_OF = {"http": 1, "db": 2, "otel": 4, "telemetry": 4, "target": 4, "scrape": 4, "up": 4} | dict.fromkeys(
    ("process", "cpython", "python", "system", "jvm", "go", "nodejs", "dotnet"), 3
)


@dataclass(slots=True)
class Entry:
    """One metric: its instruments by source, the OTLP one first if there are both.

    `series` are those that are drawn, a scraped histogram with all its buckets as one.
    """

    instruments: list[Instrument]
    modes: set[str]
    series: int

    @property
    def first(self) -> Instrument:
        """The one whose name, unit and description are shown."""
        return self.instruments[0]

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(instrument.name for instrument in self.instruments))

    @property
    def unit(self) -> str:
        """The unit as sent; the Prometheus format has it only in the name."""
        units = [instrument.unit for instrument in self.instruments]
        units += [unit for unit in ("seconds", "bytes") if self.first.name.endswith(f"_{unit}")]
        return next(filter(None, units), "")

    @property
    def group(self) -> int:
        return _GROUP_OF.get(re.split(r"[._]", self.first.name)[0], 0)


class IncomingPoint(NamedTuple):
    """A data point on its way into the store; `kind` is a key of `points.POINT_CLASSES`.

    One without a value ends a series: its sender measures it no longer.
    """

    instrument: Instrument
    origin: Origin
    kind: str
    raw: bytes
    delta: bool
    has_value: bool
    time_ns: int
    start_ns: int
    #: The number of measurements, or the value of a sum or gauge.
    value: float
    #: A digest of the attributes.
    attributes: bytes

    @classmethod
    def read(cls, instrument: Instrument, origin: Origin, kind: str, raw: bytes, *, delta: bool) -> Self:
        message: Any = POINT_CLASSES[kind].FromString(raw)
        value = (message.as_int or message.as_double) if kind in {"gauge", "sum"} else message.count
        attributes = digest(*sorted(item.SerializeToString() for item in message.attributes))
        has_value = not message.flags & metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
        times = message.time_unix_nano, message.start_time_unix_nano
        return cls(instrument, origin, kind, raw, delta, has_value, *times, value, attributes)

    @property
    def identity(self) -> tuple[str, ...]:
        return (*self.origin.resource.instance, self.origin.resource.mode, self.origin.scope.name)


class MetricStore(BoundedQueue[StoredPoint]):
    """Keeps the newest points of all series."""

    def __init__(self, limits: SignalLimits) -> None:
        super().__init__(limits)
        self._series: dict[Hashable, Series] = {}
        self._by_name: defaultdict[str, dict[Hashable, Series]] = defaultdict(dict)

    def received(self, point: IncomingPoint) -> Series:
        """Return the series of a point: an existing one, or a new one."""
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
        """Return the series of a sample: an existing one, or a new one."""
        labels = sample.labels
        key = digest(target, sample.name, *(text for item in sorted(labels.items()) for text in item))
        series = self._series.get(key)
        if series is None:
            sender = sender_of(target, labels)
            series = Series(key, instrument, *sender, sample.name, dict(labels), target=target)
        return series

    def add(self, point: StoredPoint) -> None:
        series = point.series
        if not series.points:
            self._bytes += series.size
            self._series[series.key] = series
            self._by_name[series.instrument.name][series.key] = series
        series.points.append(point)
        self.append(point)

    def forget(self, point: StoredPoint) -> None:
        series = point.series
        series.points.popleft()  # the series and the queue are in the same order
        if not series.points:
            self._bytes -= series.size
            del self._series[series.key]
            named = self._by_name[series.instrument.name]
            del named[series.key]
            if not named:
                del self._by_name[series.instrument.name]

    def summaries(self) -> list[Entry]:
        """Return all metrics by name; an OTLP and a scraped metric of the same name are two."""
        found: dict[tuple[str, str], list[Series]] = {}
        for name in sorted(self._by_name):
            for series in self._by_name[name].values():
                found.setdefault((name, series.instrument.source), []).append(series)
        return [
            Entry([several[0].instrument], {one.mode for one in several}, len({one.track for one in several} - {None}))
            for several in found.values()
        ]

    def named(self, name: str) -> list[Series]:
        """The series of one metric, in order of appearance."""
        return list(self._by_name.get(name, {}).values())


def sender_of(target: str, labels: Mapping[str, str]) -> tuple[str, str]:
    """The mode and the service of a scraped sample."""
    mode, service = labels.get("export_mode") or UNKNOWN_MODE, labels.get("service_name") or target
    return mode[:LONGEST_NAME], service[:LONGEST_NAME]


def entries(metrics: Iterable[Entry]) -> list[Entry]:
    """All entries by group and name, where a metric of two sources, which is two of `metrics`, is one."""
    found: list[Entry] = []
    by_scraped_name: dict[str, Entry] = {}
    for metric in sorted(metrics, key=lambda metric: metric.first.source != "otlp"):
        one = metric.first
        received = by_scraped_name.get(one.name)
        if one.source == "otlp":
            by_scraped_name.setdefault(family_name(one.name, one.unit, one.type.replace("_", ""))[0], metric)
        if one.source == "otlp" or received is None:
            found.append(metric)
        else:
            received.instruments.append(one)
            received.modes |= metric.modes
            received.series += metric.series
    return sorted(found, key=lambda entry: (entry.group, entry.first.name))


def entry_of(name: str, metrics: Iterable[Entry]) -> Entry | None:
    """The entry with that name, of OpenTelemetry or of Prometheus."""
    return next((entry for entry in entries(metrics) if name in entry.names), None)
