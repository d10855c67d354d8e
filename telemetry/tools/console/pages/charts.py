"""Charts over time: where their lines and dots are, which a template draws as SVG in the page."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from telemetry.tools.console.pages.formats import time_of_day

#: The drawing and, in it, the area of the values; the template `chart.html` has the same numbers.
LEFT, RIGHT, TOP, BOTTOM = 84, 616, 8, 196
_LINES = 4
#: Larger values are in the table only.
_LARGEST = 1e300
_TIME_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600, 7200, 14400, 43200, 86400)
_TIME_LABELS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name and a value for each time of the chart, None where there is none. `colour` from 0."""

    name: str
    values: Sequence[float | None]
    colour: int


@dataclass(frozen=True, slots=True)
class Dot:
    """One measurement with a link; `time` in seconds since the epoch."""

    time: float
    value: float
    title: str
    href: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart over time with all that a page shows of it. `times` are seconds since the epoch, in equal steps.

    `binary` says that the values are bytes, whose ticks are at KiB, MiB and so on.
    """

    title: str
    times: Sequence[float]
    lines: Sequence[Line]
    write: Callable[[float | None], str]
    dots: Sequence[Dot] = field(default=())
    note: str = ""
    binary: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.dots and all(value is None for line in self.lines for value in line.values)

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """The values as a table: a time and a text for each line."""
        return [
            (time_of_day(time), [self.write(line.values[index]) for line in self.lines])
            for index, time in enumerate(self.times)
        ]

    @property
    def label(self) -> str:
        """The drawing in words: the last value of each line."""
        said = []
        for line in self.lines:
            last = next((value for value in reversed(line.values) if value is not None), None)
            if last is not None:
                said.append(f"{line.name} {self.write(last)}")
        return f"{self.title}: {', '.join(said) or 'no values'}"

    @property
    def drawing(self) -> dict[str, list[Any]]:
        """Paths with their colours, dots with their places, and the axes' labels, of rows and columns, with theirs."""
        lines = [[_drawable(value) for value in line.values] for line in self.lines]
        dots = [dot for dot in self.dots if _drawable(dot.value) is not None]
        values = [value for line in lines for value in line if value is not None] + [dot.value for dot in dots]
        ticks = _ticks(min(values, default=0.0), max(values, default=0.0), 1024 if self.binary else 10)
        first, last, bottom, top = self.times[0], self.times[-1], ticks[0], ticks[-1]

        def x(time: float) -> str:
            return f"{LEFT + (RIGHT - LEFT) * (time - first) / ((last - first) or 1):.1f}"

        def y(value: float) -> str:
            return f"{BOTTOM - (BOTTOM - TOP) * (value - bottom) / (top - bottom):.1f}"

        def path(values: Sequence[float | None]) -> str:
            parts, drawn = [], False
            for time, value in zip(self.times, values, strict=True):
                if value is not None:
                    # A line of no length is a point where a value stands alone.
                    parts.append(f"L{x(time)} {y(value)}" if drawn else f"M{x(time)} {y(value)}h0")
                drawn = value is not None
            return "".join(parts)

        return {
            "paths": [(line.colour, path(heights)) for line, heights in zip(self.lines, lines, strict=True)],
            "dots": [(x(dot.time), y(dot.value), dot) for dot in dots],
            "rows": [(y(tick), self.write(tick)) for tick in ticks],
            "columns": [(x(time), time_of_day(time)) for time in _time_labels(first, last)],
        }


def _drawable(value: float | None) -> float | None:
    return value if value is not None and abs(value) <= _LARGEST else None


def _ticks(lowest: float, highest: float, base: int) -> list[float]:
    """Round values from at most 0 and the lowest to at least the highest."""
    top, bottom = max(highest, 0.0), min(lowest, 0.0)
    rough = (top - bottom) / _LINES
    if rough < 1 / _LARGEST:
        return [0.0, 1.0]
    magnitude = float(base) ** math.floor(math.log(rough, base))
    factors = (1, 2, 2.5, 5, 10) if base == 10 else [1 << power for power in range(11)]  # noqa: PLR2004
    step = next((factor * magnitude for factor in factors if factor * magnitude >= rough * 0.999), base * magnitude)
    first, last = math.floor(bottom / step * 0.999), math.ceil(top / step * 0.999)
    return [step * index for index in range(first, last + 1)]


def _time_labels(first: float, last: float) -> list[float]:
    step = next((step for step in _TIME_STEPS if (last - first) / step <= _TIME_LABELS), (last - first) / 2)
    begin = math.ceil(first / step) * step
    return [float(begin + index * step) for index in range(int((last - begin) // step) + 1)]
