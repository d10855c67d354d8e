"""Plots as SVG that takes its colours from the page, so that they fit light and dark."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Stands in the file for the colour of the page's text.
_INK = "#010203"
_COLOURS = ("#3b82c4", "#e07b39", "#4a9d5b", "#a55bb0", "#c0504d")
_WIDTH = 6.4

# Text stays text: it scales with the page and can be searched.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "compare", "font.size": 10, "font.family": "sans-serif"})
mpl.rcParams.update(
    dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK)
)


def ratios(title: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return ratios with their intervals, one row for each set-up, and a line at 1."""
    figure, axes = _figure(0.9 + 0.42 * len(rows))
    for position, (_, ratio) in enumerate(reversed(rows)):
        value = ratio["value"]
        low, high = ratio["low"] or value, ratio["high"] or value
        colour = _COLOURS[0] if ratio["significant"] else "#8a8f98"
        axes.errorbar(
            value, position, xerr=[[value - low], [high - value]], fmt="o", color=colour, capsize=4, markersize=6
        )
    axes.axvline(1, color=_INK, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_title(title, loc="left", fontsize=11)
    return _svg(figure, title)


def lines(title: str, x: str, y: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return one line for each series of points."""
    figure, axes = _figure(3.0)
    for (name, points), colour in zip(series.items(), _COLOURS * len(series), strict=False):
        axes.plot([a for a, _ in points], [b for _, b in points], "o-", color=colour, label=name)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(frameon=False, labelcolor=_INK)
    return _svg(figure, title)


def stacked(title: str, x: str, rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """Return one horizontal bar for each row, made of its parts."""
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
    """Return the figure as an element for a page, as wide as there is room."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1)
    text = re.sub(r'<svg ([^>]*?)height="[^"]*"', r"<svg \1", text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
