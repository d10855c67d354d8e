"""A bound series counts what the SDK's instrument counts."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.metrics._internal import _ProxyMeterProvider
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    ExemplarFilter,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from telemetry.bound_metrics import BoundMetric, BoundMetrics, Level, settle_levels
from telemetry.exemplars import latest_exemplars
from telemetry.exposition import Exposition
from telemetry.shared_metrics import SharedMemoryMetricReader
from telemetry.shared_state import WorkerState
from telemetry.state_directory import create_state_directory

SERIES: list[dict[str, Any]] = [{}, {"kept": "a"}, {"kept": "a", "dropped": 1}, {"kept": "b"}, {"kept": ["a", 1]}]
VALUES = (0.2, 3.0, 0.0, 7.5, 3.0)
CREATE = {
    "counter": lambda meter: meter.create_counter("c"),
    "up-down-counter": lambda meter: meter.create_up_down_counter("u"),
    "histogram": lambda meter: meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1.0, 5.0]),
}
SAMPLED, NOT_SAMPLED = (SpanContext(number, number, False, TraceFlags(number % 2)) for number in (5, 6))


def inside(span: SpanContext) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(span), Context())


def by_sdk(instrument: Any, attributes: dict[str, Any]) -> Callable[[float, SpanContext], None]:
    record = instrument.record if hasattr(instrument, "record") else instrument.add
    return lambda value, span: record(value, attributes, inside(span))


def bound(instrument: Any, attributes: dict[str, Any]) -> Callable[[float, SpanContext], None]:
    series = BoundMetric(instrument, attributes)
    return lambda value, span: series.record(value, inside(span), sampled=span.trace_flags.sampled)


def collected(reader: InMemoryMetricReader) -> list[Any]:
    data = reader.get_metrics_data()
    assert data
    points: list[Any] = [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]
    return [
        replace(
            point,
            start_time_unix_nano=0,
            time_unix_nano=0,
            exemplars=[replace(exemplar, time_unix_nano=0) for exemplar in point.exemplars],
        )
        for point in points
    ]


@pytest.mark.parametrize("exemplars", [AlwaysOffExemplarFilter, AlwaysOnExemplarFilter, TraceBasedExemplarFilter])
@pytest.mark.parametrize("kind", CREATE)
def test_series_counts_as_the_sdk(kind: str, exemplars: Callable[[], ExemplarFilter]) -> None:
    results = []
    for way in (by_sdk, bound):
        reader = InMemoryMetricReader()
        view = View(instrument_name=kind[0], attribute_keys={"kept"}, exemplar_reservoir_factory=latest_exemplars)
        provider = MeterProvider([reader], exemplar_filter=exemplars(), shutdown_on_exit=False, views=[view])
        instrument = CREATE[kind](provider.get_meter("test"))
        for attributes in SERIES:
            record = way(instrument, attributes)
            for value in VALUES:
                record(value, SAMPLED if value == 3.0 else NOT_SAMPLED)
        results.append(collected(reader))
    assert len(results[0]) == 4
    assert results[1] == results[0]
    assert any(point.exemplars for point in results[0]) == (exemplars is not AlwaysOffExemplarFilter)


@pytest.mark.parametrize("kind", CREATE)
def test_series_counts_in_the_slot_file(kind: str, tmp_path: Path) -> None:
    state = create_state_directory(tmp_path)
    reader = SharedMemoryMetricReader(WorkerState(state.path, 0))
    instrument = CREATE[kind](MeterProvider([reader], shutdown_on_exit=False).get_meter("test"))
    series = BoundMetric(instrument, {"kept": "a"})
    for value in VALUES:
        series.record(value, inside(SAMPLED), sampled=True)
    text, _ = Exposition(state.path, {}).render("application/openmetrics-text")
    sample = {"counter": "c_total", "up-down-counter": "u", "histogram": "h_sum"}[kind]
    assert f'{sample}{{kept="a"}} {sum(VALUES)}'.encode() in text
    assert (b"trace_id" in text) == (kind != "up-down-counter")
    reader.shutdown()
    state.close()


def test_reader_that_comes_later_gets_the_series() -> None:
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    series = BoundMetric(provider.get_meter("test").create_counter("c"), {})
    series.count()
    late = InMemoryMetricReader()
    provider.add_metric_reader(late)
    for _ in range(2):
        series.count()
    assert [point.value for point in collected(late)] == [2]


def test_series_waits_for_a_provider() -> None:
    proxy = _ProxyMeterProvider()
    series = BoundMetric(proxy.get_meter("test").create_counter("c"), {})
    series.count()
    reader = InMemoryMetricReader()
    proxy.on_set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    for _ in range(3):
        series.count()
    assert [point.value for point in collected(reader)] == [3]


@pytest.mark.parametrize("exemplars", [AlwaysOffExemplarFilter, AlwaysOnExemplarFilter, TraceBasedExemplarFilter])
def test_count_leads_to_no_trace(exemplars: Callable[[], ExemplarFilter]) -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], exemplar_filter=exemplars(), shutdown_on_exit=False).get_meter("test")
    series = BoundMetric(meter.create_counter("c"), {"kept": "a"})
    with trace.use_span(NonRecordingSpan(SAMPLED)):
        for _ in range(3):
            series.count()
    (point,) = collected(reader)
    assert (point.value, point.attributes) == (3, {"kept": "a"})
    assert [exemplar.trace_id for exemplar in point.exemplars] == [None] * len(point.exemplars)
    assert bool(point.exemplars) == (exemplars is AlwaysOnExemplarFilter)


def test_level_is_told_when_it_is_settled() -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("test")
    level = Level(BoundMetric(meter.create_up_down_counter("u"), {}))
    told = []
    for inside in ({1, 2, 3}, {3}, set(), {4}):
        level.inside.clear()
        level.inside.update(inside)
        settle_levels()
        told += [point.value for point in collected(reader)]
    assert told == [3, 1, 0, 1]


def test_levels_may_come_while_they_are_settled() -> None:
    series = BoundMetric(NoOpMeterProvider().get_meter("test").create_up_down_counter("u"), {})
    stop = Event()

    def come() -> None:
        while not stop.is_set():
            Level(series)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = Thread(target=come)
    thread.start()
    try:
        until = monotonic() + 0.5
        while monotonic() < until:
            settle_levels()
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)


def test_no_provider_is_no_error() -> None:
    BoundMetric(NoOpMeterProvider().get_meter("test").create_counter("c"), {}).count()


def test_series_are_bounded_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telemetry.bound_metrics._MOST_SERIES", 3)
    reader = InMemoryMetricReader()
    counter = MeterProvider([reader], shutdown_on_exit=False).get_meter("test").create_counter("c")
    series = BoundMetrics(counter, lambda number: {"number": number})
    for _ in range(2):
        for number in range(5):
            series.of(number).count()
    assert len(series._series) <= 3
    assert [point.value for point in collected(reader)] == [2] * 5
