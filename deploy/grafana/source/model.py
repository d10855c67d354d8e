"""What a dashboard is made of, and how it becomes Grafana's classic JSON.

The model (schema version 36) that Grafana 9 to 13 load: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Source = Literal["prometheus", "loki", "tempo"]
Kind = Literal["timeseries", "stat", "bargauge", "heatmap", "table", "logs", "nodeGraph"]
Thresholds = Sequence[tuple[float | None, str]]

WIDTH = 24
_SCHEMA_VERSION = 36


def datasource(source: str) -> Json:
    """Return the reference to a provisioned data source, whose uid is its type."""
    return {"type": source, "uid": source}


@dataclass(frozen=True)
class Query:
    """One query of a panel.

    `legend` is Grafana's pattern for a series' name. `instant` asks for the end of the time range alone, `exemplars`
    for the traces behind the values. `options` are further keys of Grafana's JSON.
    """

    expr: str
    legend: str = ""
    source: Source = "prometheus"
    instant: bool = False
    exemplars: bool = False
    options: Json = field(default_factory=dict)

    def to_json(self, ref: str) -> Json:
        target: Json = {"refId": ref, "datasource": datasource(self.source)}
        if self.source == "tempo":
            return target | {"queryType": "traceql", "query": self.expr, "limit": 20} | self.options
        target |= {"expr": self.expr, "editorMode": "code", "legendFormat": self.legend or "__auto"}
        if self.source == "loki":
            return target | {"queryType": "instant" if self.instant else "range"} | self.options
        return target | {"instant": self.instant, "range": not self.instant, "exemplar": self.exemplars} | self.options


@dataclass(frozen=True)
class Panel:
    """One panel: a question or a statement as title, an answer below it.

    `unit` is Grafana's name of the unit, `interval` the least time between two points. `may_be_empty` says why the
    panel may have no data on a healthy system.
    """

    kind: Kind
    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    width: int = 12
    height: int = 8
    thresholds: Thresholds = ((None, "green"),)
    defaults: Json = field(default_factory=dict)
    custom: Json = field(default_factory=dict)
    options: Json = field(default_factory=dict)
    overrides: Sequence[Json] = ()
    transformations: Sequence[Json] = ()
    links: Sequence[Json] = ()
    interval: str = ""
    may_be_empty: str = ""

    def to_json(self, number: int, x: int, y: int) -> Json:
        defaults: Json = {
            "unit": self.unit,
            "thresholds": {
                "mode": "absolute",
                "steps": [{"color": color, "value": value} for value, color in self.thresholds],
            },
        }
        defaults |= {"color": _color(self)} | self.defaults
        if self.kind == "timeseries":
            defaults["custom"] = _LINES | _limits(self)
        if self.custom:
            defaults["custom"] = defaults.get("custom", {}) | self.custom
        sources = {query.source for query in self.queries}
        panel: Json = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "datasource": datasource(sources.pop())
            if len(sources) == 1
            else {"type": "datasource", "uid": "-- Mixed --"},
            "targets": [query.to_json(chr(ord("A") + index)) for index, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": defaults, "overrides": list(self.overrides)},
            "options": _OPTIONS[self.kind] | self.options,
        }
        if self.interval:
            panel["interval"] = self.interval
        if self.transformations:
            panel["transformations"] = list(self.transformations)
        if self.links:
            panel["links"] = list(self.links)
        return panel


def _limits(panel: Panel) -> Json:
    """Return how a panel of lines shows its thresholds: the axis reaches them, but where values stay far below."""
    if len(panel.thresholds) == 1:
        return {}
    highest = max(value for value, _ in panel.thresholds if value is not None)
    room = {} if panel.unit in {"s", "percentunit"} else {"axisSoftMax": highest * 1.25}
    return {"thresholdsStyle": {"mode": "dashed"}} | room


def _color(panel: Panel) -> Json:
    by_threshold = panel.kind in {"stat", "bargauge"} and len(panel.thresholds) > 1
    return {"mode": "thresholds"} if by_threshold else {"mode": "palette-classic"}


_LINES: Json = {
    "drawStyle": "line",
    "lineWidth": 1,
    "fillOpacity": 10,
    "showPoints": "never",
    "spanNulls": 120_000,
    "axisSoftMin": 0,
}
_LEGEND: Json = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
_LAST: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[Kind, Json] = {
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "stat": {
        "reduceOptions": _LAST,
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
    },
    "bargauge": {
        "reduceOptions": _LAST,
        "orientation": "horizontal",
        "displayMode": "basic",
        "showUnfilled": True,
        "minVizHeight": 16,
        "valueMode": "color",
    },
    "heatmap": {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Spectral", "steps": 64, "reverse": False, "exponent": 0.5},
        "cellGap": 1,
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"show": True, "yHistogram": True},
        "showValue": "never",
        "yAxis": {"unit": "s", "axisPlacement": "left"},
    },
    "table": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
    "logs": {
        "showTime": True,
        "showLabels": False,
        "wrapLogMessage": True,
        "enableLogDetails": True,
        "sortOrder": "Descending",
        "dedupStrategy": "none",
    },
    "nodeGraph": {},
}


@dataclass(frozen=True)
class Row:
    """Panels below a heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Variable:
    """A choice above the dashboard, from the values of a label; `every` adds "All", also to what lacks the label."""

    name: str
    label: str
    query: str
    every: bool = True
    default: str = ""

    def to_json(self) -> Json:
        chosen = {"selected": True, "text": ["All"], "value": ["$__all"]}
        if not self.every:
            chosen = {"selected": True, "text": self.default, "value": self.default}
        variable: Json = {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": datasource("prometheus"),
            "query": {"query": self.query, "refId": self.name},
            "definition": self.query,
            "refresh": 2,
            "sort": 1,
            "multi": self.every,
            "includeAll": self.every,
            "current": chosen,
            "options": [],
            "hide": 0,
        }
        return variable | ({"allValue": ".*"} if self.every else {})


