"""What is pushed: the export request of the SDK's exporter for the same metrics."""

import time
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.otlp_metrics import encode
from tests.exporting.sdk import OBSERVABLE, SYNCHRONOUS, instrument, views

RESOURCE = {"service.name": "user-api", "export.mode": "collector"}


@pytest.fixture
def aggregation() -> Aggregation:
    return Aggregation(views())


def pushed(aggregation: Aggregation) -> tuple[dict[str, Any], int]:
    """Return the metrics of a request by name, and the number of points that was stated."""
    data, points = encode(aggregation, RESOURCE)
    [resource] = ExportMetricsServiceRequest.FromString(data).resource_metrics
    assert {each.key: each.value.string_value for each in resource.resource.attributes} == RESOURCE
    found = {}
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            assert metric.name not in found
            found[metric.name] = metric
    return found, points


def test_every_kind_is_pushed_as_what_it_is(aggregation: Aggregation) -> None:
    for measured in SYNCHRONOUS:
        aggregation.record(measured, 2, {"kind": "a"})
    for measured in OBSERVABLE:
        aggregation.observe(measured, "worker", [(2, {"kind": "a"})])
    starts = {instrument[1]: series.start for instrument, [series] in aggregation.metrics()}
    found, points = pushed(aggregation)
    assert points == len(found) == len(SYNCHRONOUS) + len(OBSERVABLE)
    assert {name: metric.WhichOneof("data") for name, metric in found.items()} == {
        each[1]: {"histogram": "histogram", "gauge": "gauge", "observable_gauge": "gauge"}.get(each[0], "sum")
        for each in (*SYNCHRONOUS, *OBSERVABLE)
    }
    for name, monotonic in (("orders", True), ("cpu", True), ("carts", False), ("memory", False)):
        total = found[name].sum
        assert (total.is_monotonic, total.aggregation_temporality) == (monotonic, 2)
        [point] = total.data_points
        assert point.start_time_unix_nano == starts[name] < point.time_unix_nano
    assert found["price"].histogram.aggregation_temporality == 2
    [point] = found["price"].histogram.data_points
    assert (point.count, point.sum, point.min, point.max) == (1, 2, 2, 2)
    assert point.start_time_unix_nano == starts["price"] < point.time_unix_nano


def test_start_is_kept_and_no_point_is_before_it_where_the_clock_steps_back(
    aggregation: Aggregation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for measured in SYNCHRONOUS:
        aggregation.record(measured, 2, {})
    starts = {instrument[1]: series.start for instrument, [series] in aggregation.metrics()}
    monkeypatch.setattr("telemetry.exporting.metrics.otlp_metrics.time_ns", lambda: time.time_ns() - 3600 * 10**9)
    found, _ = pushed(aggregation)
    for name, metric in found.items():
        [point] = getattr(metric, metric.WhichOneof("data")).data_points
        if metric.WhichOneof("data") != "gauge":
            assert point.time_unix_nano == point.start_time_unix_nano == starts[name]


def test_series_that_begins_while_metrics_are_collected_keeps_its_start(
    aggregation: Aggregation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a receiver, another start is a series that begins anew, whose count it would add to the former one."""
    moments = iter(range(10**9, 10**10, 10**6))
    for module in ("otlp_metrics", "aggregation"):
        monkeypatch.setattr(f"telemetry.exporting.metrics.{module}.time_ns", lambda: next(moments))
    aggregation.emit(SYNCHRONOUS[0], 2, {})
    [first], [second] = (pushed(aggregation)[0]["orders"].sum.data_points for _ in range(2))
    assert first.start_time_unix_nano == second.start_time_unix_nano <= first.time_unix_nano < second.time_unix_nano


def test_points_of_all_series_are_counted(aggregation: Aggregation) -> None:
    for kind in ("a", "b", "c"):
        aggregation.record(SYNCHRONOUS[0], 2, {"kind": kind})
    found, points = pushed(aggregation)
    assert points == len(found["orders"].sum.data_points) == 3


def test_exemplars_have_their_trace(aggregation: Aggregation) -> None:
    trace_id, span_id = bytes(range(16)), bytes(range(8))
    aggregation.record(SYNCHRONOUS[0], 2, {}, 1234, trace_id, span_id, True)
    [point] = pushed(aggregation)[0]["orders"].sum.data_points
    [exemplar] = point.exemplars
    assert (exemplar.trace_id, exemplar.span_id, exemplar.time_unix_nano, exemplar.as_int) == (
        trace_id,
        span_id,
        1234,
        2,
    )


@pytest.mark.parametrize("huge", [2**63, -(2**63) - 1, 2**200])
def test_number_that_otlp_has_no_room_for_stops_no_push(aggregation: Aggregation, huge: int) -> None:
    level, gauge = instrument("updowncounter", "carts"), instrument("gauge", "temperature")
    for measured in (level, gauge):
        aggregation.record(measured, huge, {}, 1, b"t" * 16, b"s" * 8, True)
    aggregation.record(SYNCHRONOUS[0], 2**63 - 1, {})
    found, _ = pushed(aggregation)
    assert found["carts"].sum.data_points[0].as_double == float(huge)
    assert found["temperature"].gauge.data_points[0].as_double == float(huge)
    assert found["orders"].sum.data_points[0].as_int == 2**63 - 1


@pytest.mark.parametrize(
    ("place", "poison"),
    [(2, 1), (3, ("O", "r")), (5, (5, 2)), (6, 1)],
    ids=["unit", "description", "version", "schema"],
)
def test_metric_that_cannot_be_encoded_stops_no_other(
    aggregation: Aggregation, caplog: pytest.LogCaptureFixture, place: int, poison: Any
) -> None:
    """As from the snapshot of a release that took any description."""
    odd: Any = instrument("counter", f"odd-{place}")
    aggregation.record((*odd[:place], poison, *odd[place + 1 :]), 1, {})
    aggregation.record(SYNCHRONOUS[0], 2, {}, 1234, bytes(range(16)), bytes(range(8)), True)
    for exemplars in (1, 0):  # each is pushed once
        found, points = pushed(aggregation)
        assert [*found] == ["orders"]
        assert (points, len(found["orders"].sum.data_points[0].exemplars)) == (1, exemplars)
    assert caplog.text.count(f"metric odd-{place} is not pushed") == 1


def test_sum_beyond_any_float_stops_no_other(aggregation: Aggregation, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        aggregation.record(instrument("counter", "huge"), 10**308, {})
    aggregation.record(SYNCHRONOUS[0], 2, {})
    for _ in range(2):
        found, points = pushed(aggregation)
        assert ([*found], points) == (["orders"], 1)
    assert caplog.text.count("metric huge is not pushed") == 1


def test_nothing_measured_is_nothing_to_push(aggregation: Aggregation) -> None:
    assert encode(aggregation, RESOURCE)[1] == 0
