"""“Choose direct when ..., choose a collector when ...”: each line only if a figure of the same report supports it.

A difference counts if its interval excludes 1 and its size matters: at least 5 %, and more than the control of the same
report, `off` against `off`, shows without any difference.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from telemetry.tools.compare.figures.intervals import Ratio, paired_ratio, same_rounds
from telemetry.tools.compare.setups.route import CONTROL

DIRECT, COLLECTOR, EITHER = "direct", "collector", "either"
_SIGNIFICANT = 0.05
_SIGNIFICANT_LOSS = 0.001
_ITEMS = {"spans": "spans", "log records": "log records", "counter": "counts"}
MATTERS = 1.05
"""The ratio below which a difference is too small to act on."""

Report = Mapping[str, Any]
Line = dict[str, str]


def advice(report: Report) -> list[Line]:
    """Return lines with `choose`, `when` and `figure`; for an incomplete report, those that its parts allow."""
    lines: list[Line] = []
    for part in (_cost, _collector, _freshness, _losses):
        lines += part(report)
    return lines


def shown(ratio: Ratio) -> str:
    """Return a ratio with its interval."""
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.2f} (one round, no interval)"
    return f"{ratio.value:.2f} [{ratio.low:.2f}-{ratio.high:.2f}]"


# metric, whether less is better, what the winner is good for
_COSTS = (
    ("total_cpu", True, "CPU time matters", "CPU per request, service and collector"),
    ("throughput", False, "one worker must serve as many requests as it can", "requests per second"),
    ("p99", True, "the slowest requests matter", "p99"),
    ("total_memory", True, "memory matters", "memory of service and collector"),
    ("start", True, "workers must start fast", "start-up time"),
    ("total_bytes", True, "network traffic matters", "bytes per request on every hop"),
)


def _cost(report: Report) -> list[Line]:
    runs = {one["key"]: one for one in report.get("cost", {}).get("variants", ())}
    collectors = [one for key, one in runs.items() if key.startswith("collector") and one["runs"]]
    lines = []
    if "direct" in runs and collectors:
        for metric, less_is_better, when, name in _COSTS:
            better = (min if less_is_better else max)(collectors, key=lambda one, m=metric: one["median"].get(m, 0.0))  # type: ignore[misc]
            if ratio := _between(runs["direct"], better, metric):
                figure = f"{name}, direct / {better['title']}: {shown(ratio)}"
                lines.append(_decided(ratio, noise(report, metric), when, figure, less_is_better=less_is_better))
    if {"direct", "direct-stdout"} <= runs.keys() and (ratio := _between(runs["direct-stdout"], runs["direct"], "cpu")):
        figure = f"CPU per request, logs on stdout / by OTLP: {shown(ratio)}"
        if matters(ratio, noise(report, "cpu")) and ratio.value < 1:
            lines.append(_line(DIRECT, "something collects standard output anyway: its logs cost nothing more", figure))
        else:
            lines.append(_line(EITHER, "logs go to stdout: no measurable saving", figure))
    return lines


def _between(one: Report, other: Report, metric: str) -> Ratio | None:
    values = [(a[metric], b[metric]) for a, b in same_rounds(one, other) if a.get(metric) and b.get(metric)]
    return paired_ratio([a for a, _ in values], [b for _, b in values]) if values else None


def noise(report: Report, metric: str) -> float:
    """Return the ratio (1 or above) that the control of a report reaches without any difference."""
    control = next((one for one in report.get("cost", {}).get("variants", ()) if one["key"] == CONTROL.key), None)
    # The totals of a service without a collector are its own.
    ratio = control["ratio"].get(metric.replace("total_", "")) if control else None
    ends = [end for name in ("low", "high") if ratio and (end := ratio[name])]
    return max((max(end, 1 / end) for end in ends), default=1.0)


def matters(ratio: Ratio, noise: float) -> bool:
    """Return whether a difference is significant, large enough to act on, and larger than the noise."""
    return ratio.significant and abs(math.log(ratio.value)) >= math.log(max(MATTERS, noise))


def mark(report: Report) -> None:
    """Mark whether each ratio to `off` in a report matters, using the control of its own condition."""
    for cost in [report.get("cost", {}), *report.get("conditions", {}).get("columns", ())]:
        for one in cost.get("variants", ()):
            for metric, ratio in one["ratio"].items():
                found = Ratio(*(ratio[name] for name in ("value", "low", "high", "pairs")))
                ratio["matters"] = one["key"] != CONTROL.key and matters(found, noise({"cost": cost}, metric))


def _decided(ratio: Ratio, noise: float, when: str, figure: str, *, less_is_better: bool) -> Line:
    if not matters(ratio, noise):
        return _line(EITHER, f"{when}: no measurable difference", figure)
    return _line(DIRECT if (ratio.value < 1) is less_is_better else COLLECTOR, when, figure)


def _collector(report: Report) -> list[Line]:
    for one in report.get("cost", {}).get("variants", ()):
        if one.get("collector") and one["median"].get("collector_cpu"):
            figure = f"{one['collector']} takes {one['median']['collector_cpu'] * 1e6:.0f} us of CPU per request"
            if memory := one["median"].get("collector_memory"):
                figure += f" and {memory / 2**20:.0f} MiB"
            return [_line(DIRECT, "there is no room for one more process", f"{figure} ({one['title']})")]
    return []


def _freshness(report: Report) -> list[Line]:
    found = {one["key"]: one for one in report.get("freshness", {}).get("variants", ())}
    collector = next((one for key, one in found.items() if key.startswith("collector")), None)
    if "direct" not in found or collector is None:
        return []
    lines = []
    for signal, name in _ITEMS.items():
        ours, theirs = (one["signals"].get(signal) for one in (found["direct"], collector))
        if not ours or not theirs:
            continue
        figure = f"median until readable: direct {ours['median']:.1f} s, {collector['title']} {theirs['median']:.1f} s"
        when = f"{name} must be readable soon"
        if _differ(ours["ages"], theirs["ages"]):
            lines.append(_line(DIRECT if ours["median"] < theirs["median"] else COLLECTOR, when, figure))
        else:
            lines.append(_line(EITHER, f"{when}: no measurable difference", figure))
    return lines


def _differ(ours: list[float], theirs: list[float]) -> bool:
    """Return whether two samples of ages differ (Mann-Whitney, two-sided, 5 %)."""
    from scipy import stats

    return bool(stats.mannwhitneyu(ours, theirs).pvalue < _SIGNIFICANT)


_FAULTS: dict[str, str] = {
    "gone": "a backend may be down",
    "slow": "a backend may be slow",
    "refusing": "a backend may refuse",
    "killed": "a worker may be killed",
    "exporter-killed": "the exporter may be killed",
    "everything-killed": "everything may be killed at once",
    "deploy": "the service is deployed under load",
    "recycled": "workers are recycled",
    "stop": "the service is stopped under load",
    "stop-and-start": "the service is stopped under load and started again",
}


def _losses(report: Report) -> list[Line]:
    runs = [run for run in report.get("loss", {}).get("runs", []) if run["key"].startswith((DIRECT, COLLECTOR))]
    lines = []
    for fault, when in _FAULTS.items():
        of_fault = [run for run in runs if run["fault"] == fault]
        for signal, name in _ITEMS.items():
            direct = _lost(of_fault, signal, lambda key: key == "direct")
            collector = _lost(of_fault, signal, lambda key: key.startswith("collector"))
            # The loss with a batch depends on the moment of the fault: only set-ups that lost nothing are recommended.
            if direct and collector and not min(direct[0], collector[0]) and _rates_differ(direct, collector):
                through = next((run["collector"] for run in of_fault if run["collector"]), "the receiver itself")
                shares = [f"{lost} of {sent}" for lost, sent in (direct, collector)]
                figure = f"{name} lost: direct {shares[0]}, through {through} {shares[1]}"
                better = COLLECTOR if direct[0] else DIRECT
                lines.append(_line(better, f"{when} and its {name} must not be lost", figure))
    both = [fault for fault in _FAULTS if has_both_modes(run["key"] for run in runs if run["fault"] == fault)]
    if both and not any(line["choose"] == COLLECTOR for line in lines):
        figure = _total_lost(run for run in runs if run["fault"] in both)
        lines.append(_line(EITHER, "faults matter: a collector saved nothing here", figure))
    return lines


def has_both_modes(keys: Iterable[str]) -> bool:
    """Return whether set-ups of direct and of collector mode are among these keys."""
    found = tuple(keys)
    return all(any(key.startswith(mode) for key in found) for mode in (DIRECT, COLLECTOR))


def _lost(runs: Iterable[Report], signal: str, wanted: Callable[[str], bool]) -> tuple[int, int] | None:
    """Return the lost and the sent items of a signal over the wanted set-ups."""
    found = [a for run in runs if wanted(run["key"]) for a in run["accounts"] if a["signal"] == signal]
    sent = sum(account["sent"] for account in found)
    return (sum(account["lost"] for account in found), sent) if sent else None


def _rates_differ(ours: tuple[int, int], theirs: tuple[int, int]) -> bool:
    """Return whether two shares of lost items differ (Fisher's exact test; strict, since items are lost in batches)."""
    from scipy import stats

    table = [(lost, sent - lost) for lost, sent in (ours, theirs)]
    return bool(stats.fisher_exact(table).pvalue < _SIGNIFICANT_LOSS)


def _total_lost(runs: Iterable[Report]) -> str:
    found = [account for run in runs for account in run["accounts"] if not account["signal"].startswith("all")]
    return f"lost in all faults: {sum(a['lost'] for a in found)} of {sum(a['sent'] for a in found)} items"


def _line(choose: str, when: str, figure: str) -> Line:
    return {"choose": choose, "when": when, "figure": figure}
