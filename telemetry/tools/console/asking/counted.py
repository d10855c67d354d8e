"""What a series had counted at any time, from the points before and after that."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from telemetry.tools.console.receiving.values import size_of
from telemetry.tools.console.storage.buckets import MOST_BUCKETS, Buckets, between, of_cumulative, of_message, of_value
from telemetry.tools.console.storage.points import (
    Exemplar,
    OtlpPoint,
    SamplePoint,
    Series,
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


class State(NamedTuple):
    """What a series had counted at some time, since when it counts (nanoseconds since the epoch), and its exemplars."""

    counts: Buckets
    since_ns: int = 0
    exemplars: Sequence[Exemplar] = ()


#: What was asked for, by series and time, which a page that renews itself asks for again.
_remembered: dict[tuple[Series, int], State] = {}
_MOST_REMEMBERED = 6000
#: What has more buckets, or exemplars with larger attributes (bytes in memory), is not remembered.
_MOST_BUCKETS, _LARGEST = 50, 1000


class CountedSeries:
    """A series of OTLP, or all buckets of a scraped histogram; decodes only the points that it is asked for."""

    def __init__(self, group: Group) -> None:
        group = group[:MOST_BUCKETS]
        self._series = group[0][0]
        self._bounds = [_bound(series) for series, _ in group]
        # The buckets of one scrape have one time; a bucket that appeared later has fewer points.
        self._points = [points for _, points in group]
        self._longest = max(self._points, key=len)
        #: The time of the last point.
        self.last_ns = self._longest[-1].time_ns
        self._decoded: dict[int, State] = {}
        self._exemplars: dict[tuple[str, str, float], Exemplar] = {}
        #: The start time of the latest point that was asked for, 0 if it has none (nanoseconds since the epoch).
        self.since_ns = 0

    def at(self, time_ns: int) -> Buckets | None:
        """The counts at a time in nanoseconds since the epoch; None before the first and after the last point."""
        state = _remembered.get((self._series, time_ns)) or self._at(time_ns)
        if state is None:
            return None
        self.since_ns = state.since_ns
        self._keep(state.exemplars)
        return state.counts

    def _at(self, time_ns: int) -> State | None:
        after = bisect_right(self._longest, time_ns, key=attrgetter("time_ns"))
        if after == 0 or (after == len(self._longest) and self.last_ns < time_ns):
            return None
        left, begin_ns = self._state(after - 1), self._longest[after - 1].time_ns
        if begin_ns == time_ns:
            return left
        right, end_ns = self._state(after), self._longest[after].time_ns
        counts = left.counts
        if right.counts.total >= counts.total:
            counts = between(counts, right.counts, (time_ns - begin_ns) / (end_ns - begin_ns))
        state = State(counts, right.since_ns, [*left.exemplars, *right.exemplars])
        attributes = [each.attributes for each in state.exemplars]
        if len(counts.bounds) <= _MOST_BUCKETS and size_of(attributes) <= _LARGEST:
            if len(_remembered) >= _MOST_REMEMBERED:
                _remembered.clear()
            _remembered[self._series, time_ns] = state
        return state

    def _state(self, index: int) -> State:
        state = self._decoded.get(index)
        if state is None:
            point = self._longest[index]
            state = _received(point) if isinstance(point, OtlpPoint) else self._scraped(index)
            self._decoded[index] = state
        return state

    def _scraped(self, index: int) -> State:
        samples: dict[float, float] = {}
        exemplars: list[Exemplar] = []
        for bound, points in zip(self._bounds, self._points, strict=True):
            # Counted from the end: a series that appeared later lacks the first points.
            place = index - len(self._longest) + len(points)
            point = points[place] if place >= 0 else None
            at_once = point is not None and point.time_ns == self._longest[index].time_ns
            if at_once and isinstance(point, SamplePoint) and math.isfinite(point.value):
                samples[bound] = point.value
                exemplars += point.exemplars()
        counts = (
            of_cumulative(samples) if self._series.instrument.shape == "histogram" else of_value(sum(samples.values()))
        )
        return State(counts, 0, exemplars)

    def _keep(self, exemplars: Sequence[Exemplar]) -> None:
        for exemplar in exemplars:
            if exemplar.trace_id:
                self._exemplars[exemplar.trace_id, exemplar.span_id, exemplar.value] = exemplar

    def exemplars(self, begin_ns: int) -> list[Exemplar]:
        """The highest exemplar of each point that was asked for, and all of the last point, from `begin_ns` on."""
        self._keep(self._state(len(self._longest) - 1).exemplars)
        self._keep(self._longest[-1].exemplars()[:_MOST_EXEMPLARS])
        return [exemplar for exemplar in self._exemplars.values() if exemplar.time_ns >= begin_ns]


def _received(point: OtlpPoint) -> State:
    message = point.message()
    exemplars = []
    if point.kind != "summary" and message.exemplars:
        # A point may have one for each bucket: the highest one is the most interesting.
        exemplars.append(read_exemplar(max(message.exemplars, key=lambda each: each.as_double or each.as_int)))
    return State(of_message(point.kind, message), message.start_time_unix_nano, exemplars)
