"""SVG plots that take their colours from the page, to suit light and dark."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Replaced in the SVG by the colour of the page's text.
_INK = "#010203"
_COLOURS = ("#3b82c4", "#e07b39", "#4a9d5b", "#a55bb0", "#c0504d", "#8a8f98", "#c9a227", "#2a9d8f", "#b5838d")
_WIDTH = 4.8
# By the greatest width of the scale: its end divided by its start.
_TICKS = {
    1.6: (0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5),
    4.0: (0.3, 0.5, 0.75, 1, 1.25, 1.5, 2, 3),
    math.inf: (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50),
}

# Text stays text: it scales with the page and can be searched.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "compare", "font.size": 10, "font.family": "sans-serif"})
mpl.rcParams.update(
    dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK)
)


def ratios(title: str, rows: Sequence[tuple[str, Mapping[str, Any]]], limits: tuple[float, float]) -> str:
    """Return ratios with their intervals, one row for each set-up, and a line at 1.

    Plots to be compared by eye have the same `limits`; the scale is logarithmic, so half is as far from 1 as double.
    """
    figure, axes = _figure(0.9 + 0.42 * len(rows))
    for position, (_, ratio) in enumerate(reversed(rows)):
        value = ratio["value"]
        low, high = ratio["low"] or value, ratio["high"] or value
        colour = _COLOURS[0] if ratio.get("matters", ratio["significant"]) else "#8a8f98"
        axes.errorbar(
            value, position, xerr=[[value - low], [high - value]], fmt="o", color=colour, capsize=4, markersize=6
        )
    axes.axvline(1, color=_INK, linewidth=1, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    wanted = next(ticks for width, ticks in _TICKS.items() if limits[1] / limits[0] <= width)
    ticks = [tick for tick in wanted if limits[0] <= tick <= limits[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_title(title, loc="left", fontsize=11)
    return _svg(figure, title)


def lines(title: str, x: str, y: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return a plot with a line for each series of points."""
    figure, axes = _figure(3.0)
    for (name, points), colour in zip(series.items(), _COLOURS * len(series), strict=False):
        axes.plot([a for a, _ in points], [b for _, b in points], "o-", color=colour, label=name)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(frameon=False, labelcolor=_INK)
    return _svg(figure, title)


def over_time(title: str, y: str, series: Mapping[str, Sequence[tuple[float, float]]], fault: Sequence[float]) -> str:
    """Return a plot with a line for each set-up over the seconds of a load; the time of the fault is shaded."""
    figure, axes = _figure(2.6)
    axes.axvspan(fault[0], max(fault[1], fault[0] + 0.2), color=_INK, alpha=0.08)
    for (name, points), colour in zip(series.items(), _COLOURS * len(series), strict=False):
        axes.plot([a for a, _ in points], [b for _, b in points], color=colour, label=name, linewidth=1.4)
    axes.set_xlabel("seconds")
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(frameon=False, labelcolor=_INK, fontsize=7)
    return _svg(figure, title)


def stacked(title: str, x: str, rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """Return a plot with a horizontal bar for each row, stacked from its parts."""
    figure, axes = _figure(1.5 + 0.42 * len(rows))
    parts = list(dict.fromkeys(part for _, values in rows for part in values))
    palette = mpl.colormaps["tab20"].colors  # type: ignore[attr-defined]
    left = [0.0] * len(rows)
    for number, part in enumerate(parts):
        widths = [values.get(part, 0.0) for _, values in reversed(rows)]
        axes.barh(range(len(rows)), widths, left=left, color=palette[number % len(palette)], label=part)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
    axes.set_xlabel(x)
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(frameon=False, labelcolor=_INK, ncols=2, fontsize=8, loc="upper left", bbox_to_anchor=(-0.3, -0.3))
    return _svg(figure, title)


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color=_INK, alpha=0.12)
    return figure, axes


def _svg(figure: Figure, title: str) -> str:
    """Return the figure as an element for a page, as wide as its container."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1)
    text = re.sub(r'<svg ([^>]*?)height="[^"]*"', r"<svg \1", text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