@dataclass(frozen=True)
class Dashboard:
    """A page of Grafana. `uid` is its address, and the name of its file."""

    uid: str
    title: str
    description: str
    variables: Sequence[Variable]
    rows: Sequence[Row]
    time_from: str = "now-30m"

    def panels(self) -> Iterator[Panel]:
        for row in self.rows:
            yield from row.panels

    def to_json(self) -> Json:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["user-api"],
            "schemaVersion": _SCHEMA_VERSION,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": self.time_from, "to": "now"},
            "timezone": "browser",
            "templating": {"list": [variable.to_json() for variable in self.variables]},
            "annotations": {"list": [_ALERTS]},
            "links": [_OTHERS],
            "panels": list(self._laid_out()),
        }

    def _laid_out(self) -> Iterator[Json]:
        """Place panels from left to right and from top to bottom, below the heading of their row."""
        number = y = 0
        for row in self.rows:
            number += 1
            place = {"h": 1, "w": WIDTH, "x": 0, "y": y}
            yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
            x, y, lowest = 0, y + 1, 0
            for panel in row.panels:
                if x + panel.width > WIDTH:
                    x, y, lowest = 0, y + lowest, 0
                number += 1
                yield panel.to_json(number, x, y)
                x, lowest = x + panel.width, max(lowest, panel.height)
            y += lowest


_ALERTS: Json = {
    "name": "Alerts",
    "datasource": datasource("prometheus"),
    "enable": True,
    "hide": False,
    "iconColor": "red",
    "expr": 'ALERTS{alertstate="firing", severity="critical"}',
    "step": "15s",
    "titleFormat": "{{alertname}}",
    "textFormat": "{{component}} {{export_mode}}",
    "useValueForTime": False,
}
_OTHERS: Json = {
    "type": "dashboards",
    "title": "User API",
    "tags": ["user-api"],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}
