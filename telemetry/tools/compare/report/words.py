"""Figures in words, the same in the table and on the page."""

from collections.abc import Mapping
from typing import Any

Report = Mapping[str, Any]

COLUMNS = {
    "cpu": "CPU per request",
    "throughput": "requests/s",
    "p50": "p50",
    "p95": "p95",
    "p99": "p99",
    "memory": "memory per worker",
    "start": "start-up",
}
"""Ratios to `off`, by metric."""

_LEAST, _MOST = 0.01, 100

_UNITS: dict[str, tuple[float, str]] = {
    "cpu": (1e6, "{:,.0f} µs"),
    **dict.fromkeys(("collector_cpu", "exporter_cpu", "total_cpu"), (1e6, "{:,.0f} µs")),
    **dict.fromkeys(("p50", "p95", "p99"), (1e3, "{:,.1f} ms")),
    **dict.fromkeys(("memory", "exporter_memory", "collector_memory", "total_memory"), (2**-20, "{:,.0f} MiB")),
    **dict.fromkeys(("start", "stop"), (1, "{:.2f} s")),
    **dict.fromkeys(("sent_bytes", "total_bytes"), (1, "{:,.0f} B")),
}


def ratio(given: Mapping[str, Any] | None) -> str:
    """Return a ratio with its interval; `≈` marks one that does not differ measurably from 1."""
    if not given:
        return "-"
    if given["low"] is None:
        return f"{given['value']:.2f}"
    mark = "" if given.get("matters", given["significant"]) else "≈ "
    return f"{mark}{given['value']:.2f} {_interval(given['low'], given['high'])}"


def inverse(given: Mapping[str, Any] | None) -> str:
    """Return the inverse ratio: off / set-up."""
    if not given:
        return "-"
    if given["low"] is None:
        return f"{1 / given['value']:.2f}"
    return f"{1 / given['value']:.2f} {_interval(1 / given['high'], 1 / given['low'])}"


def _interval(low: float, high: float) -> str:
    """Return both ends; with too few rounds on a busy machine they are meaningless."""
    ends = ["<0.01" if low < _LEAST else f"{low:.2f}", ">100" if high > _MOST else f"{high:.2f}"]
    return f"[{'-'.join(ends)}]"


def value(metric: str, number: float | None) -> str:
    """Return a median with its unit."""
    if number is None:
        return "-"
    factor, form = _UNITS.get(metric, (1, "{:,.0f}"))
    return form.format(number * factor)


def goal(line: Mapping[str, Any], name: str) -> str:
    """Return one of a goal's figures with its unit: its `value`, `least` (the limit) or `aim`, if any."""
    if name == "aim" and line["aim"] == line["least"]:
        return "-"
    digits = {"items": 0, "MiB": 1}.get(line["unit"], 2)
    return f"{line[name]:.{digits}f} {line['unit']}".strip()


def verdict(line: Mapping[str, Any]) -> str:
    """Return whether a goal was reached, and whether its interval leaves that open."""
    return f"{'met' if line['met'] else 'missed'}{'' if line['certain'] else ', within the noise'}"


def machine(report: Report) -> str:
    """Return one sentence about the machine."""
    given, setup = report["machine"], report["setup"]
    packages = given["packages"]
    load = ", ".join(f"{one:g}" for one in given["load_average"])
    return (
        f"{given['usable_cores']} cores ({given['cpu']}), {given['kernel']}, {given['python']}, Django "
        f"{packages.get('django', '?')}, OpenTelemetry {packages.get('opentelemetry-sdk', '?')}, gunicorn "
        f"{packages.get('gunicorn', '?')}, {setup['database']}, {setup['workers']} workers; load average before: {load}"
    )


def placement(report: Report) -> str:
    """Return how the cores were divided."""
    setup = report["setup"]
    if setup["service_cores"]:
        return f"the service on {setup['service_cores']} core(s), everything else on the other {setup['other_cores']}"
    return "the service and everything else on the same cores"


def collector(report: Report) -> str:
    """Return the collector used in collector mode."""
    name = report["setup"]["collector"]
    return "none: the service sent to the receiver itself" if name in ("", "none") else str(name)


def loss(run: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return for each request signal of one run: signal, lost of sent, and the reasons counted."""
    return [
        (
            account["signal"],
            f"{account['lost']} of {account['sent']}" if account["lost"] else "0",
            ", ".join(f"{reason} {count}" for reason, count in account["reasons"].items()),
        )
        for account in run["accounts"]
        if not account["signal"].startswith("all ")
    ]


def loss_table(report: Report) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return the set-ups, and for each fault what each of them lost of its requests: spans / log records / counts."""
    runs = report.get("loss", {}).get("runs", ())
    titles = list(dict.fromkeys(run["variant"] for run in runs))
    rows = []
    for fault in dict.fromkeys(run["title"] for run in runs):
        found = {run["variant"]: run for run in runs if run["title"] == fault}
        rows.append((fault, [_shares(found.get(title)) for title in titles]))
    return titles, rows


def _shares(run: Report | None) -> str:
    if run is None:
        return "-"
    accounts = {one["signal"]: one["lost"] for one in run["accounts"] if not one["signal"].startswith("all ")}
    if not any(accounts.values()):
        return "0"
    lost = [str(accounts.get(signal, "-")) for signal in ("spans", "log records", "counter")]
    return f"{' / '.join(lost)} of {run['requests']}"


def conditions(report: Report) -> list[tuple[str, list[str]]]:
    """Return each set-up with the ratios of CPU per request and p99 to off, under each condition."""
    columns = report["conditions"]["columns"]
    titles = dict.fromkeys(one["title"] for column in columns for one in column["variants"] if one["ratio"])
    rows = []
    for title in titles:
        cells = []
        for column in columns:
            found: dict[str, Any] = next((one["ratio"] for one in column["variants"] if one["title"] == title), {})
            cells += [ratio(found.get("cpu")), ratio(found.get("p99"))]
        rows.append((title, cells))
    return rows
