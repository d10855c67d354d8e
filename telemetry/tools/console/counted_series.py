"""The counts of one cumulative series at any time, interpolated between its points."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

from telemetry.tools.console.buckets import MOST_BUCKETS, Buckets, between, of_cumulative, of_message, of_value
from telemetry.tools.console.points import OtlpPoint, SamplePoint, read_exemplar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.tools.console.metrics import Series, Shape
    from telemetry.tools.console.points import Exemplar, StoredPoint


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
        self._times = [point.time_ns for point in self._longest]
        self._decoded: dict[int, Buckets] = {}
        self._exemplars: dict[tuple[str, str, float], Exemplar] = {}
        #: The start time of the latest decoded point, 0 if it has none (nanoseconds since the epoch).
        self.since_ns = 0

    @property
    def last_ns(self) -> int:
        """The time of the last point."""
        return self._times[-1]

    def at(self, time: float) -> Buckets | None:
        """The counts at a time in seconds since the epoch; None before the first and after the last point."""
        time_ns = int(time * 1e9)
        after = bisect_right(self._times, time_ns)
        if after == 0 or (after == len(self._times) and self._times[-1] < time_ns):
            return None
        left = self._state(after - 1)
        if self._times[after - 1] == time_ns:
            return left
        right = self._state(after)
        if right.total < left.total:
            return left
        begin, end = self._times[after - 1], self._times[after]
        return between(left, right, (time_ns - begin) / (end - begin))

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
