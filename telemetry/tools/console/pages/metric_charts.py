"""The charts of one metric: by label over time, as quantiles with exemplars, and a histogram as a heat map."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from telemetry.tools.console.asking.timeline import Grid, Track
from telemetry.tools.console.pages.charts import Chart, Dot, Line
from telemetry.tools.console.pages.formats import BYTES, digits, in_unit, time_of_day
from telemetry.tools.console.pages.shown_modes import colour_of, ordered
from telemetry.tools.console.storage.buckets import Buckets, added, quantile
from telemetry.tools.console.storage.catalogue import Entry
from telemetry.tools.console.storage.points import Exemplar

Value = TypeVar("Value")

_MOST_LINES = 6
_SHARES = (0.5, 0.95, 0.99)
_NONE = "(none)"
_REST = "(the rest)"


def label_chart(entry: Entry, found: Sequence[Track], grid: Grid, by: str) -> Chart:
    """A line for each value of the label: gains per second of what is counted, else the sum of values."""
    groups: dict[str, list[Track]] = {}
    for track in found:
        groups.setdefault(track.labels.get(by, _NONE), []).append(track)
    lines = {name: _line(entry, tracks, grid) for name, tracks in groups.items()}
    largest = sorted(lines, key=lambda name: _size(lines[name]), reverse=True)
    if len(largest) > _MOST_LINES:
        rest = [track for name in largest[_MOST_LINES - 1 :] for track in groups[name]]
        lines[_REST] = _line(entry, rest, grid)
        largest = [*largest[: _MOST_LINES - 1], _REST]
    names = ordered(largest) if by == "mode" else sorted(largest, key=lambda name: (name == _REST, name))
    drawn = [
        # The first two colours belong to the modes.
        Line(name, lines[name], colour_of(name, names) if by == "mode" else colour)
        for colour, name in enumerate(names, start=2)
    ]
    # Of a histogram the measurements are counted, whatever their unit.
    unit = "" if entry.shape == "histogram" else entry.unit
    titles = {"gauge": "Value", "histogram": "Measurements per second", "counter": "Increase per second"}
    note = f"sum by {by}" if entry.shape == "gauge" else f"by {by}"
    return Chart(titles[entry.shape], grid.times, drawn, partial(in_unit, unit=unit), (), note, unit in BYTES)


def measured(found: Sequence[Track], grid: Grid) -> list[Buckets | None]:
    """What was measured in each step over all tracks, None where nothing is known."""
    steps = [[gains for track in found if (gains := track.gains[step]) is not None] for step in range(grid.steps)]
    return [added(known) if known else None for known in steps]


def quantile_chart(mode: str, found: Sequence[Track], steps: Sequence[Buckets | None], grid: Grid, unit: str) -> Chart:
    """The quantiles of what was `measured` of a mode in each step, and its highest exemplars."""
    known = _complete(found, steps)
    lines = [
        Line(f"p{share * 100:.0f}", [quantile(step, share) if step else None for step in known], colour)
        for colour, share in enumerate(_SHARES, start=3)
    ]
    dots, note = _exemplar_dots(found, grid, unit), "interpolated within buckets"
    return Chart(f"Quantiles, {mode}", grid.times, lines, partial(in_unit, unit=unit), dots, note, unit in BYTES)


def _exemplar_dots(found: Sequence[Track], grid: Grid, unit: str) -> list[Dot]:
    """The exemplar with the highest value of each step."""
    highest: dict[int, Exemplar] = {}
    for exemplar in (exemplar for track in found for exemplar in track.exemplars):
        step = int((exemplar.time_ns / 1e9 - grid.start) // grid.width)
        if 0 <= step < grid.steps and (step not in highest or exemplar.value > highest[step].value):
            highest[step] = exemplar
    return [
        Dot(
            exemplar.time_ns / 1e9,
            exemplar.value,
            f"{in_unit(exemplar.value, unit)}, trace {exemplar.trace_id[:8]}",
            f"/traces/{exemplar.trace_id}",
        )
        for _, exemplar in sorted(highest.items())
    ]


def _complete(found: Sequence[Track], steps: Sequence[Value | None]) -> list[Value | None]:
    """None from the step on from which a sender has not reported its counts yet."""
    pending = min((track.pending for track in found), default=0)
    return [*steps[:pending], *[None] * len(steps[pending:])]


def _line(entry: Entry, found: Sequence[Track], grid: Grid) -> list[float | None]:
    if entry.shape == "gauge":
        steps = [[track.values[step] for track in found] for step in range(grid.steps)]
        known = [[value for value in values if value is not None] for values in steps]
        return [sum(values) if values else None for values in known]
    totals = [[gains.total for track in found if (gains := track.gains[step])] for step in range(grid.steps)]
    return _complete(found, [sum(known) / grid.width if known else None for known in totals])


def _size(values: Sequence[float | None]) -> float:
    return sum(abs(value) for value in values if value is not None)


#: Of a bucket that holds something; 1 is the fullest.
_FAINTEST = 0.12
_MOST_ROWS = 16
#: As wide as the other charts, so that the text is of the same size.
_WIDTH, _ROW, _MARGIN_LEFT, _MARGIN_BOTTOM = 640, 20, 92, 22
_TIMES = 5


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The drawing's parts, in its units; `label` says what it shows in words.

    A cell is one bucket in one step: x, y, its shade from 0 to 1, and its title.
    """

    cells: list[tuple[float, int, float, str]]
    rows: list[tuple[int, str]]
    times: list[tuple[float, str]]
    cell_width: float
    height: int
    label: str
    width: int = _WIDTH
    cell_height: int = _ROW - 1


