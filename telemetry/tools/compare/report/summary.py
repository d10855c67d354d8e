"""The first screen of a report: each set-up in one line, and their cost and losses in a few sentences."""

from collections.abc import Mapping
from typing import Any

from telemetry.tools.compare.figures.advice import has_both_modes
from telemetry.tools.compare.report import words
from telemetry.tools.compare.report.words import Report
from telemetry.tools.compare.setups.route import CONTROL, OFF, VARIANTS

COLUMNS = ("CPU per request", "p99", "memory in all", "lost in calm", "faults with a loss", "span's age")


# Faults that affect every service, whatever its telemetry.
_OF_EVERY_SERVICE = {
    "killed": "at a kill -9 of a worker",
    "deploy": "at a deploy",
    "recycled": "when workers are recycled",
    "stop": "at a stop",
    "gone": "while the backend was gone",
}


def rows(report: Report) -> list[tuple[str, list[str]]]:
    """Return the cost, losses and delay of each set-up that exports; ratios are to off."""
    cost = {one["key"]: one for one in report.get("cost", {}).get("variants", ())}
    fresh = {one["key"]: one for one in report.get("freshness", {}).get("variants", ())}
    runs = report.get("loss", {}).get("runs", ())
    keys = dict.fromkeys([*cost, *(run["key"] for run in runs), *fresh])
    titles = {one["key"]: one["title"] for one in [*cost.values(), *fresh.values()]}
    titles |= {run["key"]: run["variant"] for run in runs}
    return [
        (
            titles[key],
            [*_costs(cost.get(key)), *_losses([run for run in runs if run["key"] == key]), _age(fresh.get(key))],
        )
        for key in keys
        if key not in (OFF.key, CONTROL.key)
    ]


def _costs(one: Mapping[str, Any] | None) -> list[str]:
    if one is None:
        return ["-"] * 3
    median = one["median"]
    memory = words.value("total_memory", median.get("total_memory"))
    return [words.ratio(one["ratio"].get("cpu")), words.ratio(one["ratio"].get("p99")), memory]


def _losses(runs: list[Mapping[str, Any]]) -> list[str]:
    if not runs:
        return ["-", "-"]
    calm = [run for run in runs if run["fault"] == "calm"]
    lost = sum(_lost(run) for run in calm)
    sent = sum(_sent(run) for run in calm)
    with_loss = sum(bool(_lost(run)) for run in runs)
    return [f"{lost} of {sent}" if calm else "-", f"{with_loss} of {len(runs)}"]


def _lost(run: Mapping[str, Any]) -> int:
    return sum(account["lost"] for account in run["accounts"] if not account["signal"].startswith("all "))


def _sent(run: Mapping[str, Any]) -> int:
    return sum(account["sent"] for account in run["accounts"] if not account["signal"].startswith("all "))


def _age(one: Mapping[str, Any] | None) -> str:
    ages = one["signals"].get("spans") if one else None
    return f"{ages['median']:.1f} s" if ages else "-"


def sentences(report: Report) -> list[str]:
    """Return the main points: the noise of this machine, and a summary of the advice."""
    found = []
    control = next((one for one in report.get("cost", {}).get("variants", ()) if one["key"] == CONTROL.key), None)
    if control and control["ratio"].get("cpu"):
        found.append(
            f"Off against off on this machine: CPU per request {words.ratio(control['ratio']['cpu'])}, p99 "
            f"{words.ratio(control['ratio'].get('p99'))}. No smaller difference counts, and none below 5 %."
        )
    chosen = {
        choice: [line["when"] for line in report.get("advice", ()) if line["choose"] == choice]
        for choice in ("direct", "collector")
    }
    for choice, when in chosen.items():
        if when:
            found.append(f"Choose {choice} when {'; when '.join(when)}.")
    if report.get("advice") and not any(chosen.values()) and _compares_modes(report):
        found.append("Neither mode is better by a measurable difference.")
    return [*found, *of_others(report)]


def _compares_modes(report: Report) -> bool:
    parts = (("cost", "variants"), ("freshness", "variants"), ("loss", "runs"))
    return any(has_both_modes(one["key"] for one in report.get(part, {}).get(name, ())) for part, name in parts)


def of_others(report: Report) -> list[str]:
    """Return the cost of each set-up without our telemetry relative to off, and its losses in some faults."""
    cost = {one["key"]: one for one in report.get("cost", {}).get("variants", ())}
    runs = report.get("loss", {}).get("runs", ())
    found = []
    for key, variant in VARIANTS.items():
        if not variant.upstream:
            continue
        parts = []
        if one := cost.get(key):
            memory = words.ratio(one["ratio"].get("memory"))
            ratios = words.ratio(one["ratio"].get("cpu")), words.ratio(one["ratio"].get("p99")), memory
            parts.append("CPU per request {}, p99 {} and memory per worker {} of off".format(*ratios))
        lost = [
            f"{_lost(run)} of {_sent(run)} items {when}"
            for fault, when in _OF_EVERY_SERVICE.items()
            for run in runs
            if (run["fault"], run["key"]) == (fault, key)
        ]
        if lost:
            parts.append(f"it lost {', '.join(lost)}")
        if parts:
            found.append(f"{variant.title}: {'; '.join(parts)}.")
    return found
