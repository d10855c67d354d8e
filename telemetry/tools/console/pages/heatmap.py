"""A histogram over time as a heat map: a column for each step, a row for each bucket, stronger where there is more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from telemetry.tools.console.buckets import added
from telemetry.tools.console.pages.formats import digits, in_unit, time_of_day

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.tools.console.buckets import Buckets
    from telemetry.tools.console.timeline import Grid, Track

#: Degrees of colour above nothing.
LEVELS = 8
_MOST_ROWS = 16
#: As wide as the other charts, so that the text is of the same size.
_WIDTH, _ROW, _MARGIN_LEFT, _MARGIN_BOTTOM = 640, 20, 92, 22
_TIMES = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """One bucket in one step; places and sizes in the units of the drawing."""

    x: float
    y: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The drawing's parts; `label` says what it shows in words."""

    cells: list[Cell]
    rows: list[tuple[int, str]]
    times: list[tuple[float, str]]
    cell_width: float
    height: int
    label: str
    width: int = _WIDTH
    cell_height: int = _ROW - 1


def heat_map(found: Sequence[Track], grid: Grid, unit: str) -> HeatMap | None:
    """The heat map of all tracks together; None if nothing was measured."""
    steps = [added(gains for track in found if (gains := track.gains[step]) is not None) for step in range(grid.steps)]
    bounds = _bounds(steps)
    if not bounds:
        return None
    counts = [dict(zip(*step, strict=True)) for step in steps]
    most = max(count for step in counts for count in step.values())
    column_width = (_WIDTH - _MARGIN_LEFT) / grid.steps
    rows = [(index * _ROW, _row_name(bounds, index, unit)) for index in range(len(bounds))]
    times = [time_of_day(time) for time in grid.times]
    cells = [
        Cell(
            round(_MARGIN_LEFT + column * column_width, 2),
            index * _ROW,
            max(math.ceil(LEVELS * math.sqrt(count / most)), 1),
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
