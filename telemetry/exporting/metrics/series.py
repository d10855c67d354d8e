"""The series of metrics: sums, histograms, and current values of the living processes."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

# (value, time, trace id, span id)
Exemplar = tuple[float, int, bytes | None, bytes | None]
Attributes = Mapping[str, Any]
# A time in ns and a value.
Timed = tuple[int, float]
Merge = Callable[[Collection[Timed]], float]

HERE = "exporter"
"""The exporter itself, as the source of observations."""

_INFINITY = float("inf")


class Series:
    """A sum that only grows: a counter."""

    __slots__ = ("attributes", "exemplars", "offers", "shown", "start", "value")

    def __init__(self, attributes: Attributes, start: int, offers: bool | None) -> None:
        """`start` in ns; `offers` is whether measurements become exemplars, None: those in sampled traces."""
        self.attributes = attributes
        self.start = start
        self.offers = offers
        self.value: float = 0
        self.exemplars: list[Exemplar | None] = [None]
        self.shown: Any = None
        """The exposition's cached rendering."""

    def record(self, value: float, time: int, trace_id: bytes | None, span_id: bytes | None, sampled: bool) -> None:
        """Take a measurement; `time` in ns, 0 for no exemplar."""
        self.value += value
        if (sampled if self.offers is None else self.offers) and time:
            self.exemplars[0] = value, time, trace_id, span_id

    @property
    def is_current(self) -> bool:
        """Whether the series has a value."""
        return True

    def keep(self, sources: Collection[Hashable]) -> None:
        """Forget the values of all processes except `sources`."""

    def state(self) -> tuple[Any, ...]:
        """Return the state from which another exporter continues."""
        return self.value, self.exemplars

    def restore(self, state: tuple[Any, ...]) -> None:
        """Add a former exporter's `state` to the current one."""
        value, exemplars = state
        self.value += value
        self._take_exemplars(enumerate(exemplars))

    def _take_exemplars(self, exemplars: Iterable[tuple[int, Exemplar | None]]) -> None:
        mine = self.exemplars
        for place, exemplar in exemplars:
            if exemplar:
                mine[place] = newest(mine[place], exemplar)


class Buckets(Series):
    """A histogram."""

    __slots__ = ("bounds", "counts", "max", "min")

    def __init__(self, attributes: Attributes, start: int, offers: bool | None, bounds: tuple[float, ...]) -> None:
        super().__init__(attributes, start, offers)
        self.min, self.max = _INFINITY, -_INFINITY
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.exemplars = [None] * (len(bounds) + 1)

    def record(self, value: float, time: int, trace_id: bytes | None, span_id: bytes | None, sampled: bool) -> None:
        bucket = bisect_left(self.bounds, value)
        self.counts[bucket] += 1
        self.value += value
        if value < self.min:  # noqa: PLR1730  (a call would cost more)
            self.min = value
        if value > self.max:  # noqa: PLR1730
            self.max = value
        if (sampled if self.offers is None else self.offers) and time:
            self.exemplars[bucket] = value, time, trace_id, span_id

    @property
    def is_current(self) -> bool:
        return self.min <= self.max

    def state(self) -> tuple[Any, ...]:
        return self.value, self.exemplars, self.bounds, self.counts, self.min, self.max

    def restore(self, state: tuple[Any, ...]) -> None:
        value, exemplars, bounds, counts, least, most = state
        self.value += value
        self.min, self.max = min(self.min, least), max(self.max, most)
        self.counts = [
            here + more for here, more in zip(self.counts, rebucketed(counts, bounds, self.bounds), strict=True)
        ]
        self._take_exemplars(placed(exemplars, self.bounds))

    def rebucket(self, bounds: tuple[float, ...]) -> None:
        """Continue with other bucket boundaries."""
        former, self.bounds = self.bounds, bounds
        self.counts = rebucketed(self.counts, former, bounds)
        exemplars, self.exemplars = self.exemplars, [None] * (len(bounds) + 1)
        self._take_exemplars(placed(exemplars, bounds))
        self.shown = None


