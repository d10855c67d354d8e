"""The queries of the documents are valid, and ask for what is sent."""

import re
import subprocess
from pathlib import Path
from shutil import which

import pytest
import yaml

from tests.contract.reference import Reference, blocks
from tests.contract.snapshot import ON_EVERY_SERIES, from_text
from tests.contract.translation import label_name
from tests.support.prometheus import WITH_QUERIES

CONTRACT = Path(__file__).with_name("contract.yaml")
# What Loki makes of a record itself. https://grafana.com/docs/loki/latest/send-data/otel/
LOKI = {"service_name", "export_mode", "deployment_environment_name", "scope_name", "severity_text", "trace_id"}
FUNCTIONS = {"histogram_quantile"}


@pytest.fixture(params=WITH_QUERIES, ids=lambda path: path.name)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def document(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(from_text(CONTRACT.read_text(encoding="utf-8")))


@pytest.mark.parametrize("language", ["promql", "traceql", "logql"])
def test_queries_there(document: str, language: str) -> None:
    assert list(blocks(document, language))


def test_promql_is_valid(path: Path, document: str, tmp_path: Path) -> None:
    if which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    rules = [{"record": f"line:{number}", "expr": query} for number, _, query in blocks(document, "promql")]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": path.name, "rules": rules}]}))
    checked = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_promql_asks_for_what_is_sent(reference: Reference, path: Path, document: str) -> None:
    labels = {*ON_EVERY_SERIES, "le", *(label_name(key) for key in reference.attributes)}
    metrics = {f"{name}{end}" for name in reference.prometheus.values() for end in ("", "_bucket", "_sum", "_count")}
    for number, _, query in blocks(document, "promql"):
        grouped = [name for names in re.findall(r"\bby \(([^)]*)\)", query) for name in re.split(r", *", names)]
        unknown = {*grouped, *re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query)} - labels
        without_values = re.sub(r'"[^"]*"', "", query)
        unknown |= set(re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", without_values)) - labels - metrics - FUNCTIONS
        assert not unknown, f"{path.name}:{number}: {query} asks for {unknown}"


def test_promql_asks_for_the_requests_of_one_service(path: Path, document: str) -> None:
    """Alloy and Tempo have metrics of these names, too."""
    for number, _, query in blocks(document, "promql"):
        for metric in re.findall(r"\bhttp_server_\w+(?:\{[^}]*\})?", query):
            assert 'service_name="' in metric, f"{path.name}:{number}: {metric} has no service_name"


def test_traceql_asks_for_what_is_sent(reference: Reference, path: Path, document: str) -> None:
    for number, _, query in blocks(document, "traceql"):
        assert query.startswith("{"), f"{path.name}:{number}: {query}"
        unknown = set(re.findall(r"span\.([a-z_.]+)", query)) - reference.attributes
        unknown |= set(re.findall(r"resource\.([a-z_.]+)", query)) - reference.resource
        assert not unknown, f"{path.name}:{number}: {query} asks for {unknown}"


def test_logql_asks_for_what_is_sent(reference: Reference, path: Path, document: str) -> None:
    known = LOKI | {key.replace(".", "_") for key in reference.attributes}
    for number, _, query in blocks(document, "logql"):
        unknown = set(re.findall(r"([a-z_]+) *(?:=~|!=|>=|=|>)", query)) - known
        assert not unknown, f"{path.name}:{number}: {query} asks for {unknown}"
