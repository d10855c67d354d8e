"""What a comparison says of the service's goals."""

from typing import Any

import pytest

from telemetry.tools.compare.figures.goals import goals
from telemetry.tools.compare.report import words
from tests.tools.compare.conftest import cost_runs

MIB = 2**20


def cost(**ratios: dict[str, Any]) -> dict[str, Any]:
    off = {"key": "off", "title": "off", "ratio": {}, "median": {}, "runs": cost_runs(100.0 * MIB)}
    direct = {"key": "direct", "title": "direct", "ratio": ratios, "median": {"exporter_memory": 61.0 * MIB}}
    return {"cost": {"variants": [off, {**direct, "runs": cost_runs(106.0 * MIB)}]}}


def ratio(value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high}


def by_goal(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {line["goal"]: line for line in goals(report)}


@pytest.mark.parametrize(
    ("cpu", "verdict"),
    [
        (ratio(1.04, 1.03, 1.05), "met"),
        (ratio(1.04, 1.01, 1.07), "met, within the noise"),
        (ratio(1.10, 1.04, 1.15), "missed, within the noise"),
        (ratio(1.10, 1.08, 1.15), "missed"),
        (ratio(1.04), "met, within the noise"),
    ],
)
def test_cpu_must_be_nearly_that_of_off(cpu: dict[str, Any], verdict: str) -> None:
    line = by_goal(cost(cpu=cpu))["CPU per request, off ÷ set-up"]
    assert line["value"] == pytest.approx(1 / cpu["value"])
    assert (line["least"], line["aim"]) == (0.95, 0.97)
    assert words.verdict(line) == verdict


def test_memory_is_that_above_off_and_the_exporter_is_listed_separately() -> None:
    found = by_goal(cost(p99=ratio(1.12, 1.11, 1.2)))
    assert words.goal(found["memory of a worker above off"], "value") == "6.0 MiB"
    assert words.goal(found["memory of a worker above off"], "aim") == "5.0 MiB"
    assert not found["memory of the exporter"]["met"]
    assert words.goal(found["memory of the exporter"], "aim") == "-"
    assert not found["p99, set-up ÷ off"]["met"]


def test_memory_above_off_is_that_in_the_same_round() -> None:
    report = cost()
    off, direct = report["cost"]["variants"]
    off["runs"], direct["runs"] = cost_runs(90.0 * MIB, 100.0 * MIB), cost_runs(0, 104.0 * MIB)[1:]
    assert by_goal(report)["memory of a worker above off"]["value"] == 4


def run(fault: str, key: str, lost: int) -> dict[str, Any]:
    accounts = [{"signal": "spans", "lost": lost}, {"signal": "all spans", "lost": 9}]
    return {"fault": fault, "title": fault, "key": key, "variant": key, "accounts": accounts}


def test_nothing_may_be_lost_in_a_kill_nor_in_direct_mode_with_a_backend_that_is_gone() -> None:
    runs = [run("killed", "collector-grpc", 0), run("exporter-killed", "direct", 2), run("gone", "direct-stdout", 1)]
    runs += [run("gone", "collector-grpc", 5), run("stop", "direct", 3)]
    found = by_goal({"loss": {"runs": runs}})
    assert {goal: (line["value"], line["met"]) for goal, line in found.items()} == {
        "lost: killed": (0, True),
        "lost: exporter-killed": (2, False),
        "lost: gone": (1, False),
    }


def test_ages_and_scrapes_have_goals() -> None:
    fresh = {
        "key": "direct",
        "title": "direct",
        "signals": {"spans": {"median": 0.7}, "log records": {"median": 1.2}, "counter": {"median": 9}},
    }
    sizes = [{"workers": w, "series": 1000, "p95_ms": 2.0, "their_p95_ms": 10.0} for w in (4, 8)]
    lines = goals({"freshness": {"variants": [fresh, {**fresh, "key": "contrib"}]}, "scale": {"scrape": sizes}})
    assert [(line["value"], line["met"]) for line in lines] == [(0.7, True), (1.2, False), (0.2, True)]


def test_report_without_figures_has_no_goals() -> None:
    assert goals({}) == []
