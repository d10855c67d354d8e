"""The Prometheus Operator scrapes each pod of the service and each Alloy, as docs/signals.md says."""

import re

import pytest
import yaml
from django.urls import resolve

from tests.dashboards.queries import all_queries
from tests.kubernetes import workloads as of
from tests.kubernetes.rendering import FOLDER, Document, environment_file, load, overlay
from tests.support.prometheus import scrape_configuration
from tests.support.service import ROOT


def test_service_monitor_relabels_as_documented() -> None:
    """docs/signals.md is what the tests with a real Prometheus use."""
    (job,) = scrape_configuration()["scrape_configs"]
    (endpoint,) = of.named(overlay("direct"), "ServiceMonitor", "user-api")["spec"]["endpoints"]
    in_prometheus = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    ours = [{in_prometheus.get(key, key): value for key, value in one.items()} for one in endpoint["metricRelabelings"]]
    assert ours == job["metric_relabel_configs"]
    assert endpoint["interval"] == job["scrape_interval"]


def test_service_monitor_finds_the_service() -> None:
    monitor = of.named(overlay("direct"), "ServiceMonitor", "user-api")
    (service,) = [
        one
        for one in of.of_kind(overlay("direct"), "Service")
        if of.selects(monitor["spec"]["selector"], one["metadata"]["labels"])
    ]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert resolve(endpoint["path"]).url_name == "metrics"
    assert monitor["spec"]["jobLabel"] in service["metadata"]["labels"]
    credentials = endpoint["authorization"]["credentials"]
    assert credentials["key"] in environment_file(FOLDER / "base" / "secret.example.env")
    container = of.pod(of.named(overlay("direct"), "Deployment", "user-api"))["containers"][0]
    assert {"secretRef": {"name": credentials["name"]}} in container["envFrom"]


@pytest.mark.parametrize("name", ["collector", "collector-scaled"])
def test_pod_monitor_finds_every_alloy(name: str) -> None:
    (monitor,) = load(FOLDER / "alloy" / "podmonitor.yaml")
    alloys = [
        one for one in of.workloads(overlay(name)) if of.pod(one)["containers"][0]["image"].startswith("grafana/alloy:")
    ]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for workload in alloys:
        assert of.selects(monitor["spec"]["selector"], of.labels(workload))
        assert endpoint["port"] in of.port_names(workload)
        assert component(endpoint, of.labels(workload)) == workload["metadata"]["name"]


def component(endpoint: Document, labels: dict[str, str]) -> str:
    """Return the label `component` of the targets that a monitor makes of the pods with these labels."""
    known = {"__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", name): value for name, value in labels.items()}
    found = ""
    for rule in endpoint["relabelings"]:
        assert rule["targetLabel"] == "component"
        source = ";".join(known.get(name, "") for name in rule.get("sourceLabels", ()))
        if re.fullmatch(rule.get("regex", ".*"), source):
            found = rule["replacement"]
    return found


def test_components_are_the_documented_ones() -> None:
    """What rules, dashboards and the audit choose by `component`, the stack's Prometheus and docs/scaling.md agree."""
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"by the label `component`: ([^.]+)\.", text)
    documented = set(re.findall(r"`([a-z-]+)`", sentence))
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (pipeline,) = (job for job in prometheus["scrape_configs"] if job["job_name"] == "pipeline")
    scraped = {entry["labels"]["component"] for entry in pipeline["static_configs"]}
    scraped |= {entry["names"][0] for entry in pipeline["dns_sd_configs"]}
    assert documented == scraped
    asked = [query.text for query in all_queries()]
    asked += [path.read_text(encoding="utf-8") for path in (ROOT / "telemetry" / "tools" / "audit").glob("*.py")]
    matchers = re.findall(r'\bcomponent=~?"([^"]+)"', "\n".join(asked))
    names = {name for matcher in matchers for name in matcher.split("|")}
    assert {"alloy", "tempo", "loki"} <= names <= documented
    # A target without it counts as a service in direct mode.
    (endpoint,) = of.named(overlay("direct"), "ServiceMonitor", "user-api")["spec"]["endpoints"]
    assert "relabelings" not in endpoint
