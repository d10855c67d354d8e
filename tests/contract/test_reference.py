"""docs/signals.md tells of every signal that the contract has, of no other, and its queries are valid."""

import difflib
import os
import re
import subprocess
from pathlib import Path
from shutil import which

import pytest
import yaml

from tests.contract.reference import Reference, blocks, headings, rows
from tests.contract.snapshot import ON_EVERY_SERIES, from_text
from tests.contract.translation import label_name
from tests.support.prometheus import DOCUMENT

CONTRACT = Path(__file__).with_name("contract.yaml")
LANGUAGES = {"Metrics": "promql", "Spans": "traceql", "Logs": "logql"}
# What Loki makes of a record itself. https://grafana.com/docs/loki/latest/send-data/otel/
LOKI = {"service_name", "export_mode", "deployment_environment_name", "scope_name", "severity_text", "trace_id"}


@pytest.fixture
def reference() -> Reference:
    return Reference(from_text(CONTRACT.read_text(encoding="utf-8")))


@pytest.fixture
def document() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


def test_reference_tables_are_current(reference: Reference, document: str) -> None:
    """`make snapshots` renews them, once the contract is renewed."""
    renewed = reference.renewed(document)
    if os.environ.get("USERAPI_RENEW_SNAPSHOTS"):
        DOCUMENT.write_text(renewed, encoding="utf-8")
        return
    changes = difflib.unified_diff(
        document.splitlines(), renewed.splitlines(), "docs/signals.md", "must be", lineterm=""
    )
    assert renewed == document, "\n".join(changes)


@pytest.mark.parametrize("chapter", LANGUAGES)
def test_reference_has_a_section_for_each_name(reference: Reference, document: str, chapter: str) -> None:
    there = {name: number for number, of, name in headings(document) if of == chapter}
    wanted = reference.chapters[chapter]
    complaints = [
        f"docs/signals.md:{there[name]}: `{name}` is not sent any more" for name in there if name not in wanted
    ]
    complaints += [f"docs/signals.md: no section ### `{name}` in {chapter}" for name in wanted if name not in there]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("chapter", ["Attributes", "Resource"])
def test_reference_has_a_row_for_each_attribute(reference: Reference, document: str, chapter: str) -> None:
    there = rows(document, chapter)
    wanted = reference.attributes if chapter == "Attributes" else reference.resource
    complaints = [f"docs/signals.md:{there[key]}: `{key}` is not sent any more" for key in there if key not in wanted]
    complaints += [f"docs/signals.md: no row for `{key}` in {chapter}" for key in sorted(wanted - set(there))]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("chapter", LANGUAGES)
def test_reference_has_a_query_for_each_name(reference: Reference, document: str, chapter: str) -> None:
    asked = {heading: query for _, heading, query in blocks(document, LANGUAGES[chapter])}
    missing = [name for number, of, name in headings(document) if of == chapter and name not in asked]
    assert not missing, f"docs/signals.md: no block of {LANGUAGES[chapter]} below {missing}"
    if chapter == "Metrics":
        other = [name for name in asked if reference.prometheus.get(name, "") not in asked[name]]
        assert not other, f"docs/signals.md: the query does not ask for the metric of its heading: {other}"


def test_reference_promql_is_valid(document: str, tmp_path: Path) -> None:
    if which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    rules = [{"record": f"line:{number}", "expr": query} for number, _, query in blocks(document, "promql")]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "docs/signals.md", "rules": rules}]}))
    checked = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_reference_promql_asks_for_what_is_sent(reference: Reference, document: str) -> None:
    known = {*ON_EVERY_SERIES, "le", *(label_name(key) for key in reference.attributes)}
    for number, _, query in blocks(document, "promql"):
        grouped = [name for names in re.findall(r"\bby \(([^)]*)\)", query) for name in re.split(r", *", names)]
        unknown = {*grouped, *re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query)} - known
        assert not unknown, f"docs/signals.md:{number}: {query} asks for {unknown}"


def test_reference_traceql_asks_for_what_is_sent(reference: Reference, document: str) -> None:
    for number, _, query in blocks(document, "traceql"):
        assert query.startswith("{"), f"docs/signals.md:{number}: {query}"
        unknown = set(re.findall(r"span\.([a-z_.]+)", query)) - reference.attributes
        unknown |= set(re.findall(r"resource\.([a-z_.]+)", query)) - reference.resource
        assert not unknown, f"docs/signals.md:{number}: {query} asks for {unknown}"


def test_reference_logql_asks_for_what_is_sent(reference: Reference, document: str) -> None:
    known = LOKI | {key.replace(".", "_") for key in reference.attributes}
    for number, heading, query in blocks(document, "logql"):
        assert f'scope_name="{heading}"' in query, f"docs/signals.md:{number}: {query}"
        unknown = set(re.findall(r"([a-z_]+) *(?:=~|!=|>=|=|>)", query)) - known
        assert not unknown, f"docs/signals.md:{number}: {query} asks for {unknown}"
