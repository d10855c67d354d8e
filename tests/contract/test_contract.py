"""A request leaves the same spans, metrics and log records in both modes, and those of the committed file."""

import difflib
import os
from pathlib import Path
from typing import Any

import pytest

from tests.contract.differences import merge, unexplained, unused_reasons
from tests.contract.round import MODES, STEPS, Round
from tests.contract.snapshot import ON_EVERY_SERIES, metrics, snapshot, to_text
from tests.contract.translation import label_name

FILE = Path(__file__).with_name("contract.yaml")
HEADER = """\
# What the service exports of one scripted round of requests (tests/contract/round.py), in both modes. Where a mode
# differs, it says so, and why. Written by `make snapshots`: read the difference before you commit it.
"""


@pytest.fixture
def merged(rounds: dict[str, Round]) -> dict[str, Any]:
    both = merge(*(snapshot(rounds[mode]) for mode in MODES))
    return {**both, "metrics": metrics(rounds["collector"])}


def test_contract_is_the_same_in_both_modes(merged: dict[str, Any]) -> None:
    assert not unexplained(merged), f"the modes differ without a reason:\n{_excerpts(merged)}"


def test_contract_has_no_reason_too_many(merged: dict[str, Any]) -> None:
    assert not unused_reasons(merged), "these reasons in tests/contract/differences.py explain nothing any more"


def test_contract_is_the_one_that_was_reviewed(merged: dict[str, Any]) -> None:
    text = HEADER + to_text(merged)
    if os.environ.get("USERAPI_RENEW_SNAPSHOTS"):
        FILE.write_text(text, encoding="utf-8")
    before = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    if text != before:
        changes = difflib.unified_diff(before.splitlines(), text.splitlines(), FILE.name, "this run", lineterm="", n=6)
        pytest.fail("the contract has changed; if it should, run `make snapshots`\n" + "\n".join(changes))


def test_counts_are_the_same_in_both_modes(rounds: dict[str, Round]) -> None:
    requests = {
        frozenset((label_name(key), str(value)) for key, value in series.attributes.items()): point.data["count"]
        for series, point in rounds["collector"].otlp
        if series.instrument.name == "http.server.request.duration"
    }
    scraped = {
        frozenset((key, value) for key, value in sample.labels.items() if key not in ON_EVERY_SERIES): sample.value
        for family in rounds["direct"].scraped
        for sample in family.samples
        if sample.name == "http_server_request_duration_seconds_count"
    }
    assert requests == scraped
    assert sum(requests.values()) > len(STEPS) / 2


def _excerpts(merged: Any) -> str:
    lines = []
    for place in unexplained(merged):
        node = merged
        for part in place.split(" / "):
            node = node[int(part)] if isinstance(node, list) else node[part]
        lines.append(f"{place}\n{to_text(node)}")
    return "\n".join(lines)
