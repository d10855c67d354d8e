"""The list of metrics, and one metric over time: by label, as quantiles, as a heat map, with its exemplars."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.http import Http404
from django.urls import reverse
from django.views.decorators.http import require_safe

from telemetry.console.catalogue import Entry, entries, entry_of
from telemetry.console.pages.charts import Chart
from telemetry.console.pages.formats import in_unit
from telemetry.console.pages.heatmap import heat_map
from telemetry.console.pages.metric_charts import exemplar_dots, label_chart, quantile_chart
from telemetry.console.pages.overview import WINDOWS, usual_window
from telemetry.console.pages.rendering import page
from telemetry.console.pages.shown_modes import colour_of, ordered
from telemetry.console.parameters import Parameters
from telemetry.console.timeline import Grid, Track, tracks
from telemetry.prometheus_names import label_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpResponse

    from telemetry.console.application import ConsoleRequest
    from telemetry.console.points import Exemplar
    from telemetry.console.store import Store

STEPS = 60
_MOST_SERIES = 2000
_MOST_EXEMPLARS = 40
_MODE = "mode"


@dataclass(frozen=True, slots=True)
class ExemplarRow:
    """An exemplar with the page of its trace; `kept` says whether there is still something of it to be seen."""

    exemplar: Exemplar
    value: str
    mode: str
    labels: str
    kept: bool

    @property
    def url(self) -> str:
        """The trace."""
        return reverse("traces-one", args=[self.exemplar.trace_id])


@require_safe
def metrics(request: ConsoleRequest) -> HttpResponse:
    """All metrics by name."""
    parameters = Parameters(request, "text", "mode", blank=True)
    text, mode = parameters.text("text"), parameters.text("mode")
    store = request.console.store
    every = entries(store.metrics())
    modes = ordered({mode for entry in every for mode in entry.modes})
    found = [
        entry
        for entry in every
        if (mode is None or mode in entry.modes)
        and (text is None or any(text.lower() in words.lower() for words in (*entry.names, entry.first.description)))
    ]
    rows = [(entry, [(name, colour_of(name, modes)) for name in ordered(entry.modes)]) for entry in found]
    context = {
        "rows": rows, "entries": len(every), "text": text or "", "mode": mode, "modes": modes,
        "filtered": bool(text or mode), "kept": store.retained()["points"],
    }  # fmt: skip
    return page(request, "metrics", context)


@require_safe
def metric(request: ConsoleRequest, name: str) -> HttpResponse:
    """One metric over time."""
    parameters = Parameters(request, "window", "by", "mode", blank=True)
    store = request.console.store
    window = parameters.choice("window", WINDOWS) or usual_window(store)
    entry = entry_of(name, store.metrics())
    if entry is None:
        raise Http404(f"no points of a metric {name} are kept")
    mode = parameters.text("mode")
    grid = _grid(60 * int(window))
    found, left_out = _tracks(store, entry, grid, mode)
    by = parameters.text("by") or _MODE
    labels = [_MODE, *sorted((_telling(found) | {by}) - {_MODE})]
    context: dict[str, Any] = {
        "entry": entry, "name": name, "window": window, "windows": WINDOWS, "by": by, "labels": labels,
        "mode": mode, "modes": ordered(entry.modes), "left_out": left_out, "tracks": len(found),
        "charts": _charts(entry, found, grid, by, mode), "exemplars": _exemplars(store, entry, found),
        "heat": heat_map(found, grid, entry.unit) if entry.shape == "histogram" else None,
        "apis": [(known, reverse("api-metric", args=[known])) for known in entry.names],
    }  # fmt: skip
    return page(request, "metric", context)


def _grid(window: int) -> Grid:
    width = window / STEPS
    # Whole steps: a point must not wander from one to the next while the page renews itself.
    return Grid((time.time() // width - STEPS) * width, width, STEPS)


def _tracks(store: Store, entry: Entry, grid: Grid, mode: str | None) -> tuple[list[Track], int]:
    """The metric's tracks of all ways that it came, and how many series were left out."""
    found: list[Track] = []
    left_out = 0
    names: dict[str, str] = {"service_name": "service.name", "export_mode": _MODE}
    for instrument in entry.instruments:
        series = [
            (each, points) for each, points in store.series(instrument.name, mode)
            if each.instrument.source == instrument.source
        ]  # fmt: skip
        left_out += max(len(series) - _MOST_SERIES, 0)
        if instrument.source == "otlp":
            names |= {label_name(key): key for each, _ in series for key in each.attributes}
        found += tracks(series[:_MOST_SERIES], grid, names)
    for track in found:
        track.labels[_MODE] = track.mode
    return found, left_out


def _telling(found: Sequence[Track]) -> set[str]:
    """The labels that tell tracks of one way apart."""
    names = {label for track in found for label in track.labels}
    return {name for name in names if len({track.labels[name] for track in found if name in track.labels}) > 1}


def _charts(entry: Entry, found: Sequence[Track], grid: Grid, by: str, mode: str | None) -> list[Chart]:
    unit = entry.unit
    charts = [label_chart(entry, found, grid, by)]
    if entry.shape == "histogram":
        modes = [mode] if mode else ordered({track.mode for track in found})
        for each in modes:
            chosen = [track for track in found if track.mode == each]
            dots = exemplar_dots(chosen, grid, unit)
            charts.append(quantile_chart(f"Quantiles, {each}", chosen, grid, unit, dots))
    return charts


def _exemplars(store: Store, entry: Entry, found: Sequence[Track]) -> list[ExemplarRow]:
    pairs = [(exemplar, track) for track in found for exemplar in track.exemplars]
    pairs.sort(key=lambda pair: pair[0].time_ns, reverse=True)
    telling = _telling(found) - {_MODE, "service.instance.id"}
    return [
        ExemplarRow(
            exemplar,
            in_unit(exemplar.value, entry.unit),
            track.mode,
            ", ".join(value for name, value in sorted(track.labels.items()) if name in telling),
            store.has_trace(exemplar.trace_id),
        )
        for exemplar, track in pairs[:_MOST_EXEMPLARS]
    ]
