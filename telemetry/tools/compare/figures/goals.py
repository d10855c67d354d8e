"""The service's goals and the measured values: each line rests on figures of the same report."""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from telemetry.tools.compare.figures.intervals import same_rounds
from telemetry.tools.compare.setups.route import VARIANTS

Report = Mapping[str, Any]
Line = dict[str, Any]

_MEBIBYTE = 2**20
_NAMED_WORKERS, _NAMED_SERIES = 8, 1000
# Nothing may be lost in these; in those of the second list not in direct mode, which has no collector.
_HARMLESS = ("calm", "killed", "exporter-killed", "everything-killed", "deploy", "recycled", "stop-and-start")
_HARMLESS_DIRECT = ("gone", "refusing")
_SIGNALS = ("spans", "log records", "counter")


def goals(report: Report) -> list[Line]:
    """Return lines with `goal`, `variant`, `value`, `least`, `aim`, `met`, `certain` and `unit`.

    `least` is the limit, `aim` the target (equal if no more is aimed at), `met` whether `value` reaches `least`, and
    `certain` whether the whole interval of a ratio agrees; a single round has no interval. For an incomplete report,
    the lines that its parts allow.
    """
    return [line for part in (_cost, _freshness, _losses, _scrapes) for line in part(report)]


def _is_ours(key: str) -> bool:
    """Return whether a set-up exports with our own telemetry: the goals apply to no other."""
    return key in VARIANTS and VARIANTS[key].route is not None


def _line(  # noqa: PLR0917
    goal: str,
    variant: str,
    value: float,
    least: float,
    aim: float,
    unit: str = "",
    interval: tuple[float | None, ...] = (),
) -> Line:
    """Return one line; `interval` is the two ends for a ratio, None if there was only one round."""

    def reached(figure: float) -> bool:
        return figure >= least if aim > least else figure <= least

    met = reached(value)
    certain = all(end is not None and reached(end) is met for end in interval)
    return {
        "goal": goal,
        "variant": variant,
        "value": value,
        "least": least,
        "aim": aim,
        "unit": unit,
        "met": met,
        "certain": certain,
    }


def _cost(report: Report) -> Iterator[Line]:
    variants = report.get("cost", {}).get("variants", ())
    off = next((one for one in variants if one["key"] == "off"), None)
    for one in variants:
        if not _is_ours(one["key"]):
            continue
        title = one["title"]
        if cpu := one["ratio"].get("cpu"):
            ends = tuple(1 / cpu[end] if cpu[end] else None for end in ("high", "low"))
            yield _line("CPU per request, off ÷ set-up", title, 1 / cpu["value"], 0.95, 0.97, "", ends)
        if p99 := one["ratio"].get("p99"):
            yield _line("p99, set-up ÷ off", title, p99["value"], 1.10, 1.05, "", (p99["low"], p99["high"]))
        if off and one is not off and (pairs := same_rounds(one, off)):
            above = statistics.median(run["memory"] - base["memory"] for run, base in pairs) / _MEBIBYTE
            yield _line("memory of a worker above off", title, above, 8.0, 5.0, "MiB")
        if "grpc" not in one["key"] and (exporter := one["median"].get("exporter_memory")):
            yield _line("memory of the exporter", title, exporter / _MEBIBYTE, 60.0, 60.0, "MiB")


def _freshness(report: Report) -> Iterator[Line]:
    for one in report.get("freshness", {}).get("variants", ()):
        if not _is_ours(one["key"]):
            continue
        for signal in ("spans", "log records"):
            if ages := one["signals"].get(signal):
                yield _line(f"median age of {signal} at the backend", one["title"], ages["median"], 1.0, 0.5, "s")


def _losses(report: Report) -> Iterator[Line]:
    for run in report.get("loss", {}).get("runs", ()):
        is_direct = run["key"].startswith("direct")
        if not _is_ours(run["key"]):
            continue
        if run["fault"] in _HARMLESS or (is_direct and run["fault"] in _HARMLESS_DIRECT):
            lost = sum(account["lost"] for account in run["accounts"] if account["signal"] in _SIGNALS)
            yield _line(f"lost: {run['title']}", run["variant"], float(lost), 0.0, 0.0, "items")


def _scrapes(report: Report) -> Iterator[Line]:
    for one in report.get("scale", {}).get("scrape", ()):
        if (one["workers"], one["series"]) == (_NAMED_WORKERS, _NAMED_SERIES) and "their_p95_ms" in one:
            goal = f"p95 of a scrape of {_NAMED_WORKERS} x {_NAMED_SERIES} series, exporter ÷ prometheus_client"
            yield _line(goal, "direct", one["p95_ms"] / one["their_p95_ms"], 0.25, 0.25)
