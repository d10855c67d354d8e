"""One metric over time, received or scraped: increases or values of each series in equal steps."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import attrgetter
from typing import Any

from telemetry.exposition.names import label_value
from telemetry.tools.console.storage.buckets import (
    MOST_BUCKETS,
    Buckets,
    added,
    between,
    gain,
    of_cumulative,
    of_message,
    of_value,
)
from telemetry.tools.console.storage.points import (
    Exemplar,
    OtlpPoint,
    SamplePoint,
    Series,
    Shape,
    StoredPoint,
    read_exemplar,
)

Group = Sequence[tuple[Series, Sequence[StoredPoint]]]


_MOST_EXEMPLARS = 50


def _bound(series: Series) -> float:
    try:
        bound = float(series.attributes.get("le", "inf"))
    except (ValueError, TypeError):  # an attribute that happens to have this name
        return math.inf
    return math.inf if math.isnan(bound) else bound


class CountedSeries:
    """A series of OTLP, or all buckets of a scraped histogram; decodes only the points that it is asked for."""

    def __init__(self, group: Sequence[tuple[Series, Sequence[StoredPoint]]], shape: Shape) -> None:
        self._shape = shape
        group = group[:MOST_BUCKETS]
        self._bounds = [_bound(series) for series, _ in group]
        # The buckets of one scrape have one time; a bucket that appeared later has fewer points.
        self._points = [points for _, points in group]
        self._longest = max(self._points, key=len)
        self._decoded: dict[int, Buckets] = {}
        self._exemplars: dict[tuple[str, str, float], Exemplar] = {}
        #: The start time of the latest decoded point, 0 if it has none (nanoseconds since the epoch).
        self.since_ns = 0

    @property
    def last_ns(self) -> int:
        """The time of the last point."""
        return self._longest[-1].time_ns

    def at(self, time: float) -> Buckets | None:
        """The counts at a time in seconds since the epoch; None before the first and after the last point."""
        time_ns = int(time * 1e9)
        after = bisect_right(self._longest, time_ns, key=attrgetter("time_ns"))
        if after == 0 or (after == len(self._longest) and self.last_ns < time_ns):
            return None
        left = self._state(after - 1)
        begin = self._longest[after - 1].time_ns
        if begin == time_ns:
            return left
        right = self._state(after)
        if right.total < left.total:
            return left
        return between(left, right, (time_ns - begin) / (self._longest[after].time_ns - begin))

    def _state(self, index: int) -> Buckets:
        state = self._decoded.get(index)
        if state is None:
            point = self._longest[index]
            state = self._received(point) if isinstance(point, OtlpPoint) else self._scraped(index)
            self._decoded[index] = state
        return state

    def _received(self, point: OtlpPoint) -> Buckets:
        message = point.message()
        self.since_ns = message.start_time_unix_nano
        if point.kind != "summary" and message.exemplars:
            # A point may have one for each bucket: the highest one is the most interesting.
            highest = max(message.exemplars, key=lambda exemplar: exemplar.as_double or exemplar.as_int)
            self._keep([read_exemplar(highest)])
        return of_message(point.kind, message)

    def _scraped(self, index: int) -> Buckets:
        samples: dict[float, float] = {}
        for bound, points in zip(self._bounds, self._points, strict=True):
            # Counted from the end: a series that appeared later lacks the first points.
            place = index - len(self._longest) + len(points)
            point = points[place] if place >= 0 else None
            if isinstance(point, SamplePoint) and math.isfinite(point.value):
                samples[bound] = point.value
                if point.exemplar is not None:
                    self._keep(point.decode().exemplars)
        return of_cumulative(samples) if self._shape == "histogram" else of_value(sum(samples.values()))

    def _keep(self, exemplars: Sequence[Exemplar]) -> None:
        for exemplar in exemplars:
            if exemplar.trace_id:
                self._exemplars[exemplar.trace_id, exemplar.span_id, exemplar.value] = exemplar

    def exemplars(self, begin_ns: int) -> list[Exemplar]:
        """The highest exemplar of each point that was asked for, and all of the last point, from `begin_ns` on."""
        self._state(len(self._longest) - 1)
        self._keep(self._longest[-1].decode().exemplars[:_MOST_EXEMPLARS])
        return [exemplar for exemplar in self._exemplars.values() if exemplar.time_ns >= begin_ns]


#: A value that has not been renewed for so long is no longer drawn (seconds).
_STALE = 60.0
#: Clocks of sender and receiver, and a step's edges, may differ by so much (seconds).
_APPEARS = 5.0


@dataclass(frozen=True, slots=True)
class Grid:
    """`steps` equal steps of `width` seconds, the first of which begins at `start` (seconds since the epoch)."""

    start: float
    width: float
    steps: int

    @property
    def times(self) -> list[float]:
        """The ends of the steps."""
        return [self.start + self.width * (step + 1) for step in range(self.steps)]


@dataclass(slots=True)
class Track:
    """One series over time: `gains` (counters, histograms) or `values` (the rest) for each step, None for unknown.

    From the step `pending` on, the sender has not reported its counts yet.
    """

    labels: dict[str, str]
    mode: str
    pending: int
    gains: list[Buckets | None] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)


def groups(series: Iterable[tuple[Series, Sequence[StoredPoint]]]) -> list[Group]:
    """The series of one metric of one source, those together that make one track."""
    grouped: dict[Any, list[tuple[Series, Sequence[StoredPoint]]]] = {}
    for each, points in series:
        if points and each.track is not None:
            grouped.setdefault(each.track, []).append((each, points))
    return list(grouped.values())


def tracks(grouped: Sequence[Group], grid: Grid, names: Mapping[str, str]) -> list[Track]:
    """A track for each group; `names` translates the labels of scrapes to attributes."""
    first = min((points[0].time_ns for group in grouped for _, points in group), default=0)
    return [_track(group, grid, names, first) for group in grouped]


def labels_of(series: Series, names: Mapping[str, str]) -> dict[str, str]:
    """The labels by which its track can be chosen: attributes, mode, instance, the sample of a scraped summary."""
    labels = {names.get(name, name): label_value(value) for name, value in series.attributes.items() if name != "le"}
    if series.sample not in {"", series.instrument.name} and series.shape == "gauge":
        labels["sample"] = series.sample
    if series.instance:
        labels["service.instance.id"] = series.instance
    return {**labels, "mode": series.mode}


def _track(group: Group, grid: Grid, names: Mapping[str, str], first_ns: int) -> Track:
    series = group[0][0]
    track = Track(labels_of(series, names), series.mode, pending=grid.steps)
    if series.shape == "gauge":
        track.values = _values(group[0][1], grid)
        return track
    counted = CountedSeries(group, series.shape)
    if series.delta:
        track.gains = _deltas(group[0][1], grid)
    else:
        states = [counted.at(grid.start + grid.width * step) for step in range(grid.steps + 1)]
        track.gains = [
            _gain(before, after, counted, grid.start + grid.width * step, first_ns)
            for step, (before, after) in enumerate(pairwise(states))
        ]
        if counted.last_ns > (grid.times[-1] - _STALE) * 1e9:
            known = [step for step, state in enumerate(states) if state is not None]
            track.pending = known[-1] if known else 0
    track.exemplars = counted.exemplars(int(grid.start * 1e9))
    return track


def _gain(
    before: Buckets | None, after: Buckets | None, counted: CountedSeries, start: float, first_ns: int
) -> Buckets | None:
    """What a track gained in a step; of a track that appears, all that it has counted since the step began."""
    if after is None:
        return None
    if before is None:
        since_ns = counted.since_ns
        began_now = since_ns >= (start - _APPEARS) * 1e9 if since_ns else first_ns <= start * 1e9
        return after if began_now else None
    return gain(before, after)


def _values(points: Sequence[StoredPoint], grid: Grid) -> list[float | None]:
    """The last value at the end of each step; None where there is none or only an old one."""
    found: list[float | None] = []
    index, last = 0, None
    for end in grid.times:
        while index < len(points) and points[index].time_ns <= end * 1e9:
            last = points[index]
            index += 1
        old = last is None or last.time_ns < (end - _STALE) * 1e9
        found.append(None if last is None or old else _value(last))
    return found


def _value(point: StoredPoint) -> float | None:
    value = point.value if isinstance(point, SamplePoint) else point.decode().data.get("value")
    return value if value is not None and math.isfinite(value) else None


def _deltas(points: Sequence[StoredPoint], grid: Grid) -> list[Buckets | None]:
    steps: list[list[Buckets]] = [[] for _ in range(grid.steps)]
    for point in points:
        step = math.ceil((point.time_ns / 1e9 - grid.start) / grid.width) - 1
        if 0 <= step < grid.steps and isinstance(point, OtlpPoint):
            steps[step].append(of_message(point.kind, point.message()))
    return [added(several) for several in steps]
