"""Every query of the dashboards and of the rules, as Prometheus, Loki and Tempo get it from Grafana."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.service import ROOT

GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARDS = GRAFANA / "dashboards"
RULES = ROOT / "deploy" / "prometheus" / "rules"
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")
# What Grafana itself knows, for half an hour and a scrape every 15 s.
BUILT_IN = {"__rate_interval": "1m", "__range": "30m", "__interval": "30s"}
# The choices that a dashboard opens with.
CHOSEN = {"service": "user-api", "mode": ".*", "environment": ".*", "route": ".*"}
# Of the span from which a reader goes to its metrics.
_OF_A_SPAN = {"service.name": "user-api", "export.mode": "direct"}


@dataclass(frozen=True)
class Found:
    """One query: in which file, panel or rule it is (`where`), and what it asks."""

    file: str
    where: str
    source: str
    text: str
    instant: bool = False

    def __str__(self) -> str:
        return f"{self.file}: {self.where}: {self.text}"

    def substituted(self, values: Mapping[str, str] = CHOSEN) -> str:
        """Return the query with the variables replaced; KeyError names one that is unknown."""
        known = {**BUILT_IN, **values}
        return _VARIABLE.sub(lambda match: known[match[1] or match[2]], self.text)


def load() -> dict[str, dict[str, Any]]:
    """Return the committed dashboards by file name."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the panels that show something: all but the headings of rows."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def of_dashboards() -> Iterator[Found]:
    """Yield the queries of panels and of annotations."""
    for file, dashboard in load().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                source = target["datasource"]["uid"]
                text = target.get("expr", target.get("query", ""))
                if target.get("queryType") == "serviceMap":
                    # Grafana asks Prometheus for these when it draws the service graph.
                    source, text = "prometheus", f"traces_service_graph_request_total{target['serviceMapQuery']}"
                yield Found(
                    file,
                    panel["title"],
                    source,
                    text,
                    instant=target.get("instant") or target.get("queryType") == "instant",
                )
        for annotation in dashboard["annotations"]["list"]:
            yield Found(file, annotation["name"], "prometheus", annotation["expr"])


def of_variables() -> Iterator[Found]:
    """Yield the selectors whose labels' values are offered as choices."""
    for file, dashboard in load().items():
        for variable in dashboard["templating"]["list"]:
            arguments = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
            assert arguments, f"{file}: variable {variable['name']}: {variable['definition']!r} is no label_values(...)"
            text = f"count by ({arguments[2]}) ({arguments[1]})"
            yield Found(file, f"variable {variable['name']}", "prometheus", text)


def rules() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each rule with its file's name."""
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from ((path.name, rule) for rule in group["rules"])


@cache
def alerts() -> dict[str, dict[str, Any]]:
    """Return the alerting rules by name."""
    return {rule["alert"]: rule for _, rule in rules() if "alert" in rule}


def of_rules() -> Iterator[Found]:
    """Yield the queries of recording and alerting rules."""
    for file, rule in rules():
        yield Found(file, rule.get("alert") or rule["record"], "prometheus", rule["expr"])


def of_provisioning() -> Iterator[Found]:
    """Yield the queries that lead from a trace to metrics, with the labels that Grafana puts in."""
    path = GRAFANA / "provisioning" / "datasources" / "datasources.yaml"
    for source in yaml.safe_load(path.read_text(encoding="utf-8"))["datasources"]:
        links = source["jsonData"].get("tracesToMetrics", {})
        labels = ", ".join(f'{tag["value"]}="{_OF_A_SPAN[tag["key"]]}"' for tag in links.get("tags", []))
        for query in links.get("queries", []):
            text = query["query"].replace("$$__tags", labels)
            yield Found(path.name, f"{source['name']}: {query['name']}", "prometheus", text)


def all_queries() -> list[Found]:
    """Return every query, whatever answers it."""
    return [*of_dashboards(), *of_variables(), *of_rules(), *of_provisioning()]


def of(source: str) -> list[Found]:
    """Return the queries that `source` answers: prometheus, loki or tempo."""
    return [found for found in all_queries() if found.source == source]


@cache
def contract() -> dict[str, Any]:
    """Return the contract of what the service emits."""
    text = (ROOT / "tests" / "contract" / "contract.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@cache
def components() -> dict[str, dict[str, list[str]]]:
    """Return the metrics of the components that dashboards and alerts use: labels by name, by component."""
    text = Path(__file__).with_name("components.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, list[str]]] = yaml.safe_load(text)
    return loaded
