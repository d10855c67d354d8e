"""Cumulative counters over a window, from their raw samples in Prometheus: no rate is extrapolated."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Self

from telemetry.tools.backends.prometheus import Prometheus, Range

_SLACK = 2.0
"""Seconds by which the time at which an item is counted and the time under which it is stored may differ."""
_MOST_GAP = 60.0
_EARLIER = 300.0
"""Seconds before the window that are searched for the first sample of a series."""


class UncountedError(Exception):
    """The reason why a count is impossible; one line."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` to `end`, in seconds since the epoch: times of actual samples."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


class Counters:
    """The counters of one source (the service, or a collector) over a window of their own samples."""

    def __init__(self, ranges: Sequence[Range], start: float) -> None:
        """`ranges` are the raw samples, `start` is the earliest start of the window.

        The window goes from the first sample since `start` to the last one. A series without a sample by then began at
        0: the source had samples without it. Raises UncountedError for fewer than two samples in the window.
        """
        moments = sorted({time for one in ranges for time, _ in one.values if time >= start})
        if len(moments) < 2:  # noqa: PLR2004
            raise UncountedError("fewer than two samples")
        self.window = Window(moments[0], moments[-1])
        self._ranges = [_Counter(one, self.window) for one in ranges]

    @classmethod
    def since(cls, start: float, prometheus: Prometheus, names: Iterable[str], matchers: str) -> Self:
        """Read the samples of several metrics from `start` to now; raises UncountedError for too few."""
        seconds = prometheus.query("time()")[0].value - start
        query = f'{{__name__=~"{"|".join(names)}",{matchers}}}[{ceil(seconds + _EARLIER)}s]'
        return cls(prometheus.ranges(query), start)

    def gain(self, name: str, **labels: str) -> int:
        """Return the increase of a counter, over the series with these labels ("" matches a missing label, too)."""
        return round(sum(one.gain for one in self._found(name, labels)))

    def by(self, label: str, name: str, **labels: str) -> dict[str, int]:
        """Return the increase by a label's values, without those that did not increase."""
        found: dict[str, float] = {}
        for one in self._found(name, labels):
            value = one.labels.get(label, "")
            found[value] = found.get(value, 0.0) + one.gain
        return {value: round(gain) for value, gain in found.items() if round(gain) > 0}

    def last(self, name: str, **labels: str) -> int:
        """Return the sum of the newest values of the series that still exist."""
        return round(sum(one.last for one in self._found(name, labels) if one.is_alive))

    def has(self, name: str) -> bool:
        """Whether there is such a metric."""
        return any(True for _ in self._found(name, {}))

    def margin(self, name: str, **labels: str) -> int:
        """Return how much of a counter's gain may lie on either side of the window's ends."""
        return ceil(sum(one.margin for one in self._found(name, labels)))

    def labels(self) -> list[Mapping[str, str]]:
        """Return the labels of every series."""
        return [one.labels for one in self._ranges]

    def _found(self, name: str, labels: Mapping[str, str]) -> Iterable["_Counter"]:
        wanted = {"__name__": name, **labels}
        return (one for one in self._ranges if all(one.labels.get(key, "") == text for key, text in wanted.items()))


class _Counter:
    """One series in the window."""

    def __init__(self, samples: Range, window: Window) -> None:
        self.labels = samples.labels
        before = [(time, value) for time, value in samples.values if time <= window.start]
        inside = [(time, value) for time, value in samples.values if time > window.start]
        base = before[-1] if before else (inside[0][0], 0.0)
        self._points = [base, *inside]
        steps = list(pairwise(self._points))
        self.gain = sum(_step(one[1], two[1]) for one, two in steps)
        self.last = self._points[-1][1]
        gap_at_end = min(window.end - self._points[-1][0], _MOST_GAP)
        self.is_alive = window.end - self._points[-1][0] < _MOST_GAP
        self.margin = 0.0
        if steps:
            gap_at_start = min(window.start - base[0], _MOST_GAP) if before else 0.0
            self.margin += _rate(*steps[0]) * (_SLACK + gap_at_start)
            self.margin += _rate(*steps[-1]) * (_SLACK + gap_at_end) if self.is_alive else 0.0


def _step(before: float, after: float) -> float:
    """Return an increase; a counter that decreases has restarted at 0."""
    return after - before if after >= before else after


def _rate(one: tuple[float, float], two: tuple[float, float]) -> float:
    return _step(one[1], two[1]) / max(two[0] - one[0], 1.0)
