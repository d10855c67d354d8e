"""docs/signals.md describes every signal that the contract has, and no other."""

import difflib
import os
from pathlib import Path

import pytest

from telemetry.exporting.metrics import views
from tests.contract.reference import Reference, blocks, headings, rows
from tests.contract.snapshot import from_text
from tests.support.prometheus import DOCUMENT

CONTRACT = Path(__file__).with_name("contract.yaml")
LANGUAGES = {"Metrics": "promql", "Spans": "traceql", "Logs": "logql"}


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


def test_reference_names_every_metric(document: str) -> None:
    """Those that the round of the contract does not make, too."""
    chapter = document.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    names = views._ATTRIBUTES.keys() - views._OF_INSTRUMENTATIONS.keys()
    missing = sorted(name for name in names if f"`{name}`" not in chapter)
    assert not missing, f"docs/signals.md: not in Metrics: {missing}"


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


def test_reference_logql_asks_for_its_logger(document: str) -> None:
    for number, heading, query in blocks(document, "logql"):
        assert f'scope_name="{heading}"' in query, f"docs/signals.md:{number}: {query}"
