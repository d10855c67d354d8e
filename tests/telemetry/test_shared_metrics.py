"""The reader and its aggregations, in the process of the test."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)

from telemetry.exposition import Exposition
from telemetry.shared_metrics import SharedMemoryMetricReader
from telemetry.shared_state import WorkerState
from telemetry.state_directory import SlotBusyError, create_state_directory
from tests.telemetry.scraped import OPENMETRICS, samples, value

Make = Callable[..., Meter]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    state = create_state_directory(tmp_path)
    yield state.path
    state.close()


@pytest.fixture
def exposition(directory: Path) -> Exposition:
    return Exposition(directory, {})


class Worker:
    def __init__(
        self,
        directory: Path,
        slot: int = 0,
        views: Callable[[SharedMemoryMetricReader], Sequence[View]] = lambda _: (),
        *,
        max_series: int = 10_000,
        **options: Any,
    ) -> None:
        self.reader = SharedMemoryMetricReader(
            WorkerState(directory, slot, max_series=max_series, timeout=0), **options
        )
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False, views=views(self.reader))
        self.meter = self.provider.get_meter("test")


@pytest.fixture
def work(directory: Path) -> Iterator[Callable[..., Worker]]:
    workers = []

    def make(*args: Any, **options: Any) -> Worker:
        workers.append(Worker(directory, *args, **options))
        return workers[-1]

    yield make
    for worker in workers:
        worker.reader.shutdown()


Work = Callable[..., Worker]


def test_counts_of_many_threads_are_exact(work: Work, exposition: Exposition) -> None:
    meter = work().meter
    counter, histogram = meter.create_counter("jobs"), meter.create_histogram("duration")

    def count() -> None:
        for index in range(2000):
            counter.add(1, {"kind": index % 7})
            histogram.record(3)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted = [sample.value for sample in samples(exposition) if sample.name == "jobs_total"]
    assert len(counted) == 7
    assert sum(counted) == 16_000
    assert value(exposition, "duration_count") == 16_000
    assert value(exposition, "duration_sum") == 48_000


def test_series_without_a_measurement_is_not_there(work: Work, exposition: Exposition) -> None:
    meter = work().meter
    meter.create_counter("jobs").add(1, {"kind": "a"})
    meter.create_histogram("duration")
    assert [sample.labels for sample in samples(exposition) if sample.name.startswith(("jobs", "duration"))] == [
        {"kind": "a"}
    ]


def test_observable_values_are_refreshed(work: Work, exposition: Exposition) -> None:
    worker = work()
    observed = {"threads": 3.0, "load": 0.5, "read": 10.0}

    def observe(name: str) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def callback(_: CallbackOptions) -> Iterator[Observation]:
            if name in observed:
                yield Observation(observed[name])

        return callback

    worker.meter.create_observable_up_down_counter("threads", [observe("threads")])
    worker.meter.create_observable_gauge("load", [observe("load")], "1")
    worker.meter.create_observable_counter("read", [observe("read")], "By")
    assert worker.reader.refresh()
    assert value(exposition, "threads") == 3
    assert value(exposition, "load_ratio") == 0.5
    assert value(exposition, "read_bytes_total") == 10
    del observed["threads"]
    observed["read"] = 4  # began anew
    worker.reader.refresh()
    assert value(exposition, "threads") is None
    assert value(exposition, "read_bytes_total") == 14


def constant(number: float) -> Callable[[CallbackOptions], list[Observation]]:
    return lambda _: [Observation(number)]


def test_observable_counter_of_a_successor_is_added(work: Work, exposition: Exposition) -> None:
    for seconds in (5.0, 2.0, 1.0):
        worker = work()
        worker.meter.create_observable_counter("cpu.time", [constant(seconds)], "s")
        worker.provider.force_flush()
        worker.provider.shutdown()
    assert value(exposition, "cpu_time_seconds_total") == 8


def test_refresh_by_many_threads_counts_once(work: Work, exposition: Exposition) -> None:
    worker = work(refresh_interval=0.001)
    seconds = iter(range(1, 1_000_000))
    worker.meter.create_observable_counter("cpu.time", [lambda _: [Observation(next(seconds))]], "s")
    threads = [threading.Thread(target=lambda: [worker.reader.refresh() for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    worker.provider.shutdown()
    assert value(exposition, "cpu_time_seconds_total") == next(seconds) - 1


def test_failing_callback_breaks_no_scrape(work: Work, exposition: Exposition) -> None:
    worker = work()

    def fail(_: CallbackOptions) -> Iterator[Observation]:
        raise RuntimeError("a fault of the test")

    worker.meter.create_observable_gauge("broken", [fail])
    worker.meter.create_observable_gauge("whole", [lambda _: [Observation(1)]])
    worker.reader.refresh()
    assert value(exposition, "whole") == 1


@pytest.mark.parametrize(("rule", "expected"), [("sum", 9.0), ("max", 6.0), ("min", 1.0), ("mostrecent", 2.0)])
def test_gauges_merge_by_their_rule(work: Work, exposition: Exposition, rule: str, expected: float) -> None:
    for slot, load in enumerate((6, 1, 2)):
        work(slot, merges={"load": rule}).meter.create_gauge("load", "", "Load").set(load)
    assert value(exposition, "load") == expected
    assert b"# HELP load Load (" in exposition.render()[0]


def test_unknown_merge_rule_is_refused(directory: Path) -> None:
    state = WorkerState(directory, 0)
    with pytest.raises(ValueError, match="merge rule of load is 'median'; accepted: sum, max, min, mostrecent"):
        SharedMemoryMetricReader(state, merges={"load": "median"})  # type: ignore[dict-item]
    state.close()


def test_view_sets_buckets_and_attributes(work: Work, exposition: Exposition) -> None:
    worker = work(
        views=lambda reader: [
            View(instrument_name="a", aggregation=reader.histogram((0.5, 1)), attribute_keys={"kept"}),
            View(instrument_name="b", aggregation=ExplicitBucketHistogramAggregation((0.5, 1))),
        ]
    )
    for name in "ab":
        worker.meter.create_histogram(name).record(0.7, {"kept": 1, "dropped": 2} if name == "a" else {})
    worker.reader.refresh()
    for name in "ab":
        found = {s.labels["le"]: s.value for s in samples(exposition) if s.name == f"{name}_bucket"}
        assert found == {"0.5": 0, "1.0": 1, "+Inf": 1}
        assert value(exposition, f"{name}_sum") == 0.7
    assert value(exposition, "a_count", {"kept": "1"}) == 1
    assert b"dropped" not in exposition.render()[0]


def test_several_views_of_a_series_count_once(
    work: Work, exposition: Exposition, caplog: pytest.LogCaptureFixture
) -> None:
    worker = work(views=lambda _: [View(instrument_name="jobs"), View(instrument_name="*")])
    counter = worker.meter.create_counter("jobs")
    counter.add(2)
    counter.add(3)
    worker.meter.create_observable_counter("other", [lambda _: [Observation(1)]])
    worker.reader.refresh()
    assert value(exposition, "jobs_total") == 5
    assert "several views keep the same series of jobs" in caplog.text


def test_exponential_histogram_is_left_out(
    work: Work, exposition: Exposition, caplog: pytest.LogCaptureFixture
) -> None:
    worker = work(views=lambda _: [View(instrument_name="odd", aggregation=ExponentialBucketHistogramAggregation())])
    worker.meter.create_histogram("odd").record(1)
    worker.meter.create_counter("jobs").add(1)
    for _ in range(3):
        worker.reader.refresh()
    assert value(exposition, "jobs_total") == 1
    assert caplog.text.count("metric odd is left out: ExponentialHistogram") == 1


def test_series_above_the_limit_are_counted_together(
    work: Work, exposition: Exposition, caplog: pytest.LogCaptureFixture
) -> None:
    worker = work(max_series=10)
    counter = worker.meter.create_counter("jobs")
    with caplog.at_level(logging.WARNING):
        for index in range(30):
            counter.add(1, {"index": index})
        worker.reader.refresh()
    counted = {s.labels.get("index", "overflow"): s.value for s in samples(exposition) if s.name == "jobs_total"}
    assert len(counted) == 11
    assert sum(counted.values()) == 30
    assert value(exposition, "jobs_total", {"otel_metric_overflow": "true"}) == 20
    assert value(exposition, "telemetry_series_refused_total", {"reason": "limit"}) == 20
    assert caplog.text.count("does not keep a series of jobs") == 1


def test_slot_of_a_living_worker_is_refused(work: Work, directory: Path) -> None:
    work(3)
    with pytest.raises(SlotBusyError, match=r"slot 3 .* is held by process"):
        WorkerState(directory, 3, timeout=0)


def test_measurement_after_shutdown_does_not_count(work: Work, exposition: Exposition) -> None:
    worker = work()
    counter = worker.meter.create_counter("jobs")
    counter.add(1)
    worker.provider.shutdown()
    counter.add(1)
    counter.add(1, {"new": True})
    assert value(exposition, "jobs_total") == 1
    assert not worker.reader.refresh()


def test_created_time_is_that_of_the_first_worker(work: Work, exposition: Exposition) -> None:
    times = []
    for slot in (1, 0):
        work(slot).meter.create_counter("jobs").add(1)
        times.append(value(exposition, "jobs_created", accept=OPENMETRICS))
    assert times[0] is not None
    assert times[0] == times[1]
    work(2).meter.create_counter("jobs").add(1)
    assert value(exposition, "jobs_created", accept=OPENMETRICS) == times[0]
