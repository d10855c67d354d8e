"""One metric over time, received or scraped: increases or values of each series in equal steps."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from telemetry.exposition.names import label_value
from telemetry.tools.console.asking.counted import CountedSeries, Group
from telemetry.tools.console.storage.buckets import Buckets, added, gain, of_message
from telemetry.tools.console.storage.points import Exemplar, OtlpPoint, SamplePoint, Series, StoredPoint

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
    def edges_ns(self) -> list[int]:
        """Where steps begin and end, in nanoseconds since the epoch."""
        return [int((self.start + self.width * step) * 1e9) for step in range(self.steps + 1)]

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
    if series.sample not in {"", series.instrument.name} and series.instrument.shape == "gauge":
        labels["sample"] = series.sample
    if series.instance:
        labels["service.instance.id"] = series.instance
    return {**labels, "mode": series.mode}


def _track(group: Group, grid: Grid, names: Mapping[str, str], first_ns: int) -> Track:
    series = group[0][0]
    track = Track(labels_of(series, names), series.mode, pending=grid.steps)
    if series.instrument.shape == "gauge":
        track.values = _values(group[0][1], grid)
        return track
    counted = CountedSeries(group)
    if series.delta:
        track.gains = _deltas(group[0][1], grid)
    else:
        states = [counted.at(edge) for edge in grid.edges_ns]
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
