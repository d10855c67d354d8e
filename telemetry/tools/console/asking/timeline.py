"""One metric over time, received or scraped: increases or values in equal steps, interpolated between points."""

import math
import threading
from bisect import bisect_right
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from telemetry.exposition.names import label_value
from telemetry.tools.console.receiving.values import size_of
from telemetry.tools.console.storage import buckets
from telemetry.tools.console.storage.buckets import MOST_BUCKETS, Buckets
from telemetry.tools.console.storage.points import Exemplar, OtlpPoint, SamplePoint, Series, SeriesPoints, StoredPoint

#: The series that form one track.
Group = Sequence[SeriesPoints]

#: A value not updated for so long is no longer drawn (seconds).
_STALE = 60.0
#: Clocks of sender and receiver, and a step's edges, may differ by so much (seconds).
_APPEARS = 5.0
_MOST_EXEMPLARS = 50


@dataclass(frozen=True, slots=True)
class Grid:
    """`steps` equal steps of `width` seconds, the first of which begins at `start` (seconds since the epoch)."""

    start: float
    width: float
    steps: int

    @property
    def edges_ns(self) -> list[int]:
        """The boundaries of the steps, in nanoseconds since the epoch."""
        return [int((self.start + self.width * step) * 1e9) for step in range(self.steps + 1)]

    @property
    def times(self) -> list[float]:
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


def groups(series: Iterable[SeriesPoints]) -> list[Group]:
    """Return the series of one metric of one source, grouped by track."""
    grouped: dict[Any, list[SeriesPoints]] = {}
    for each, points in series:
        if points and each.track is not None:
            grouped.setdefault(each.track, []).append((each, points))
    return list(grouped.values())


def tracks(grouped: Sequence[Group], grid: Grid, names: Mapping[str, str]) -> list[Track]:
    """Return a track for each group; `names` translates the labels of scrapes to attributes."""
    first = min((points[0].time_ns for group in grouped for _, points in group), default=0)
    return [_track(group, grid, names, first) for group in grouped]


