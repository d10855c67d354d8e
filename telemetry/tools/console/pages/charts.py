"""Charts over time, drawn as SVG by a template: those of one metric, and the heat map of a histogram."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from telemetry.tools.console.asking.timeline import Grid, Track
from telemetry.tools.console.pages.formats import BYTES, in_unit, number, time_of_day
from telemetry.tools.console.storage.buckets import Buckets, added, quantile, with_bounds
from telemetry.tools.console.storage.metrics import Entry
from telemetry.tools.console.storage.points import Exemplar

#: The drawing and, in it, the area of the values; the template `parts.html` has the same numbers.
LEFT, RIGHT, TOP, BOTTOM = 84, 616, 8, 196
_LINES = 4
#: Larger values appear in the table only.
_LARGEST = 1e300
_TIME_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600, 7200, 14400, 43200, 86400)
_TIME_LABELS = 5
#: The modes of the service; each keeps its colour when the other is absent.
MODES = ("collector", "direct")
#: The number of line colours in the style sheet.
_COLOURS = 8


def ordered(modes: Iterable[str]) -> list[str]:
    """Return the service's modes first, then others by name."""
    known = set(modes)
    return [mode for mode in MODES if mode in known] + sorted(known - set(MODES))


class Colours(dict[str, int]):
    """The number of each mode's colour; any other mode has the first one after the service's."""

    def __init__(self, modes: Iterable[str]) -> None:
        super().__init__((mode, place % _COLOURS) for place, mode in enumerate(ordered({*MODES, *modes})))

    def __missing__(self, mode: str) -> int:
        return len(MODES)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name and a value for each time of the chart, None if there is none. `colour` from 0."""

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
    """A chart; `times` are seconds since the epoch, in equal steps; ticks of `binary` values are at KiB, MiB, ..."""

    title: str
    times: Sequence[float]
    lines: Sequence[Line]
    write: Callable[[float | None], str]
    dots: Sequence[Dot] = field(default=())
    note: str = ""
    binary: bool = False

    @property
    def empty(self) -> bool:
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
        """The text alternative of the drawing: the last value of each line."""
        texts = []
        for line in self.lines:
            last = next((value for value in reversed(line.values) if value is not None), None)
            if last is not None:
                texts.append(f"{line.name} {self.write(last)}")
        return f"{self.title}: {', '.join(texts) or 'no values'}"

    @property
    def drawing(self) -> dict[str, list[Any]]:
        """Paths with colours, dots with positions, and the labels of rows and columns with positions."""
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
                    # A line of zero length draws a point for a value without neighbours.
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
    """Return round values from at most 0 and the lowest to at least the highest."""
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


_MOST_LINES = 6
_MOST_QUANTILES = 8
_LONGEST_NAME = 200
_SHARES = (0.5, 0.95, 0.99)
_NONE = "(none)"
_REST = "(the rest)"


class Charts(NamedTuple):
    """The charts of a metric, and the number of modes whose quantiles are left out."""

    charts: list[Chart]
    heat: dict[str, Any] | None = None
    left_out: int = 0


def charts_of(entry: Entry, found: Sequence[Track], grid: Grid, by: str) -> Charts:
    """Return a chart by the label `by`; for a histogram also the quantiles of the first modes, and a heat map."""
    charts = [_label_chart(entry, found, grid, by)]
    if entry.first.shape != "histogram":
        return Charts(charts)
    by_mode, modes = [], ordered(track.mode for track in found)
    for place, mode in enumerate(modes):
        chosen = [track for track in found if track.mode == mode]
        # The measurements in each step, None if unknown.
        known = [[gains for track in chosen if (gains := track.gains[step]) is not None] for step in range(grid.steps)]
        by_mode.append([added(several) if several else None for several in known])
        if place < _MOST_QUANTILES:
            charts.append(_quantile_chart(mode, chosen, by_mode[-1], grid, entry.unit))
    heat = _heat_map([added(filter(None, steps)) for steps in zip(*by_mode, strict=True)], grid, entry.unit)
    return Charts(charts, heat, max(len(modes) - _MOST_QUANTILES, 0))


def _label_chart(entry: Entry, found: Sequence[Track], grid: Grid, by: str) -> Chart:
    """Return a line for each value of the label: increases per second of counts, else the sum of values."""
    groups: dict[str, list[Track]] = {}
    for track in found:
        groups.setdefault(track.labels.get(by, _NONE), []).append(track)
    lines = {name: _line(entry, tracks, grid) for name, tracks in groups.items()}
    largest = sorted(lines, key=lambda name: sum(map(abs, filter(None, lines[name]))), reverse=True)
    if len(largest) > _MOST_LINES:
        rest = [track for name in largest[_MOST_LINES - 1 :] for track in groups[name]]
        lines[_REST] = _line(entry, rest, grid)
        largest = [*largest[: _MOST_LINES - 1], _REST]
    names = ordered(largest) if by == "mode" else sorted(largest, key=lambda name: (name == _REST, name))
    # The first two colours belong to the modes.
    colours = Colours(names) if by == "mode" else dict(zip(names, range(2, 2 + len(names)), strict=True))
    drawn = [Line(name[:_LONGEST_NAME], lines[name], colours[name]) for name in names]
    # For a histogram the measurements are counted, whatever their unit.
    unit = "" if entry.first.shape == "histogram" else entry.unit
    titles = {"gauge": "Value", "histogram": "Measurements per second", "counter": "Increase per second"}
    note = f"sum by {by}" if entry.first.shape == "gauge" else f"by {by}"
    return Chart(titles[entry.first.shape], grid.times, drawn, partial(in_unit, unit=unit), (), note, unit in BYTES)


def _line(entry: Entry, found: Sequence[Track], grid: Grid) -> list[float | None]:
    if entry.first.shape == "gauge":
        steps = [[value for track in found if (value := track.values[step]) is not None] for step in range(grid.steps)]
        return [sum(values) if values else None for values in steps]
    totals = [[gains.total for track in found if (gains := track.gains[step])] for step in range(grid.steps)]
    return _complete(found, [sum(known) / grid.width if known else None for known in totals])


def _complete(found: Sequence[Track], steps: Sequence[Any]) -> list[Any]:
    """Return the values, with None from the first step for which a sender has not reported its counts yet."""
    pending = min((track.pending for track in found), default=0)
    return [*steps[:pending], *[None] * len(steps[pending:])]


def _quantile_chart(mode: str, found: Sequence[Track], steps: Sequence[Buckets | None], grid: Grid, unit: str) -> Chart:
    """Return the quantiles of a mode's measurements in each step, with the highest exemplar of each step."""
    known = _complete(found, steps)
    lines = [
        Line(f"p{share * 100:.0f}", [quantile(step, share) if step else None for step in known], colour)
        for colour, share in enumerate(_SHARES, start=3)
    ]
    highest: dict[int, Exemplar] = {}
    for exemplar in sorted((each for track in found for each in track.exemplars), key=lambda each: each.value):
        highest[int((exemplar.time_ns / 1e9 - grid.start) // grid.width)] = exemplar
    dots = [
        Dot(
            exemplar.time_ns / 1e9,
            exemplar.value,
            f"{in_unit(exemplar.value, unit)}, trace {exemplar.trace_id[:8]}",
            f"/traces/{exemplar.trace_id}",
        )
        for step, exemplar in sorted(highest.items())
        if 0 <= step < grid.steps
    ]
    note = "interpolated within buckets"
    return Chart(f"Quantiles, {mode}", grid.times, lines, partial(in_unit, unit=unit), dots, note, unit in BYTES)


#: The lightest shade of a bucket that is not empty; 1 is the fullest.
_FAINTEST = 0.12
_MOST_ROWS = 16
#: As wide as the other charts, so that the text is of the same size.
_WIDTH, _ROW, _MARGIN_LEFT, _MARGIN_BOTTOM = 640, 20, 92, 22
_TIMES = 5


def _heat_map(steps: Sequence[Buckets], grid: Grid, unit: str) -> dict[str, Any] | None:
    """Return the parts of the drawing, in its units; None if nothing was measured.

    A cell is one bucket, or several neighbours, in one step: x, y, its shade from 0 to 1, and its title. `label` is the
    text alternative.
    """
    bounds = _bounds(steps)
    if not bounds:
        return None
    counts = [with_bounds(step, tuple(reversed(bounds))).counts[::-1] for step in steps]
    most = max(map(max, counts))
    column_width = (_WIDTH - _MARGIN_LEFT) / grid.steps
    columns = [
        (round(_MARGIN_LEFT + step * column_width, 2), time_of_day(time)) for step, time in enumerate(grid.times)
    ]
    rows = [(index * _ROW, _row_name(bounds, index, unit)) for index in range(len(bounds))]
    busiest = max(range(len(bounds)), key=lambda index: sum(step[index] for step in counts))
    return {
        "cells": [
            (x, y, round(max(math.sqrt(count / most), _FAINTEST), 2), f"{time}, {name}: {number(count)}")
            for (x, time), step in zip(columns, counts, strict=True)
            for (y, name), count in zip(rows, step, strict=True)
            if 0 < count <= most < math.inf
        ],
        "rows": rows,
        "times": columns[:: max(grid.steps // _TIMES, 1)],
        "cell_width": round(column_width - 1, 2),
        "cell_height": _ROW - 1,
        "width": _WIDTH,
        "height": len(bounds) * _ROW + _MARGIN_BOTTOM,
        "label": f"Heat map of {len(bounds)} buckets over time; most measurements are {rows[busiest][1]}",
    }


def _bounds(steps: Sequence[Buckets]) -> list[float]:
    """Return the upper bounds of at most 16 rows, from the highest to the lowest bucket that is not empty."""
    every = sorted({bound for step in steps for bound in step.bounds}, reverse=True)
    filled = {bound for step in steps for bound, count in zip(*step, strict=True) if count > 0}
    used = [index for index, bound in enumerate(every) if bound in filled]
    if not used or every == [math.inf]:
        return []
    shown = every[used[0] : used[-1] + 1]
    if len(shown) > _MOST_ROWS:
        shown = [every[index] for index in used]
    return shown[:: math.ceil(len(shown) / _MOST_ROWS)]


def _row_name(bounds: Sequence[float], index: int, unit: str) -> str:
    bound = bounds[index]
    if bound != math.inf:
        return f"\N{LESS-THAN OR EQUAL TO} {in_unit(bound, unit)}"
    return f"> {in_unit(bounds[index + 1], unit)}" if index + 1 < len(bounds) else "above all bounds"
