"""The report as one page: no script, nothing fetched, light and dark, readable on a phone."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from telemetry.tools.compare.report import plots, words
from telemetry.tools.compare.report.words import Report

_PLOTTED = ("cpu", "throughput", "p50", "p95", "p99", "memory", "start")


def as_html(report: Report) -> str:
    """Return the whole page."""
    environment = Environment(
        loader=PackageLoader("telemetry.tools.compare.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.globals["words"] = words
    template = environment.get_template("report.html")
    return template.render(report=report, columns=words.COLUMNS, plots=_plots(report)) + "\n"


def _plots(report: Report) -> dict[str, list[Markup]]:
    drawn = {"cost": _cost(report), "scale": _scale(report), "profile": _profile(report)}
    # Made by matplotlib from figures and our own titles.
    return {name: [Markup(text) for text in texts] for name, texts in drawn.items()}  # noqa: S704


def _cost(report: Report) -> list[str]:
    variants = report.get("cost", {}).get("variants", ())
    drawn = []
    for metric in _PLOTTED:
        rows = [(one["title"], one["ratio"][metric]) for one in variants if metric in one["ratio"]]
        if rows:
            drawn.append(plots.ratios(f"{words.COLUMNS[metric]}, ratio to off", rows))
    return drawn


def _scale(report: Report) -> list[str]:
    drawn = []
    scrapes: list[dict[str, Any]] = report.get("scale", {}).get("scrape", [])
    if scrapes:
        series = {
            "median": [(one["workers"] * one["series"], one["p50_ms"]) for one in scrapes],
            "p95": [(one["workers"] * one["series"], one["p95_ms"]) for one in scrapes],
        }
        series = {name: sorted(points) for name, points in series.items()}
        theirs = {"prometheus_client, median": "their_p50_ms", "prometheus_client, p95": "their_p95_ms"}
        series |= {
            title: sorted((one["workers"] * one["series"], one[name]) for one in scrapes)
            for title, name in theirs.items()
            if all(name in one for one in scrapes)
        }
        drawn.append(plots.lines("A scrape of all workers", "series x workers", "ms", series))
    by_title: dict[str, list[tuple[float, float]]] = {}
    for one in report.get("scale", {}).get("export", ()):
        by_title.setdefault(one["title"], []).append((one["rate"], one["cpu"] * 1e6))
    if by_title:
        drawn.append(plots.lines("CPU per request as the rate grows", "requests/s", "µs", by_title))
    return drawn


def _profile(report: Report) -> list[str]:
    variants = report.get("profile", {}).get("variants", ())
    if not variants:
        return []
    rows = [(one["title"], {area: cost * 1e6 for area, cost in one["areas"].items()}) for one in variants]
    return [plots.stacked("Where the CPU time of a request goes", "µs per request", rows)]
