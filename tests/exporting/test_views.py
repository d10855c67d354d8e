"""Metrics carry the attributes that are listed for them, and no others, and have the contract's kinds and units."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families as parse_text

from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.otlp_metrics import collect
from telemetry.exporting.metrics.views import Views
from telemetry.exposition import Exposition
from tests.exporting.sdk import instrument
from userapi.settings import TELEMETRY

ATTRIBUTES: dict[str, Any] = TELEMETRY["METRIC_ATTRIBUTES"]  # type: ignore[assignment]
ROOT = Path(__file__).parents[2]
CONTRACT: dict[str, Any] = yaml.load((ROOT / "tests/contract/contract.yaml").read_text(), yaml.CSafeLoader)["metrics"]
LEAK = {"user.email": "alice@example.com", "odd": 1}
KINDS = {"counter": "counter", "up-down-counter": "updowncounter", "histogram": "histogram", "gauge": "gauge"}


def contract_attributes(name: str) -> list[dict[str, str]]:
    """The attributes of each series that a metric has in the contract."""
    return [
        dict(pair.split("=", 1) for pair in series.split(" ") if "=" in pair) for series in CONTRACT[name]["series"]
    ]


def recorded(name: str, attributes: dict[str, Any]) -> Aggregation:
    aggregation = Aggregation(Views(ATTRIBUTES))
    kind = KINDS[CONTRACT.get(name, {"type": "counter"})["type"]]
    aggregation.record(instrument(kind, name), 1, attributes)
    return aggregation


def pushed(name: str, attributes: dict[str, Any]) -> set[str]:
    """The keys that leave by OTLP when the metric is recorded with these attributes."""
    data, points = collect(recorded(name, attributes), {})
    assert points == 1
    [metric] = data.resource_metrics[0].scope_metrics[0].metrics
    assert metric.name == name
    return set(metric.data.data_points[0].attributes or {})


def scraped(name: str, attributes: dict[str, Any]) -> set[str]:
    """The labels that `/metrics` shows when the metric is recorded with these attributes."""
    text = Exposition(recorded(name, attributes), {}).render("text/plain")[0].decode()
    families = [family for family in parse_text(text) if family.name.startswith(name.replace(".", "_"))]
    assert families
    return {label for family in families for sample in family.samples for label in sample.labels} - {"le"}


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_metric_carries_the_attributes_of_the_contract_and_no_others(name: str) -> None:
    for attributes in contract_attributes(name):
        assert pushed(name, {**attributes, **LEAK}) == set(attributes)
        assert scraped(name, {**attributes, **LEAK}) == {key.replace(".", "_") for key in attributes}


def test_service_list_wins() -> None:
    views = Views({"http.server.request.duration": ["tenant"], "shop.orders": ["kind"]})
    assert views.attributes("http.server.request.duration") == {"tenant"}
    assert views.attributes("shop.orders") == {"kind"}
    assert views.attributes("process.cpu.time") == {"type"}


@pytest.mark.parametrize(
    ("name", "own", "expected"),
    [
        ("db.client.operation.duration", None, 0.001),
        ("db.client.operation.duration", (1.0, 2.0), 0.001),
        ("weight", (1.0, 2.0), 1.0),
        ("weight", None, 0.0),
    ],
)
def test_buckets_are_the_views_or_the_instruments_or_the_default(
    name: str, own: tuple[float, ...] | None, expected: float
) -> None:
    assert Views({}).boundaries(instrument("histogram", name, own))[0] == expected
    assert Views({}).boundaries(instrument("histogram", "count.only", ())) == ()
