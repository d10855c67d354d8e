"""The report as one page: no scripts or external resources, light and dark, readable on a phone."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from telemetry.tools.compare.report import plots, summary, words
from telemetry.tools.compare.report.words import Report

_WIDEST = 0.1, 50.0
_PLOTTED = ("cpu", "throughput", "p50", "p95", "p99", "memory", "start")


def as_html(report: Report) -> str:
    """Return the whole page."""
    environment = Environment(
        loader=PackageLoader("telemetry.tools.compare.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.globals |= {"words": words, "summary": summary}
    template = environment.get_template("report.html")
    return template.render(report=report, columns=words.COLUMNS, plots=_plots(report)) + "\n"


def _plots(report: Report) -> dict[str, list[Markup]]:
    drawn = {
        "cost": _cost(report),
        "scale": _scale(report),
        "profile": _profile(report),
        "over_time": _over_time(report),
        "scrapes": _scrapes(report),
    }
    # Made by matplotlib from figures and our own titles.
    return {name: [Markup(text) for text in texts] for name, texts in drawn.items()}  # noqa: S704


def _cost(report: Report) -> list[str]:
    variants = report.get("cost", {}).get("variants", ())
    shown = {
        metric: [(one["title"], one["ratio"][metric]) for one in variants if metric in one["ratio"]]
        for metric in _PLOTTED
    }
    ends = [end for rows in shown.values() for _, ratio in rows for end in _ends(ratio)]
    if not ends:
        return []
    limits = max(min(ends) / 1.05, _WIDEST[0]), min(max(ends) * 1.05, _WIDEST[1])
    return [
        plots.ratios(f"{words.COLUMNS[metric]}, ratio to off", rows, limits) for metric, rows in shown.items() if rows
    ]


def _ends(ratio: dict[str, Any]) -> tuple[float, float]:
    return ratio["low"] or ratio["value"], ratio["high"] or ratio["value"]


def _over_time(report: Report) -> list[str]:
    """Return for each fault, second by second, the items not yet stored and the latency of requests."""
    drawn = []
    runs = report.get("loss", {}).get("runs", ())
    for title in dict.fromkeys(run["title"] for run in runs):
        found = [run for run in runs if run["title"] == title and run.get("timeline")]
        if not found:
            continue
        fault = found[0]["fault_at"]
        behind = {
            run["variant"]: [(row["at"], max(0, row["sent"] - row["spans"])) for row in run["timeline"]]
            for run in found
            if "spans" in run["timeline"][0]
        }
        slowest = {run["variant"]: [(row["at"], row["most"] * 1e3) for row in run["latency"]] for run in found}
        if behind:
            drawn.append(plots.over_time(f"{title}: spans sent, not stored", "spans", behind, fault))
        drawn.append(plots.over_time(f"{title}: slowest request", "ms", slowest, fault))
    return drawn


def _scrapes(report: Report) -> list[str]:
    drawn = []
    for one in report.get("scrapes", {}).get("variants", ()):
        series = {
            "made": [(row["at"], row["made"]) for row in one["scrapes"]],
            "counted": [(row["at"], row["counted"]) for row in one["scrapes"]],
        }
        drawn.append(plots.lines(f"{one['title']}, {one['workers']} workers", "seconds", "requests", series))
    return drawn


def _scale(report: Report) -> list[str]:
    drawn = []
    scrapes: list[dict[str, Any]] = report.get("scale", {}).get("scrape", [])
    if scrapes:
        names = {"median": "p50_ms", "p95": "p95_ms"}
        names |= {f"prometheus_client, {title}": f"their_{name}" for title, name in names.items()}
        series = {
            title: sorted((one["workers"] * one["series"], one[name]) for one in scrapes)
            for title, name in names.items()
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