class Grown(Series):
    """An observable counter, which keeps the increments of ended processes."""

    __slots__ = ("_last",)

    def __init__(self, attributes: Attributes, start: int) -> None:
        super().__init__(attributes, start, offers=False)
        self._last: dict[Hashable, float] = {}

    def observe(self, source: Hashable, value: float) -> None:
        """Take the total that the process `source` observed; a negative one, which no total is, counts as 0."""
        value = max(value, 0)
        last = self._last.get(source)
        self._last[source] = value
        # A lower value follows a reset.
        self.value += value if last is None or value < last else value - last

    def keep(self, sources: Collection[Hashable]) -> None:
        self._last = {source: value for source, value in self._last.items() if source in sources}

    def state(self) -> tuple[Any, ...]:
        return self.value, list(self._last.items())

    def restore(self, state: tuple[Any, ...]) -> None:
        value, last = state
        self.value += value
        for source, observed in last:
            self._last[source] = self._last.get(source, 0) + observed


class Current(Series):
    """The current values of the living processes, which `merge` combines."""

    __slots__ = ("_last", "merge")

    def __init__(self, attributes: Attributes, start: int, offers: bool | None, merge: Merge) -> None:
        super().__init__(attributes, start, offers)
        self.merge = merge
        self._last: dict[Hashable, Timed] = {}

    def record(self, value: float, time: int, trace_id: bytes | None, span_id: bytes | None, sampled: bool) -> None:
        self.observe(HERE, value, time)
        self.offer(value, time, trace_id, span_id, sampled)

    def offer(self, value: float, time: int, trace_id: bytes | None, span_id: bytes | None, sampled: bool) -> None:
        """Take a measurement as an exemplar only."""
        if (sampled if self.offers is None else self.offers) and time:
            self.exemplars[0] = value, time, trace_id, span_id

    @property
    def latest(self) -> Timed:
        """The time of the latest value, and the merged value."""
        return max(self._last.values())[0], self.value

    def observe(self, source: Hashable, value: float, time: int = 0) -> None:
        """Set the value of the process `source`."""
        self._last[source] = time, value
        self.value = self.merge(self._last.values())

    def add(self, source: Hashable, value: float, time: int = 0) -> None:
        """Add to the value of the process `source`."""
        self.observe(source, self._last.get(source, (0, 0))[1] + value, time)

    def forget(self, source: Hashable) -> None:
        """Remove the value of the process `source`."""
        if self._last.pop(source, None) is not None and self._last:
            self.value = self.merge(self._last.values())

    def keep(self, sources: Collection[Hashable]) -> None:
        for gone in [source for source in self._last if source not in sources]:
            self.forget(gone)

    @property
    def is_current(self) -> bool:
        return bool(self._last)

    def state(self) -> tuple[Any, ...]:
        return self.exemplars, list(self._last.items())

    def restore(self, state: tuple[Any, ...]) -> None:
        exemplars, last = state
        self._take_exemplars(enumerate(exemplars))
        for source, each in last:
            time, value = each if isinstance(each, tuple) else (0, each)  # as in snapshots of format 1
            if (mine := self._last.get(source)) is not None:  # of a series that the current views merge with this one
                time, value = max(time, mine[0]), self.merge([mine, (time, value)])
            self.observe(source, value, time)


def latest(values: Collection[Timed]) -> float:
    """Return the value that was set last."""
    return max(values)[1]


def total(values: Collection[Timed]) -> float:
    """Return the sum of the values."""
    return sum(value for _, value in values)


def least(values: Collection[Timed]) -> float:
    """Return the lowest value."""
    return min(value for _, value in values)


def newest(one: Exemplar | None, other: Exemplar | None) -> Exemplar | None:
    """Return the later of two exemplars."""
    if one is None or other is None:
        return one or other
    return one if one[1] > other[1] else other


def placed(exemplars: Iterable[Exemplar | None], bounds: Sequence[float]) -> Iterator[tuple[int, Exemplar]]:
    """Yield the exemplars with their places in the buckets of these bounds."""
    return ((bisect_left(bounds, each[0]), each) for each in exemplars if each)


def rebucketed(counts: Sequence[int], bounds: Sequence[float], to: Sequence[float]) -> list[int]:
    """Return the counts for the bounds `to`; an old bound between two new ones counts in the upper bucket."""
    if tuple(bounds) == tuple(to):
        return list(counts)
    merged = [0] * (len(to) + 1)
    for bound, count in zip((*bounds, _INFINITY), counts, strict=True):
        merged[bisect_left(to, bound)] += count
    return merged
