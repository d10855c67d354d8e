"""How the values of all slots become the lines of an answer; made anew only when a series appears.

A counter is one cell, a histogram one cell per bucket and one for its sum. Each slot's values are brought into the
order of the cells and added up, and the text around the values is kept ready: what remains for a scrape are a few
calls that run through all values in C.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from operator import add, itemgetter
from typing import Any

from telemetry.prometheus_names import PrometheusSeries, escape_help, escape_label, number
from telemetry.series_key import GENERATION, SECONDS, VALUE
from telemetry.slot_reader import Exemplar, SlotReader, StoredSeries

_INFINITY = float("inf")


@dataclass(slots=True)
class _Series:
    """A counter or histogram as it is shown: ``cell`` is its first cell, ``line`` its first line."""

    labels: str
    bounds: tuple[float, ...]
    created: float
    cell: int = 0
    line: int = 0

    def histogram_cells(self, bounds: tuple[float, ...]) -> list[int]:
        """Cells of the buckets and the sum of an entry that has these bounds, or fewer than the series shows."""
        own = [self.cell + self.bounds.index(bound) for bound in bounds]
        last = self.cell + len(self.bounds)
        return [*own, last, last + 1]


@dataclass(slots=True)
class _Family:
    shown: PrometheusSeries  # the latest series of the family gives HELP and merge rule
    series: dict[str, _Series] = field(default_factory=dict)

    def header(self, *, openmetrics: bool) -> str:
        """HELP, TYPE and in OpenMetrics UNIT."""
        family, text = self.shown.family, self.shown.help
        if openmetrics:
            unit = self.shown.unit
            unit_line = f"# UNIT {family} {unit}\n" if unit and family.endswith(f"_{unit}") else ""
            return f"# HELP {family} {escape_label(text)}\n# TYPE {family} {self.shown.type}\n{unit_line}"
        name = f"{family}_total" if self.shown.type == "counter" else family
        return f"# HELP {name} {escape_help(text)}\n# TYPE {name} {self.shown.type}\n"

    def sample_names(self) -> set[str]:
        """Every name that the family's lines begin with, in either format, but for ``_created``."""
        family = self.shown.family
        suffixes = {"counter": ("", "_total"), "gauge": ("",), "histogram": ("", "_bucket", "_sum", "_count")}
        return {family + suffix for suffix in suffixes[self.shown.type]}


@dataclass(slots=True)
class _Source:
    """Where a slot's values go: one getter for each layer of values that share no cell."""

    reader: SlotReader
    getters: list[Callable[[tuple[float, ...]], tuple[float, ...]]]
    current: list[tuple[_Family, str, int]]  # gauges: family, labels, index of the first value
    series: dict[int, _Series]  # counters and histograms by their index in the slot

    def line(self, index: int, bucket: int) -> int | None:
        """The line of a counter (bucket 0) or of a histogram's bucket."""
        series = self.series.get(index)
        if series is None:
            return None
        bounds = self.reader.series[index].shown.bounds
        if bounds == series.bounds:
            return series.line + bucket
        return series.line + series.histogram_cells(bounds)[bucket] - series.cell


