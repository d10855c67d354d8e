"""The report as tables, and the part of it that the README shows."""

import sys
from pathlib import Path

from telemetry.tools.compare.report import words
from telemetry.tools.compare.report.summary import of_others
from telemetry.tools.compare.report.words import Report

BEGIN, END = "<!-- comparison -->", "<!-- /comparison -->"
_COLUMNS = ("cpu", "throughput", "p50", "p99", "memory")


def as_markdown(report: Report) -> str:
    """Return all tables with the facts that they depend on."""
    parts = [_warning(report), _cost(report), _conditions(report), _loss(report), _scrapes(report)]
    parts += ["\n".join(f"- {sentence}" for sentence in of_others(report)), _goals(report), _facts(report)]
    return _joined(parts)


def for_readme(report: Report) -> str:
    """Return the tables of cost and loss with the facts that they depend on."""
    return _joined([_warning(report), _cost(report), _loss(report), _facts(report)])


def _joined(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _warning(report: Report) -> str:
    warnings = []
    if not report["complete"]:
        warnings.append(f"**Partial: stopped during “{report['stopped_during']}”.**")
    if not report["ok"]:
        warnings.append(f"**Counts do not add up ({len(report['problems'])} problems): these figures are void.**")
    return " ".join(warnings)


def _cost(report: Report) -> str:
    variants = [one for one in report.get("cost", {}).get("variants", ()) if one["runs"]]
    if not variants:
        return ""
    names = [words.COLUMNS[name] for name in _COLUMNS]
    lines = [f"| Set-up | {' | '.join(names)} | off ÷ set-up, CPU | bytes per request |", "|-" * (len(names) + 3) + "|"]
    for one in variants:
        if one["key"] == "off":
            cells = [words.value(name, one["median"][name]) for name in _COLUMNS]
            lines.append(f"| {one['title']} (absolute) | {' | '.join(cells)} | 1 | 0 B |")
            continue
        cells = [words.ratio(one["ratio"].get(name)) for name in _COLUMNS]
        bytes_sent = words.value("sent_bytes", one["median"]["sent_bytes"])
        lines.append(
            f"| {one['title']} | {' | '.join(cells)} | {words.inverse(one['ratio'].get('cpu'))} | {bytes_sent} |"
        )
    return "\n".join(lines)


def _loss(report: Report) -> str:
    titles, rows = words.loss_table(report)
    if not rows:
        return ""
    lines = [
        "Lost of what was sent (spans / log records / counts):",
        "",
        f"| Fault | {' | '.join(titles)} |",
        "|-" * (len(titles) + 1) + "|",
    ]
    lines += [f"| {fault} | {' | '.join(cells)} |" for fault, cells in rows]
    return "\n".join(lines)


def _conditions(report: Report) -> str:
    columns = report.get("conditions", {}).get("columns", ())
    if not columns:
        return ""
    names = [name for column in columns for name in (f"{column['title']}, CPU", "p99")]
    lines = ["Under other conditions, each with its own off:", "", f"| Set-up | {' | '.join(names)} |"]
    lines += ["|-" * (len(names) + 1) + "|"]
    lines += [f"| {title} | {' | '.join(cells)} |" for title, cells in words.conditions(report)]
    return "\n".join(lines)


def _scrapes(report: Report) -> str:
    found = report.get("scrapes", {}).get("variants", ())
    if not found:
        return ""
    rows = [
        f"| {one['title']} | {len(one['scrapes'])} | {one['short']} | {one['went_back']} | "
        f"{100 * one['worst_missing']:.0f} % |"
        for one in found
    ]
    head = ["| Set-up | scrapes | too low | went back | missing at worst |", "|-|-|-|-|-|"]
    text = f"What scrapes count of the requests made before them, {found[0]['workers']} workers:"
    return "\n".join([text, "", *head, *rows])


def _goals(report: Report) -> str:
    """Return the goals with their own figures; losses are in the preceding table."""
    lines = [line for line in report.get("goals", ()) if line["unit"] != "items"]
    if not lines:
        return ""
    rows = [
        f"| {line['goal']} | {line['variant']} | {words.goal(line, 'value')} | {words.goal(line, 'least')} | "
        f"{words.goal(line, 'aim')} | {words.verdict(line)} |"
        for line in lines
    ]
    return "\n".join(["| Goal | Set-up | found | limit | aim | |", "|-" * 6 + "|", *rows])


def _facts(report: Report) -> str:
    setup = report["setup"]
    rounds = report.get("cost", {}).get("rounds", 0)
    return (
        f"Ratios to off with 95 % intervals from {rounds} paired rounds; ≈: no measurable difference from 1. "
        f"Latencies at {setup['rate']:g} requests/s, from the moment a request was due. "
        f"Collector: {words.collector(report)}. {words.machine(report)}; {words.placement(report)}. "
        f"Made by `{report['command']}`."
    )


def update(readme: Path, text: str) -> None:
    """Put `text` between the markers; raises ValueError if there are none."""
    before = readme.read_text(encoding="utf-8")
    start, end = before.find(BEGIN), before.find(END)
    if start < 0 or end < start:
        raise ValueError(f"{readme.name} lacks {BEGIN} and {END}")
    readme.write_text(before[: start + len(BEGIN)] + f"\n{text}" + before[end:], encoding="utf-8")


def main(root: Path) -> int:
    """Draw the published report again, and put its part into the README."""
    import json

    from telemetry.tools.compare.report import write

    folder = root / "docs" / "comparison"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    write(report, folder)
    try:
        update(root / "README.md", for_readme(report))
    except ValueError as error:
        print(f"report: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0
