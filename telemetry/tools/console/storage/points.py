"""Series of metrics and their data points: as stored, and as decoded for readers."""

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Any, Self

from google.protobuf.message import Message
from opentelemetry.proto.metrics.v1 import metrics_pb2
from prometheus_client.samples import Exemplar as SampleExemplar

from telemetry.tools.console.receiving.values import PlainValue, digest, plain_attributes, size_of, whole
from telemetry.tools.console.storage.records import Origin, hex_ids

#: The memory of a stored point without its OTLP bytes or exemplar (measured on CPython 3.11; bytes).
OTLP_POINT_OVERHEAD = 200
SAMPLE_POINT_SIZE = 120

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")

POINT_CLASSES: dict[str, type[Message]] = {
    "gauge": metrics_pb2.NumberDataPoint,
    "sum": metrics_pb2.NumberDataPoint,
    "histogram": metrics_pb2.HistogramDataPoint,
    "exponential_histogram": metrics_pb2.ExponentialHistogramDataPoint,
    "summary": metrics_pb2.SummaryDataPoint,
}

#: How a metric is drawn, by its type; others as a gauge.
_SHAPES = {"counter": "counter", "histogram": "histogram", "exponential_histogram": "histogram"}

#: The memory of a series without its points and texts (measured on CPython 3.11; bytes).
SERIES_OVERHEAD = 1800


@dataclass(frozen=True, slots=True)
class Instrument:
    """The description of a metric: `source` is "otlp" or "scrape", `type` in words ("counter", "histogram", ...)."""

    name: str
    source: str
    type: str
    unit: str
    description: str

    @property
    def shape(self) -> str:
        return _SHAPES.get(self.type, "gauge")


@dataclass(slots=True, eq=False, weakref_slot=True)
class Series:
    """The points of one metric with the same attributes and origin (None of a scrape).

    `sample` is the sample's name where the series was scraped (`..._bucket`), and `target` the scrape target's, else
    empty; `service` is the service's or the scrape target's name; `instance` the process's id, empty where one series
    covers all. `delta` says that points hold what came since the one before. `size` is what it takes in memory without
    its points. Series of the same `track` are drawn as one (the buckets of a scraped histogram); without one it is not
    drawn.
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
    target: str = ""
    points: "deque[StoredPoint]" = field(default_factory=deque)
    track: Hashable | None = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        instrument, sample = self.instrument, self.sample
        texts = self.attributes, instrument.name, instrument.unit, instrument.description, sample, self.instance
        self.size = SERIES_OVERHEAD + size_of(texts)
        self.track = self.key
        if instrument.shape == "histogram" and sample.endswith("_bucket"):
            labels = sorted(item for item in self.attributes.items() if item[0] != "le")
            self.track = digest(self.target, self.mode, *(text for item in labels for text in item))
        elif sample.endswith("_created") or (sample and instrument.shape == "histogram"):
            self.track = None

    def latest(self, most: int | None = None) -> "list[StoredPoint]":
        """The latest points, the oldest first: at most so many."""
        return list(islice(reversed(self.points), most))[::-1]

    def around(self, times_ns: Sequence[int]) -> "list[StoredPoint]":
        """Return the points around each of these times, and the last; for deltas, all since the first time."""
        # Only the requested points are accessed: in a full store, most are not in the processor's caches.
        after = [bisect_right(self.points, time_ns, key=attrgetter("time_ns")) for time_ns in times_ns]
        if self.delta:
            return self.latest(max(len(self.points) - after[0], 1))
        last = len(self.points) - 1
        places = {last, *after, *(place - 1 for place in after)}
        return [self.points[place] for place in sorted(places) if 0 <= place <= last]


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A sample measurement of a point; ids in hex, empty if it has no valid ones."""

    value: float
    time_ns: int
    trace_id: str
    span_id: str
    attributes: dict[str, PlainValue]

    @classmethod
    def read(cls, message: metrics_pb2.Exemplar) -> Self:
        attributes = plain_attributes(message.filtered_attributes)
        return cls(_number(message), message.time_unix_nano, *hex_ids(message), attributes)


