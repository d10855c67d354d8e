"""Charts as SVG in the page, drawn by pygal without its styles and scripts, which the pages' policy would refuse."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pygal
from django.utils.safestring import SafeString

from telemetry.tools.console.pages.formats import time_of_day

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# pygal has Python ask it for every module that is not found, in a way that 3.12 no longer knows and 3.11 warns of.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != pygal.__name__]

_WIDTH, _HEIGHT = 640, 220
#: Labels are larger on small screens, and need some room.
_MARGINS = {"margin_left": 18, "margin_right": 8, "margin_top": 8, "margin_bottom": 10}
_LINES = 4
#: Larger values are in the table only.
_LARGEST = 1e300
_SCRIPTED_LAYERS = frozenset({"titles", "plot text-overlay", "plot tooltip-overlay"})
_TIME_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600, 7200, 14400, 43200, 86400)
_TIME_LABELS = 5
_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


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
    def has_failed(self) -> bool:
        """Whether a dot stands for something that failed."""
        return any(dot.failed for dot in self.dots)

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
    def svg(self) -> SafeString:
        """The drawing; its texts are escaped by the XML that pygal writes."""
        lines = [[_drawable(value) for value in line.values] for line in self.lines]
        dots = [dot for dot in self.dots if _drawable(dot.value) is not None]
        values = [value for line in lines for value in line if value is not None] + [dot.value for dot in dots]
        ticks = _ticks(min(values, default=0.0), max(values, default=0.0), 1024 if self.binary else 10)
        drawn: Any = pygal.XY(
            width=_WIDTH, height=_HEIGHT, explicit_size=False, js=(), css=(), spacing=6, **_MARGINS,
            show_legend=False, show_dots=False, disable_xml_declaration=True, allow_interruptions=True,
            range=(ticks[0], ticks[-1]), xrange=(self.times[0], self.times[-1]),
            x_value_formatter=time_of_day, value_formatter=self.write, truncate_label=-1, y_labels_major=ticks[:1],
        )  # fmt: skip
        drawn.y_labels = ticks
        drawn.x_labels = _time_labels(self.times[0], self.times[-1])
        for line, heights in zip(self.lines, lines, strict=True):
            drawn.add(_xml_text(line.name), list(zip(self.times, heights, strict=True)))
        if dots:
            points = [
                {"value": (dot.time, dot.value), "xlink": dot.href, "label": _xml_text(dot.title)} for dot in dots
            ]
            drawn.add("exemplars", points, stroke=False, show_dots=True, dots_size=5)
        drawn.add_xml_filter(partial(self._plain, dots))
        return SafeString(drawn.render(is_unicode=True))

    def _plain(self, dots: Sequence[Dot], root: Any) -> Any:
        """Remove what cannot be used, colour the lines, name the links."""
        _strip(root)
        root.set("class", "chart")
        root.set("role", "group" if dots else "img")
        root.set("aria-label", _xml_text(self.label))
        for line, series in zip(self.lines, _groups(root, "series "), strict=False):
            series.set("class", f"line colour-{line.colour}")
        for axis in _groups(root, "axis "):
            axis.set("aria-hidden", "true")
        for link, dot in zip(root.iter("a"), dots, strict=False):
            link.attrib.clear()
            link.set("href", dot.href)
            link.set("class", "failed" if dot.failed else "")
            link.set("aria-label", _xml_text(dot.title))
            for name in link.findall("desc"):
                link.remove(name)
            title = root.makeelement("title", {})
            title.text = _xml_text(dot.title)
            link.append(title)
        return root


def _strip(root: Any) -> None:
    """Remove pygal's style, script and title, and the layers that its script would fill (with a style each)."""
    root.attrib.pop("id", None)
    for child in list(root):
        if not isinstance(child.tag, str) or child.tag in {"defs", "title"}:
            root.remove(child)
    for graph in _groups(root, "graph "):
        for layer in list(graph):
            if layer.get("class") in _SCRIPTED_LAYERS:
                graph.remove(layer)


def _groups(root: Any, kind: str) -> list[Any]:
    return [group for group in root.iter("g") if str(group.get("class", "")).startswith(kind)]


def _drawable(value: float | None) -> float | None:
    return value if value is not None and abs(value) <= _LARGEST else None


def _xml_text(text: str) -> str:
    """The text without the characters that XML does not allow, on which lxml fails where it is installed."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


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