def heat_map(steps: Sequence[Buckets], grid: Grid, unit: str) -> HeatMap | None:
    """The heat map of what was measured in each step; None if nothing was."""
    bounds = _bounds(steps)
    if not bounds:
        return None
    counts = [dict(zip(*step, strict=True)) for step in steps]
    most = max(count for step in counts for count in step.values())
    column_width = (_WIDTH - _MARGIN_LEFT) / grid.steps
    rows = [(index * _ROW, _row_name(bounds, index, unit)) for index in range(len(bounds))]
    times = [time_of_day(time) for time in grid.times]
    cells = [
        (
            round(_MARGIN_LEFT + column * column_width, 2),
            index * _ROW,
            round(max(math.sqrt(count / most), _FAINTEST), 2),
            f"{times[column]}, {rows[index][1]}: {digits(count)}",
        )
        for column, step in enumerate(counts)
        for index, bound in enumerate(bounds)
        if 0 < (count := step.get(bound, 0.0)) <= most < math.inf
    ]
    every = max(grid.steps // _TIMES, 1)
    labels = [(round(_MARGIN_LEFT + column * column_width, 2), times[column]) for column in range(0, grid.steps, every)]
    height = len(bounds) * _ROW
    busiest = max(range(len(bounds)), key=lambda index: sum(step.get(bounds[index], 0.0) for step in counts))
    label = f"Heat map of {len(bounds)} buckets over time; most measurements are {rows[busiest][1]}"
    return HeatMap(cells, rows, labels, round(column_width - 1, 2), height + _MARGIN_BOTTOM, label)


def _bounds(steps: Sequence[Buckets]) -> list[float]:
    """The upper bounds from the highest to the lowest that holds something, at most 16 of them."""
    every = sorted({bound for step in steps for bound in step.bounds}, reverse=True)
    filled = {bound for step in steps for bound, count in zip(*step, strict=True) if count > 0}
    used = [index for index, bound in enumerate(every) if bound in filled]
    if not used or every == [math.inf]:
        return []
    shown = every[used[0] : used[-1] + 1]
    return shown if len(shown) <= _MOST_ROWS else [every[index] for index in used][:_MOST_ROWS]


def _row_name(bounds: Sequence[float], index: int, unit: str) -> str:
    bound = bounds[index]
    if bound != math.inf:
        return f"\N{LESS-THAN OR EQUAL TO} {in_unit(bound, unit)}"
    return f"> {in_unit(bounds[index + 1], unit)}" if index + 1 < len(bounds) else "above all bounds"