def labels_of(series: Series, names: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that select its track: attributes, mode, instance, the sample of a scraped summary."""
    labels = {names.get(name, name): label_value(value) for name, value in series.attributes.items() if name != "le"}
    if series.sample not in {"", series.instrument.name} and series.instrument.shape == "gauge":
        labels["sample"] = series.sample
    if series.instance:
        labels["service.instance.id"] = series.instance
    return {**labels, "mode": series.mode}


def _track(group: Group, grid: Grid, names: Mapping[str, str], first_ns: int) -> Track:
    series, points = group[0]
    track = Track(labels_of(series, names), series.mode, pending=grid.steps)
    if series.instrument.shape == "gauge":
        track.values = _values(points, grid)
        return track
    counted, states = _CountedSeries(group), []
    if series.delta:
        track.gains = _deltas(points, grid)
    else:
        states = list(map(counted.at, grid.edges_ns))
        track.gains = [
            _gain(before, after, grid.start + grid.width * step, first_ns)
            for step, (before, after) in enumerate(pairwise(states))
        ]
        if counted.last_ns > (grid.times[-1] - _STALE) * 1e9:
            track.pending = bisect_right(grid.edges_ns[1:], counted.last_ns)
    known = [*filter(None, states), counted.latest()]
    unique = {(each.trace_id, each.span_id, each.value): each for state in known for each in state.exemplars}
    track.exemplars = [each for each in unique.values() if each.trace_id and each.time_ns >= grid.start * 1e9]
    return track


def _values(points: Sequence[StoredPoint], grid: Grid) -> list[float | None]:
    """Return the last value at the end of each step; None if there is none or only an old one."""
    found: list[float | None] = []
    for end in grid.times:
        after = bisect_right(points, end * 1e9, key=attrgetter("time_ns"))
        last = points[after - 1] if after and points[after - 1].time_ns >= (end - _STALE) * 1e9 else None
        value = last.value if isinstance(last, SamplePoint) else last.decode().data.get("value") if last else None
        found.append(value if value is not None and math.isfinite(value) else None)
    return found


def _deltas(points: Sequence[StoredPoint], grid: Grid) -> list[Buckets | None]:
    steps: list[list[Buckets]] = [[] for _ in range(grid.steps)]
    for point in points:
        step = math.ceil((point.time_ns / 1e9 - grid.start) / grid.width) - 1
        if 0 <= step < grid.steps and isinstance(point, OtlpPoint):
            steps[step].append(buckets.of_message(point.kind, point.message()))
    return [buckets.added(several) for several in steps]


class _State(NamedTuple):
    """A series' counts at some time, its start time (nanoseconds since the epoch), and its exemplars."""

    counts: Buckets
    since_ns: int = 0
    exemplars: Sequence[Exemplar] = ()

    def continues(self, before: "_State") -> bool:
        """Whether the sender has counted on since `before`; otherwise it restarted at 0."""
        is_newer = 0 < before.since_ns < self.since_ns - _APPEARS * 1e9
        return not is_newer and self.counts.total >= before.counts.total


def _gain(before: _State | None, after: _State | None, start: float, first_ns: int) -> Buckets | None:
    """Return a track's increase in a step; for a new track, everything counted since the step began."""
    if after is None:
        return None
    if before is not None:
        return buckets.gain(before.counts, after.counts) if after.continues(before) else after.counts
    began_now = after.since_ns >= (start - _APPEARS) * 1e9 if after.since_ns else first_ns <= start * 1e9
    return after.counts if began_now else None


#: The memory of a state: of each bucket, of each exemplar, and of the rest (measured on CPython 3.11; bytes).
_BUCKET, _EXEMPLAR, _STATE = 80, 300, 600
#: Larger states are not cached (bytes).
_LARGEST_STATE = 8 << 10


class Memory:
    """A cache of states by series and time, for pages that refresh themselves. Thread-safe.

    Entries are dropped with their series, and all of them when they would exceed `most_bytes`, which includes states of
    dropped series until then.
    """

    def __init__(self, most_bytes: int = 24 << 20) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._states: MutableMapping[Series, dict[int, _State]] = WeakKeyDictionary()
        self.bytes = 0

    def get(self, series: Series, time_ns: int) -> _State | None:
        with self._lock:
            return self._states.get(series, {}).get(time_ns)

    def put(self, series: Series, time_ns: int, state: _State) -> None:
        attributes = [each.attributes for each in state.exemplars]
        size = _STATE + _BUCKET * len(state.counts.bounds) + _EXEMPLAR * len(attributes) + size_of(attributes)
        if size > _LARGEST_STATE:
            return
        with self._lock:
            if self.bytes + size > self._most_bytes:
                self._states, self.bytes = WeakKeyDictionary(), 0
            self.bytes += size
            self._states.setdefault(series, {})[time_ns] = state


_memory = Memory()


class _CountedSeries:
    """An OTLP series, or all buckets of a scraped histogram; decodes only the points requested."""

    def __init__(self, group: Group) -> None:
        self._series = group[0][0]
        # The buckets of one scrape share one time; a bucket that appeared later has fewer points.
        self._points = [(_bound(series), points) for series, points in group[:MOST_BUCKETS]]
        self._longest = max((points for _, points in self._points), key=len)
        self.last_ns = self._longest[-1].time_ns
        #: Decoded points by index. A cached method would keep a reference to its object and so keep it alive.
        self._known: dict[int, _State] = {}

    def at(self, time_ns: int) -> _State | None:
        """The state at a time in nanoseconds since the epoch; None before the first and after the last point."""
        if remembered := _memory.get(self._series, time_ns):
            return remembered
        after = bisect_right(self._longest, time_ns, key=attrgetter("time_ns"))
        if after == 0 or (after == len(self._longest) and self.last_ns < time_ns):
            return None
        left, begin_ns = self._state(after - 1), self._longest[after - 1].time_ns
        if begin_ns == time_ns:
            return left
        right, end_ns = self._state(after), self._longest[after].time_ns
        counts = left.counts
        if right.continues(left):
            counts = buckets.between(counts, right.counts, (time_ns - begin_ns) / (end_ns - begin_ns))
        state = _State(counts, left.since_ns, [*left.exemplars, *right.exemplars])
        _memory.put(self._series, time_ns, state)
        return state

    def _state(self, index: int) -> _State:
        if index not in self._known:
            self._known[index] = self._decoded(index)
        return self._known[index]

    def _decoded(self, index: int) -> _State:
        newest = self._longest[index]
        if isinstance(newest, OtlpPoint):
            message, exemplars = newest.message(), []
            if newest.kind != "summary" and message.exemplars:
                # A point may have one for each bucket: the highest one is the most interesting.
                exemplars.append(Exemplar.read(max(message.exemplars, key=lambda each: each.as_double or each.as_int)))
            return _State(buckets.of_message(newest.kind, message), message.start_time_unix_nano, exemplars)
        samples: dict[float, float] = {}
        exemplars = []
        for bound, points in self._points:
            # Counted from the end: a series that appeared later lacks the first points.
            place = index - len(self._longest) + len(points)
            point = points[place] if place >= 0 and points[place].time_ns == newest.time_ns else None
            if isinstance(point, SamplePoint) and math.isfinite(point.value):
                samples[bound] = point.value
                exemplars += point.exemplars()
        is_histogram = self._series.instrument.shape == "histogram"
        counts = buckets.of_cumulative(samples) if is_histogram else buckets.of_value(sum(samples.values()))
        return _State(counts, 0, exemplars)

    def latest(self) -> _State:
        """The state at the last point, with all its exemplars."""
        state = self._state(len(self._longest) - 1)
        return state._replace(exemplars=[*state.exemplars, *self._longest[-1].exemplars()[:_MOST_EXEMPLARS]])


def _bound(series: Series) -> float:
    try:
        bound = float(series.attributes.get("le", "inf"))
    except (ValueError, TypeError):  # an attribute that happens to have this name
        return math.inf
    return math.inf if math.isnan(bound) else bound
