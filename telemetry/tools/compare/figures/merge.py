"""One table of several machines' reports."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from telemetry.tools.compare.report import words
from telemetry.tools.compare.session import READABLE
from telemetry.tools.compare.setups.route import OFF

_COLUMNS = ("cpu", "throughput", "p50", "p99", "memory")


class MergeError(Exception):
    """A report that cannot be merged; one line."""


def read(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the reports of files, or of folders that have a report.json. Raises MergeError."""
    return [_read(path / "report.json" if path.is_dir() else path) for path in paths]


def _read(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        schema = report["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MergeError(f"{path} is no report of a comparison: {error}") from None
    if schema not in READABLE:
        raise MergeError(f"{path} has schema {schema!r}; expected {', '.join(map(str, READABLE))}")
    return report


def as_table(reports: Sequence[Mapping[str, Any]]) -> str:
    """Return Markdown: a row for each set-up on each machine, and the machines below it.

    Ratios are to off on the same machine; only these may be compared across rows of different machines.
    """
    names = [words.COLUMNS[name] for name in _COLUMNS]
    lines = [f"| Set-up | Machine | {' | '.join(names)} | counts |", "|-" * (len(names) + 3) + "|"]
    variants = dict.fromkeys(
        (one["key"], one["title"]) for report in reports for one in report.get("cost", {}).get("variants", ())
    )
    for key, title in variants:
        for number, report in enumerate(reports, 1):
            one = next((one for one in report.get("cost", {}).get("variants", ()) if one["key"] == key), None)
            if one is not None and one["runs"]:
                cells = [_cell(one, key, name) for name in _COLUMNS]
                lines.append(f"| {title} | {number} | {' | '.join(cells)} | {'add up' if report['ok'] else 'VOID'} |")
    facts = [
        f"{number}. {words.machine(report)}; {words.placement(report)}. Made {report['made']} by `{report['command']}`."
        for number, report in enumerate(reports, 1)
    ]
    return "\n".join([*lines, "", *facts]) + "\n"


def _cell(one: Mapping[str, Any], key: str, name: str) -> str:
    return words.value(name, one["median"][name]) if key == OFF.key else words.ratio(one["ratio"].get(name))
