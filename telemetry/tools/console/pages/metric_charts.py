"""The charts of one metric: by label over time, and as quantiles with exemplars."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from django.urls import reverse

from telemetry.tools.console.buckets import added, quantile
from telemetry.tools.console.pages.charts import Chart, Dot, Line
from telemetry.tools.console.pages.formats import BYTES, in_unit
from telemetry.tools.console.pages.shown_modes import colour_of, ordered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.tools.console.buckets import Buckets
    from telemetry.tools.console.catalogue import Entry
    from telemetry.tools.console.points import Exemplar
    from telemetry.tools.console.timeline import Grid, Track

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
    if entry.shape == "gauge":
        return Chart(
            "Value", grid.times, drawn, partial(in_unit, unit=entry.unit), (), f"sum by {by}", entry.unit in BYTES
        )
    # Of a histogram the measurements are counted, whatever their unit.
    unit = "" if entry.shape == "histogram" else entry.unit
    title = "Measurements per second" if entry.shape == "histogram" else "Increase per second"
    return Chart(title, grid.times, drawn, partial(in_unit, unit=unit), (), f"by {by}", unit in BYTES)


def quantile_chart(title: str, found: Sequence[Track], grid: Grid, unit: str, dots: Sequence[Dot]) -> Chart:
    """The quantiles of all that was measured in each step, over all tracks."""
    steps = [_together(found, step) for step in range(grid.steps)]
    lines = [
        Line(f"p{share * 100:.0f}", [quantile(step, share) if step else None for step in steps], colour)
        for colour, share in enumerate(_SHARES, start=3)
    ]
    note = "interpolated within buckets"
    return Chart(title, grid.times, lines, partial(in_unit, unit=unit), dots, note, unit in BYTES)


def exemplar_dots(found: Sequence[Track], grid: Grid, unit: str) -> list[Dot]:
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
            reverse("traces-one", args=[exemplar.trace_id]),
        )
        for _, exemplar in sorted(highest.items())
    ]


def _together(found: Sequence[Track], step: int) -> Buckets | None:
    if any(track.pending <= step for track in found):
        return None
    known = [gains for track in found if (gains := track.gains[step]) is not None]
    return added(known) if known else None


def _line(entry: Entry, found: Sequence[Track], grid: Grid) -> list[float | None]:
    if entry.shape == "gauge":
        steps = [[track.values[step] for track in found] for step in range(grid.steps)]
        known = [[value for value in values if value is not None] for values in steps]
        return [sum(values) if values else None for values in known]
    gains = [_together(found, step) for step in range(grid.steps)]
    return [None if step is None else step.total / grid.width for step in gains]


def _size(values: Sequence[float | None]) -> float:
    return sum(abs(value) for value in values if value is not None)
