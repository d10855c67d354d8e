"""The list of metrics, and one metric over time: by label, as quantiles, as a heat map, with its exemplars."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from django.http import Http404

from telemetry.exposition.names import label_name
from telemetry.tools.console.asking.parameters import WINDOWS, Parameters
from telemetry.tools.console.asking.search import Query
from telemetry.tools.console.asking.timeline import Grid, Group, Track, groups, labels_of, tracks
from telemetry.tools.console.pages.charts import Colours, charts_of, ordered
from telemetry.tools.console.pages.formats import in_unit
from telemetry.tools.console.pages.modes import usual_window
from telemetry.tools.console.pages.rendering import page
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.metrics import GROUPS, Entry, entries, entry_of
from telemetry.tools.console.storage.points import Exemplar
from telemetry.tools.console.storage.store import Store

#: More series are drawn in fewer steps, because each step of each series has to be decoded.
_MOST_STEPS, _FEWEST_STEPS = 60, 12
_MOST_DECODED = 2400
_MOST_TRACKS = _MOST_DECODED // _FEWEST_STEPS
_MOST_EXEMPLARS = 40
_MOST_LISTED = 500
_MOST_MODES = 10
_LONGEST_LABELS = 500
_MODE = "mode"


@page("metrics", "text", "mode")
def metrics(console: Console, parameters: Parameters) -> dict[str, Any]:
    text, mode = parameters.text("text"), parameters.text("mode")
    every = entries(console.store.metrics())
    modes = ordered(mode for entry in every for mode in entry.modes)
    found = [
        entry
        for entry in every
        if (mode is None or mode in entry.modes)
        and (text is None or any(text.lower() in words.lower() for words in (*entry.names, entry.first.description)))
    ]
    colours = Colours(modes)
    listed = [
        (entry, [(name, colours[name]) for name in ordered(entry.modes)[:_MOST_MODES]])
        for entry in found[:_MOST_LISTED]
    ]
    return {
        "groups": [(group, list(rows)) for group, rows in groupby(listed, key=lambda row: GROUPS[row[0].group])],
        "listed": len(listed), "found": len(found), "entries": len(every), "text": text or "", "mode": mode,
        "modes": modes, "filtered": bool(text or mode), "kept": console.store.retained()["points"],
    }  # fmt: skip


@page("metric", "window", "by", "mode", "q")
def metric(console: Console, parameters: Parameters, name: str) -> dict[str, Any]:
    store = console.store
    window = parameters.choice("window", WINDOWS) or usual_window(store)
    entry = entry_of(name, store.metrics())
    if entry is None:
        raise Http404(f"no points of a metric {name} are kept")
    mode = parameters.text("mode")
    grid, found, left_out = _tracks(store, entry, 60 * int(window), mode, parameters.labels())
    by = parameters.text("by") or _MODE
    labels = [_MODE, *sorted((_differing(found) | {by}) - {_MODE})]
    drawn = charts_of(entry, found, grid, by)
    return {
        "entry": entry, "name": name, "window": window, "windows": WINDOWS, "by": by, "labels": labels,
        "q": parameters.given.get("q", ""),
        "mode": mode, "modes": ordered(entry.modes), "left_out": left_out, "tracks": len(found),
        "charts": drawn.charts, "heat": drawn.heat, "modes_left_out": drawn.left_out,
        "exemplars": _exemplars(store, entry, found),
    }  # fmt: skip


def _tracks(store: Store, entry: Entry, window: int, mode: str | None, query: Query) -> tuple[Grid, list[Track], int]:
    """Return the metric's tracks from all sources whose labels match, their grid, and how many were left out."""
    names: dict[str, str] = {"service_name": "service.name", "export_mode": _MODE}
    grouped: list[list[Group]] = []
    for instrument in entry.instruments:
        series = [
            (each, points)
            for each, points in store.series(instrument.name, mode, points=1)
            if each.instrument.source == instrument.source and each.instrument.shape == entry.first.shape
        ]
        if instrument.source == "otlp":
            names |= {label_name(key): key for each, _ in series for key in each.attributes}
        grouped.append([group for group in groups(series) if query.matches_labels(labels_of(group[0][0], names))])
    count = sum(map(len, grouped))
    steps = min(max(_MOST_DECODED // max(count, 1), _FEWEST_STEPS), _MOST_STEPS)
    width = window / steps
    # Whole steps: a point must not move between steps when the page refreshes itself.
    grid = Grid((store.now_ns() / 1e9 // width - steps) * width, width, steps)
    share = _MOST_TRACKS // len(grouped)
    chosen = [[store.around((each for each, _ in group), grid.edges_ns) for group in each[:share]] for each in grouped]
    found = [track for several in chosen for track in tracks(list(filter(None, several)), grid, names)]
    return grid, found, count - len(found)


def _differing(found: Sequence[Track]) -> set[str]:
    """Return the labels whose values differ between tracks."""
    values: dict[str, str] = {}
    return {name for track in found for name, value in track.labels.items() if values.setdefault(name, value) != value}


def _exemplars(store: Store, entry: Entry, found: Sequence[Track]) -> list[tuple[Exemplar, str, str, str, bool]]:
    """Return the latest exemplars, each with value, mode and labels, and whether a span of its trace is stored."""
    pairs = [(exemplar, track) for track in found for exemplar in track.exemplars]
    pairs.sort(key=lambda pair: pair[0].time_ns, reverse=True)
    differing = _differing(found) - {_MODE, "service.instance.id"}
    return [
        (
            exemplar,
            in_unit(exemplar.value, entry.unit),
            track.mode,
            ", ".join(track.labels[name] for name in sorted(differing & track.labels.keys()))[:_LONGEST_LABELS],
            bool(store.stored_traces(exemplar.trace_id)),
        )
        for exemplar, track in pairs[:_MOST_EXEMPLARS]
    ]
