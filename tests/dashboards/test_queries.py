"""Each query is one that Prometheus understands, and names only what there is."""

import os
import re
import subprocess
from pathlib import Path
from shutil import which

import pytest
import yaml

from tests.contract.translation import label_name
from tests.dashboards.names import known, used
from tests.dashboards.queries import Found, components, contract, of

# Values as Grafana puts them in: all, several, and one with characters that are special in regular expressions.
CHOICES = {
    "all": {"service": "user-api", "mode": ".*", "environment": ".*", "route": ".*"},
    "some": {
        "service": "user-api",
        "mode": "(collector|direct)",
        "environment": "demo",
        "route": "/users/\\\\{id\\\\}",
    },
}
# What Tempo and Loki know of every span and line beside the attributes.
_OF_SPANS = {"duration", "kind", "name", "status"}
_OF_LINES = {"scope_name", "severity_text", "trace_id", "detected_level"}


def promtool(*arguments: str | Path) -> str:
    """Return what promtool says; fails with that where it exits with an error."""
    if which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    environment = {**os.environ, "GOGC": "400"}  # promtool collects garbage less often: that is a fifth of its work
    done = subprocess.run(["promtool", *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("choice", CHOICES)
def test_queries_are_promql(tmp_path: Path, choice: str) -> None:
    found = of("prometheus")
    recorded = [
        {"record": f"query:{number}", "expr": query.substituted(CHOICES[choice])} for number, query in enumerate(found)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}, width=10_000))
    assert f"{len(found)} rules found" in promtool("check", "rules", file)


@pytest.mark.parametrize(("signal", "title"), [("span", "spans"), ("log", "log records")])
def test_losses_are_shown_even_if_all_is_lost(tmp_path: Path, signal: str, title: str) -> None:
    [query] = [query for query in of("prometheus") if query.where == f"How many {title} does the service lose?"]
    series = {
        'telemetry_worker_count{service_name="user-api", export_mode="collector"}': "2x20",
        'telemetry_worker_count{service_name="user-api", export_mode="direct"}': "2x20",
        f'otel_sdk_processor_{signal}_processed_total{{service_name="user-api", export_mode="direct", '
        'error_type="queue_full", otel_component_type="processor"}': "0+60x20",
        f'otel_sdk_exporter_{signal}_exported_total{{service_name="user-api", export_mode="direct", '
        'error_type="refused", otel_component_type="exporter"}': "0+30x20",
    }
    samples = [
        {"labels": f'{{export_mode="{mode}"}}', "value": value} for mode, value in (("direct", 6), ("collector", 0))
    ]
    expr = f"round({query.substituted()}, 0.001)"
    shown = {"expr": expr, "eval_time": "4m", "exp_samples": samples}
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    file = tmp_path / "test.yml"
    file.write_text(
        yaml.safe_dump({"tests": [{"interval": "15s", "input_series": inputs, "promql_expr_test": [shown]}]})
    )
    promtool("test", "rules", file)


def test_queries_name_only_what_there_is() -> None:
    wrong = [problem for query in of("prometheus") for problem in problems(query)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "rate(http_server_request_duration_milliseconds_count[5m])",
            "http_server_request_duration_milliseconds_count",
        ),
        ('sum(up{pod="x"})', "pod"),
        ("sum by (handler) (rate(users_created_total[5m]))", "handler"),
        ("process_memory_usage_bytes{export_mode!='direct'} / on (host) up", ""),
    ],
)
def test_queries_with_unknown_names_are_found(text: str, problem: str) -> None:
    found = problems(Found("a file", "a panel", "prometheus", text))
    assert [problem in line for line in found] == [True] * len(found)
    assert bool(found) == bool(problem)


def problems(query: Found) -> list[str]:
    """Return what the query names that is not there."""
    there = known()
    found = []
    for metric, labels in used(query.substituted()):
        if metric not in there:
            found.append(f"{query.file}: {query.where}: there is no metric {metric}")
        elif unknown := labels - there[metric] - {"__name__"}:
            found.append(f"{query.file}: {query.where}: {metric} has no label {', '.join(sorted(unknown))}")
    return found


def test_listed_metrics_of_components_are_used() -> None:
    """What nothing uses needs no review."""
    everything = {metric for query in of("prometheus") for metric, _ in used(query.substituted())}
    listed = {metric for metrics in components().values() for metric in metrics}
    assert not listed - everything


def test_series_are_never_chosen_by_job_or_instance() -> None:
    """They differ between the modes (docs/signals.md)."""
    for query in of("prometheus"):
        assert not re.search(r"[{,]\s*(job|instance)\s*(=|!)", query.text), query


def test_logql_names_only_what_there_is() -> None:
    records = [record for request in contract()["requests"].values() for record in request["logs"]]
    records += contract()["logs outside of any trace"]
    labels = {label_name(key) for record in records for key in record["attributes"]}
    labels |= {label_name(key) for key in contract()["resource"]} | _OF_LINES
    scopes = {record["logger"] for record in records}
    for query in of("loki"):
        text = query.substituted()
        selector = re.match(r"[^{]*\{([^}]*)\}", text)
        assert selector, f"{query}: no selector of streams"
        assert set(re.findall(r"(\w+)\s*=", selector[1])) <= _indexed(), query
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|>=|<=|=|>|<)", text)) <= labels, query
        assert set(re.findall(r"(?:unwrap |by \()(\w+)", text)) <= labels, query
        named = {name for value in re.findall(r'scope_name=~?"([^"]*)"', text) for name in value.split("|")}
        assert named <= scopes, query


def _indexed() -> set[str]:
    """The labels of Loki's streams: what prometheus has as labels of every series."""
    return {"service_name", "export_mode", "deployment_environment_name"}


def test_traceql_names_only_what_there_is() -> None:
    spans = [span for request in contract()["requests"].values() for span in _spans(request["spans"])]
    attributes = {f"span.{key}" for span in spans for key in span["attributes"]}
    attributes |= {f"resource.{key}" for key in contract()["resource"]}
    for query in of("tempo"):
        text = re.sub(r'`[^`]*`|"[^"]*"', "``", query.substituted())
        assert set(re.findall(r"(?:span|resource)\.[\w.]+\w", text)) <= attributes, query
        bare = set(re.findall(r"(?:[{(]|&&|\|\|)\s*([a-z]+)\s*(?:=|!|>|<)", text))
        assert bare <= _OF_SPANS, query
        assert text.count("{") == text.count("}") > 0, query


def _spans(tree: list[dict[str, object]]) -> list[dict[str, dict[str, object]]]:
    flat: list[dict[str, dict[str, object]]] = []
    for span in tree:
        flat.append(span)  # type: ignore[arg-type]
        flat += _spans(span.get("children", []))  # type: ignore[arg-type]
    return flat
