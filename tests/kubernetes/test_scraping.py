"""The Prometheus Operator scrapes each pod of the service and each Alloy, as docs/signals.md says."""

import pytest
from django.urls import resolve

from tests.kubernetes import workloads as of
from tests.kubernetes.rendering import FOLDER, environment_file, load, overlay
from tests.support.prometheus import scrape_configuration


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
