"""Advice follows the figures: turned round, they turn the advice."""

from typing import Any

import pytest

from telemetry.tools.compare.figures.advice import advice, mark
from telemetry.tools.compare.report import words
from telemetry.tools.compare.report.summary import sentences
from tests.tools.compare.conftest import cost_runs


def costs(direct: list[float], collector: list[float]) -> dict[str, Any]:
    variants = {"direct": direct, "collector-grpc": collector}
    return {
        "cost": {
            "variants": [
                {
                    "key": key,
                    "title": key,
                    "collector": "Rotel" if key.startswith("collector") else "",
                    "median": {**cost_runs(sorted(values)[len(values) // 2])[0]},
                    "runs": cost_runs(*values),
                }
                for key, values in variants.items()
            ]
        }
    }


def losses(direct: int, collector: int) -> dict[str, Any]:
    runs = [
        {"fault": "gone", "key": key, "collector": name, "accounts": [{"signal": "spans", "sent": 100, "lost": lost}]}
        for key, name, lost in (("direct", "", direct), ("collector-grpc", "Rotel", collector))
    ]
    return {"loss": {"runs": runs}}


def chosen(report: dict[str, Any], when: str) -> str:
    (line,) = [line for line in advice(report) if line["when"].startswith(when)]
    return line["choose"]


@pytest.mark.parametrize(
    ("direct", "collector", "choose"),
    [
        ([1.0, 1.01, 0.99], [1.5, 1.52, 1.49], "direct"),
        ([1.5, 1.52, 1.49], [1.0, 1.01, 0.99], "collector"),
        ([1.0, 1.4, 0.9], [1.2, 0.9, 1.3], "either"),
        ([1.0], [2.0], "either"),
        ([1.0, 1.001, 0.999], [1.02, 1.021, 1.019], "either"),
    ],
)
def test_cost_decides_only_where_it_is_significant(direct: list[float], collector: list[float], choose: str) -> None:
    assert chosen(costs(direct, collector), "CPU time matters") == choose


@pytest.mark.parametrize(("noise", "choose"), [(1.02, "direct"), (1.2, "either"), (1.6, "either")])
def test_cost_decides_only_above_what_the_control_shows(noise: float, choose: str) -> None:
    report = costs([1.0, 1.01, 0.99], [1.15, 1.16, 1.14])
    ratio = {"value": 1.0, "low": 1 / noise, "high": 1.01}
    control = {"key": "off-control", "title": "off again", "ratio": {"cpu": ratio}, "median": {}, "runs": []}
    report["cost"]["variants"].append(control)
    assert chosen(report, "CPU time matters") == choose


def test_only_runs_of_the_same_round_are_compared() -> None:
    report = costs([1.0, 2.0, 4.0], [9.0, 3.0, 6.0])
    del report["cost"]["variants"][1]["runs"][0]  # the collector has failed in the first round
    (line,) = [line for line in advice(report) if line["when"].startswith("CPU time matters")]
    assert line["figure"].endswith(": 0.67 [0.67-0.67]")


def test_more_throughput_is_better() -> None:
    assert chosen(costs([1.0, 1.01, 0.99], [1.5, 1.52, 1.49]), "one worker must serve") == "collector"


@pytest.mark.parametrize(("direct", "collector", "choose"), [(30, 0, "collector"), (0, 60, "direct")])
def test_loss_decides_by_what_was_lost(direct: int, collector: int, choose: str) -> None:
    assert chosen(losses(direct, collector), "a backend may be down") == choose


@pytest.mark.parametrize(("direct", "collector"), [(5, 5), (40, 45), (3, 0), (20, 90), (90, 20)])
def test_losses_of_both_or_by_chance_give_no_line(direct: int, collector: int) -> None:
    assert [line["choose"] for line in advice(losses(direct, collector))] == ["either"]


@pytest.mark.parametrize("left_out", ["direct", "collector-grpc", "fault"])
def test_no_advice_about_faults_without_both_modes_and_a_fault(left_out: str) -> None:
    report = losses(5, 5)
    runs = report["loss"]["runs"]
    if left_out == "fault":
        report["loss"]["runs"] = [{**run, "fault": "calm"} for run in runs]
    else:
        report["loss"]["runs"] = [run for run in runs if run["key"] != left_out]
    assert advice(report) == []


def test_lost_in_all_faults_leaves_out_what_only_one_mode_has() -> None:
    report = losses(5, 5)
    report["loss"]["runs"] += [{**report["loss"]["runs"][1], "fault": fault} for fault in ("calm", "collector-restart")]
    (line,) = advice(report)
    assert line["figure"] == "lost in all faults: 10 of 200 items"


@pytest.mark.parametrize("left_out", ["direct", "collector-grpc", ""])
def test_summary_speaks_of_both_modes_only_where_both_ran(left_out: str) -> None:
    report = losses(5, 5)
    report["loss"]["runs"] = [run for run in report["loss"]["runs"] if run["key"] != left_out]
    report["advice"] = [{"choose": "either", "when": "logs go to stdout: no measurable saving", "figure": "1.00"}]
    said = "Neither mode is better by a measurable difference." in sentences(report)
    assert said is (not left_out)


def test_every_line_has_its_figure() -> None:
    lines = advice(costs([1.0, 1.01, 0.99], [1.5, 1.52, 1.49]) | losses(30, 0))
    assert lines
    assert all(any(letter.isdigit() for letter in line["figure"]) for line in lines)


def test_nothing_measured_gives_no_advice() -> None:
    assert advice({}) == []


def test_ratios_of_a_condition_are_held_against_its_own_control() -> None:
    def cost(noise: float) -> dict[str, Any]:
        control = {"key": "off-control", "ratio": {"cpu": {"value": 1.0, "low": 1.0, "high": noise, "pairs": 3}}}
        direct = {"key": "direct", "ratio": {"cpu": {"value": 1.1, "low": 1.08, "high": 1.12, "pairs": 3}}}
        return {"variants": [control, direct]}

    report = {"cost": cost(1.01), "conditions": {"columns": [cost(1.3)]}}
    mark(report)
    direct, noisy = report["cost"]["variants"][1], report["conditions"]["columns"][0]["variants"][1]
    assert (direct["ratio"]["cpu"]["matters"], noisy["ratio"]["cpu"]["matters"]) == (True, False)
    assert words.ratio(noisy["ratio"]["cpu"] | {"significant": True}) == "≈ 1.10 [1.08-1.12]"
    assert words.ratio({"value": 1.0, "low": 1e-9, "high": 1e9, "significant": False}) == "≈ 1.00 [<0.01->100]"