@dataclass(frozen=True, slots=True)
class Point:
    """A decoded point: `data` holds `value`, or `count` and `sum` and what else its kind of metric has."""

    time_ns: int
    start_ns: int
    data: dict[str, Any]
    exemplars: tuple[Exemplar, ...]


class _StoredPoint:
    __slots__ = ("series", "size", "time_ns")

    def __init__(self, series: Series, time_ns: int, size: int) -> None:
        self.series = series
        self.time_ns = time_ns
        self.size = size

    @property
    def origin(self) -> Origin | None:
        """The sender of the point, None for a scrape."""
        return self.series.origin


class OtlpPoint(_StoredPoint):
    """A point received over OTLP; `kind` is a key of POINT_CLASSES."""

    __slots__ = ("kind", "raw")

    def __init__(self, series: Series, kind: str, time_ns: int, raw: bytes) -> None:
        super().__init__(series, time_ns, len(raw) + OTLP_POINT_OVERHEAD)
        self.kind = kind
        self.raw = raw

    def message(self) -> Any:
        return POINT_CLASSES[self.kind].FromString(self.raw)

    def decode(self) -> Point:
        message = self.message()
        return Point(self.time_ns, message.start_time_unix_nano, _read(message), _exemplars(message))

    def exemplars(self) -> tuple[Exemplar, ...]:
        return _exemplars(self.message())


class SamplePoint(_StoredPoint):
    """A scraped sample, at the time of the scrape."""

    __slots__ = ("exemplar", "value")

    def __init__(self, series: Series, time_ns: int, value: float, exemplar: SampleExemplar | None) -> None:
        super().__init__(series, time_ns, SAMPLE_POINT_SIZE + (0 if exemplar is None else size_of(tuple(exemplar))))
        self.value = value
        self.exemplar = exemplar

    def decode(self) -> Point:
        return Point(self.time_ns, 0, {"value": self.value}, self.exemplars())

    def exemplars(self) -> tuple[Exemplar, ...]:
        if self.exemplar is None:
            return ()
        labels = dict(self.exemplar.labels)
        ids = labels.pop("trace_id", ""), labels.pop("span_id", "")
        if not (_TRACE_ID.fullmatch(ids[0]) and _SPAN_ID.fullmatch(ids[1])):
            ids = "", ""
        time_ns = whole(float(self.exemplar.timestamp or 0) * 1e9)
        return (Exemplar(self.exemplar.value, time_ns, *ids, dict(labels)),)


StoredPoint = OtlpPoint | SamplePoint
#: A series with some of its points, the oldest first.
SeriesPoints = tuple[Series, Sequence[StoredPoint]]


def _exemplars(message: Any) -> tuple[Exemplar, ...]:
    """The exemplars of a point; a summary's has none."""
    return tuple(map(Exemplar.read, getattr(message, "exemplars", ())))


def _number(message: Any) -> float:
    value: float = message.as_int or message.as_double
    return value


#: Fields that Point has by itself, and names that are shorter than OTLP's.
_COMMON = frozenset({"attributes", "exemplars", "flags", "start_time_unix_nano", "time_unix_nano"})
_NAMES = {"explicit_bounds": "bounds", "quantile_values": "quantiles"}


def _read(message: Any) -> dict[str, Any]:
    """What a point measured, by the fields of its kind; None for an optional one that is not set."""
    if isinstance(message, metrics_pb2.NumberDataPoint):
        return {"value": _number(message)}
    found = {}
    for described in (each for each in message.DESCRIPTOR.fields if each.name not in _COMMON):
        name, value = described.name, getattr(message, described.name)
        if isinstance(value, Message):
            value = _read(value)
        elif isinstance(value, Sequence):
            value = [_read(item) if isinstance(item, Message) else item for item in value]
        elif described.has_presence and not message.HasField(name):
            value = None
        found[_NAMES.get(name, name)] = value
    return found
