"""One table of the reports of several machines."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from telemetry.tools.compare.figures.merge import MergeError, as_table, read
from tests.support.service import ROOT

PUBLISHED = ROOT / "docs" / "comparison"


@pytest.fixture
def report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PUBLISHED / "report.json").read_text())
    return found


def test_every_set_up_has_a_row_for_each_machine(report: dict[str, Any], tmp_path: Path) -> None:
    other = copy.deepcopy(report)
    other |= {"ok": False, "made": "another day"}
    other["cost"]["variants"] = [one for one in other["cost"]["variants"] if one["key"] != "direct"]
    path = tmp_path / "other.json"
    path.write_text(json.dumps(other))
    lines = as_table(read([PUBLISHED, path])).splitlines()
    rows = [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in lines[2:] if line.startswith("|")]
    machines: dict[str, list[str]] = {}
    for title, machine, *_ in rows:
        machines.setdefault(title, []).append(machine)
    assert machines["off"] == machines["collector, gRPC"] == ["1", "2"]
    assert machines["direct"] == ["1"]
    assert {row[1]: row[-1] for row in rows} == {"1": "add up", "2": "VOID"}
    assert lines[-1].startswith("2. ")
    assert "another day" in lines[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"schema": 1}', "has schema 1; expected 2, 3"), ("[]", "is no report"), ("{", "is no report")],
)
def test_what_is_no_report_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(MergeError, match=message):
        read([tmp_path])


def test_missing_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(MergeError, match=r"none\.json is no report"):
        read([tmp_path / "none.json"])
