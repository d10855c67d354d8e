"""Metrics carry the attributes that are listed for them, and no others, in both modes."""

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client.parser import text_string_to_metric_families as parse_text

from telemetry.config import TelemetryConfig
from telemetry.exposition import Exposition
from telemetry.providers import build_meter_provider
from telemetry.shared_metrics import SharedMemoryMetricReader
from telemetry.shared_state import WorkerState
from tests.support.service import ROOT
from userapi.users.metrics import ATTRIBUTES

CONTRACT: dict[str, Any] = yaml.safe_load((ROOT / "tests/contract/contract.yaml").read_text())["metrics"]
LEAK = {"user.email": "alice@example.com", "odd": 1}


def contract_attributes(name: str) -> list[dict[str, str]]:
    """The attributes of each series that a metric has in the contract."""
    return [
        dict(pair.split("=", 1) for pair in series.split(" ") if "=" in pair) for series in CONTRACT[name]["series"]
    ]


def record(provider: MeterProvider, name: str, attributes: dict[str, Any]) -> None:
    meter = provider.get_meter("test")
    match CONTRACT.get(name, {"type": "counter"})["type"]:
        case "counter":
            meter.create_counter(name).add(1, attributes)
        case "up-down-counter":
            meter.create_up_down_counter(name).add(1, attributes)
        case "histogram":
            meter.create_histogram(name).record(1, attributes)
        case "gauge":
            meter.create_gauge(name).set(1, attributes)
        case other:
            raise AssertionError(other)


def pushed(name: str, attributes: dict[str, Any]) -> set[str]:
    """The keys that leave by OTLP when the metric is recorded with these attributes."""
    reader = InMemoryMetricReader()
    provider = build_meter_provider(TelemetryConfig.from_env(), Resource({}), reader, ATTRIBUTES)
    record(provider, name, attributes)
    data = reader.get_metrics_data()
    assert data
    points = [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]
    provider.shutdown()
    [point] = points
    return set(point.attributes or {})


def scraped(name: str, attributes: dict[str, Any], folder: Path) -> set[str]:
    """The labels that `/metrics` shows when the metric is recorded with these attributes."""
    reader = SharedMemoryMetricReader(WorkerState(folder, 0))
    provider = build_meter_provider(TelemetryConfig.from_env(), Resource({}), reader, ATTRIBUTES, reader.histogram)
    record(provider, name, attributes)
    text = Exposition(folder, {}, reader.refresh).render("text/plain")[0].decode()
    provider.shutdown()
    labels = {
        label
        for family in parse_text(text)
        if family.name != "target" and family.name.startswith(name.replace(".", "_"))
        for sample in family.samples
        for label in sample.labels
    }
    return labels - {"le"}


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_metric_carries_the_attributes_of_the_contract_and_no_others(name: str, tmp_path: Path) -> None:
    for attributes in contract_attributes(name):
        assert pushed(name, {**attributes, **LEAK}) == set(attributes)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        assert scraped(name, {**attributes, **LEAK}, folder) == {key.replace(".", "_") for key in attributes}


def test_metric_that_is_not_listed_is_counted_without_attributes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert pushed("shop.orders", LEAK) == set()
    assert "metric shop.orders is not listed: it is counted without attributes" in caplog.text
