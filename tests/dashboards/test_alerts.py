"""Each alert fires and stays quiet when it should, says what is wrong, and has a runbook."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dashboards.queries import RULES, alerts, rules
from tests.dashboards.test_queries import promtool
from tests.support.service import ROOT

TESTS = sorted((Path(__file__).parent / "alerts").glob("*.yml"))
RUNBOOKS = ROOT / "docs" / "alerts.md"


def test_rules_are_accepted() -> None:
    promtool("check", "rules", *sorted(RULES.glob("*.yml")))


@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_and_stay_quiet(file: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", file)


def test_each_alert_is_tested_for_both() -> None:
    expected: dict[bool, set[str]] = defaultdict(set)
    for file in TESTS:
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for check in test["alert_rule_test"]:
                expected[bool(check["exp_alerts"])].add(check["alertname"])
    assert expected[True] == set(alerts()), "tested for firing"
    assert expected[False] == set(alerts()), "tested for staying quiet"


@pytest.mark.parametrize("name", list(alerts()))
def test_alert_says_what_is_wrong(name: str) -> None:
    rule: dict[str, Any] = alerts()[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert "$labels" in annotations["summary"]
    assert "$value" in annotations["description"] or name in {"TargetDown", "NoTraffic"}, "the description has no value"
    assert annotations["runbook_url"] == f"docs/alerts.md#{name.lower()}"


def test_each_alert_has_its_runbook() -> None:
    text = RUNBOOKS.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE))
    assert set(sections) == set(alerts())
    for name, section in sections.items():
        for part in ("**Means**", "**Look**", "**Do**"):
            assert part in section, f"docs/alerts.md: {name} lacks: {part}"
        assert f"({alerts()[name]['labels']['severity']})" in section.splitlines()[1], f"docs/alerts.md: {name}"


def test_recorded_names_are_used() -> None:
    recorded = {rule["record"] for _, rule in rules() if "record" in rule}
    source = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "deploy" / "grafana").rglob("*.json"))
    used = source + " ".join(rule["expr"] for _, rule in rules())
    assert not {name for name in recorded if name not in used}