class Plan:
    """The merge and the text of one set of series."""

    def __init__(
        self,
        readers: list[SlotReader],
        *,
        reserved: set[str],
        created: bool,
    ) -> None:
        """``reserved``: names that the caller uses for lines of its own; ``created``: show ``_created`` lines."""
        self._families: dict[str, _Family] = {}
        self._names = set(reserved)
        self.conflicts: set[str] = set()
        shown = [[self._place(stored) for stored in reader.series] for reader in readers]
        self._cumulative = [
            self._families[name] for name in sorted(self._families) if self._families[name].shown.type != "gauge"
        ]
        self._cells = self._number_cells()
        self._sources = [self._source(reader, placed) for reader, placed in zip(readers, shown, strict=True)]
        self._pieces = self._text(openmetrics=False, created=False)
        self._pieces_openmetrics = self._text(openmetrics=True, created=created)

    def _place(self, stored: StoredSeries) -> _Family | None:
        shown = stored.shown
        family = self._families.get(shown.family)
        if family is None:
            family = _Family(shown)
            names = family.sample_names()
            if not names.isdisjoint(self._names):
                self.conflicts.add(shown.name)
                return None
            self._families[shown.family] = family
            self._names |= names
        elif family.shown.type != shown.type:
            self.conflicts.add(shown.name)
            return None
        family.shown = shown
        if shown.type != "gauge":
            series = family.series.get(shown.labels)
            if series is None:
                family.series[shown.labels] = _Series(shown.labels, shown.bounds, stored.created)
            else:
                series.created = min(series.created, stored.created)
                if series.bounds != shown.bounds:
                    series.bounds = tuple(sorted({*series.bounds, *shown.bounds}))
        return family

    def _number_cells(self) -> int:
        cell = line = 0
        for family in self._cumulative:
            histogram = family.shown.type == "histogram"
            family.series = dict(sorted(family.series.items()))
            for series in family.series.values():
                series.cell, series.line = cell, line
                cell += len(series.bounds) + 2 if histogram else 1
                line += len(series.bounds) + 3 if histogram else 1
        return cell

    def _source(self, reader: SlotReader, families: list[_Family | None]) -> _Source:
        nothing = len(reader.values) - 1
        # Two cells more than needed, as itemgetter gives a tuple only for two or more.
        layers: list[list[int]] = [[nothing] * (self._cells + 2)]
        source = _Source(reader, [], [], {})
        for index, (stored, family) in enumerate(zip(reader.series, families, strict=True)):
            if family is None:
                continue
            if family.shown.type == "gauge":
                source.current.append((family, stored.shown.labels, stored.first))
                continue
            series = family.series[stored.shown.labels]
            source.series[index] = series
            cells = [series.cell] if family.shown.type == "counter" else series.histogram_cells(stored.shown.bounds)
            # Several entries of one slot can be the same series to Prometheus: each is added in a layer of its own.
            for layer in layers:
                if all(layer[cell] == nothing for cell in cells):
                    break
            else:
                layer = [nothing] * (self._cells + 2)
                layers.append(layer)
            for offset, cell in enumerate(cells):
                layer[cell] = stored.first + offset
        source.getters = [itemgetter(*layer) for layer in layers]
        return source

    def _text(self, *, openmetrics: bool, created: bool) -> list[str]:
        """The text before each value, and after the last one."""
        pieces = [""]
        for family in self._cumulative:
            pieces[-1] += family.header(openmetrics=openmetrics)
            name = family.shown.family
            # A counter "users" does without the line if there is a counter "users.created".
            with_created = created and f"{name}_created" not in self._names
            for series in family.series.values():
                if family.shown.type == "histogram":
                    first, *others = _histogram_lines(name, series)
                    pieces[-1] += f"{first} "
                    pieces += [f"\n{line} " for line in others]
                else:
                    pieces[-1] += f"{name}_total{_braces(series.labels)} "
                pieces.append("\n")
                if with_created:
                    pieces[-1] += f"{name}_created{_braces(series.labels)} {series.created:.3f}\n"
        return pieces

    def render(self, *, openmetrics: bool) -> str:
        """All lines of counters, histograms and gauges with the values that the readers hold now."""
        values = self._line_values()
        pieces = self._pieces_openmetrics if openmetrics else self._pieces
        if openmetrics:
            pieces = self._with_exemplars(pieces)
        show = repr if -_INFINITY < sum(values) < _INFINITY else number
        text = [""] * (2 * len(values) + 1)
        text[::2] = pieces
        text[1::2] = map(show, values)
        return "".join(text) + self._gauges(openmetrics=openmetrics)

    def _line_values(self) -> list[float]:
        cells: Iterable[float] = [0.0] * (self._cells + 2)
        for source in self._sources:
            for getter in source.getters:
                # Slot by slot in a fixed order: rounding then never makes a sum smaller than it was.
                cells = map(add, cells, getter(source.reader.values))
        sums = list(cells)
        lines: list[float] = []
        for family in self._cumulative:
            if family.shown.type == "counter":
                start = next(iter(family.series.values())).cell
                lines += sums[start : start + len(family.series)]
                continue
            for series in family.series.values():
                end = series.cell + len(series.bounds) + 1
                lines += accumulate(sums[series.cell : end])
                count = lines[-1]
                lines.append(sums[end])
                lines.append(count)
        return lines

    def _with_exemplars(self, pieces: list[str]) -> list[str]:
        newest: dict[int, Exemplar] = {}
        for source in self._sources:
            for (index, bucket), exemplar in source.reader.exemplars.items():
                line = source.line(index, bucket)
                if line is not None and (line not in newest or newest[line][1] < exemplar[1]):
                    newest[line] = exemplar
        pieces = pieces.copy()
        for line, (value, seconds, trace_id, span_id) in newest.items():
            labels = f'{{trace_id="{trace_id:032x}",span_id="{span_id:016x}"}}'
            pieces[line + 1] = f" # {labels} {number(value)} {seconds:.3f}{pieces[line + 1]}"
        return pieces

    def _gauges(self, *, openmetrics: bool) -> str:
        merged: dict[str, dict[str, tuple[float, float]]] = {}  # family -> labels -> value and time
        for source in self._sources:
            if not source.reader.is_live:
                continue
            values, generation = source.reader.values, source.reader.generation
            for family, labels, first in source.current:
                if values[first + GENERATION] == generation:
                    name, rule = family.shown.family, _RULES[family.shown.merge]
                    new = values[first + VALUE], values[first + SECONDS]
                    old = merged.setdefault(name, {}).get(labels)
                    merged[name][labels] = new if old is None else rule(old, new)
        text = []
        for name in sorted(merged):
            text.append(self._families[name].header(openmetrics=openmetrics))
            text += [
                f"{name}{_braces(labels)} {number(value)}\n" for labels, (value, _) in sorted(merged[name].items())
            ]
        return "".join(text)


def _sum(old: tuple[float, float], new: tuple[float, float]) -> tuple[float, float]:
    return old[0] + new[0], max(old[1], new[1])


def _most_recent(old: tuple[float, float], new: tuple[float, float]) -> tuple[float, float]:
    return max(old, new, key=itemgetter(1))


_RULES: dict[str, Callable[[Any, Any], tuple[float, float]]] = {
    "sum": _sum,
    "max": max,
    "min": min,
    "mostrecent": _most_recent,
}


def _braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _histogram_lines(name: str, series: _Series) -> list[str]:
    comma = "," if series.labels else ""
    limits = [*map(number, series.bounds), "+Inf"]
    lines = [f'{name}_bucket{{{series.labels}{comma}le="{limit}"}}' for limit in limits]
    return [*lines, f"{name}_sum{_braces(series.labels)}", f"{name}_count{_braces(series.labels)}"]
