"""Metrics over time, whichever way they came: gains, quantiles, values, names."""

import math
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from telemetry.tools.console.asking.timeline import Grid, Track, groups, tracks
from telemetry.tools.console.pages.charts import charts_of
from telemetry.tools.console.receiving.ingest import SIGNALS
from telemetry.tools.console.storage.buckets import (
    Buckets,
    added,
    between,
    gain,
    of_cumulative,
    of_message,
    of_value,
    quantile,
)
from telemetry.tools.console.storage.metrics import entries, entry_of
from telemetry.tools.console.storage.store import Store
from tests.tools.console.client import CUMULATIVE, DELTA, requests_total

NAME = "http.server.request.duration"
BEGIN = 1_700_000_000
GRID = Grid(BEGIN, 10.0, 6)
NS = 10**9


def counted(store: Store, *points: tuple[float, int], **values: Any) -> None:
    """Points of the service's histogram: seconds after the grid's begin, and the count by then."""
    for seconds, count in points:
        message = requests_total(count, time_ns=BEGIN * NS + int(seconds * NS), **values)
        SIGNALS["metrics"].ingest(store, message.SerializeToString(), 0)


def scraped(store: Store, seconds: float, *lines: str, target: str = "direct") -> None:
    text = "\n".join([*lines, ""])
    store.add_samples(target, text_string_to_metric_families(text), BEGIN * NS + int(seconds * NS))


def found(store: Store, name: str = NAME) -> list[Track]:
    return tracks(groups(store.series(name)), GRID, {})


def totals(track: Track) -> list[float | None]:
    return [None if step is None else round(step.total, 6) for step in track.gains]


def test_gain_is_spread_over_the_steps_between_two_points() -> None:
    store = Store()
    counted(store, (-5, 10), (15, 30), (35, 30), (55, 50))
    [track] = found(store)
    assert totals(track) == [10, 5, 0, 5, 10, None]
    assert track.pending == 5


@pytest.mark.parametrize(("seconds", "pending"), [(59.5, 5), (61, 6)])
def test_new_series_does_not_hide_what_others_counted(seconds: float, pending: int) -> None:
    store = Store()
    counted(store, *((second, second + 10) for second in range(-10, 62)))
    counted(store, (seconds, 1), route="/new")
    every = found(store)
    assert [track.pending for track in every] == [6, pending]
    [chart] = charts_of(entries(store.metrics())[0], every, GRID, "mode").charts[:1]
    assert [line.values for line in chart.lines] == [[1.0] * pending + [None] * (6 - pending)]


def test_points_around_the_steps_are_enough() -> None:
    store = Store()
    for second in range(-15, 58):
        counted(store, (second + 0.4, 3 * (second + 20) ** 2))
        later = [f'x_seconds_bucket{{le="0.5"}} {second}'] if second > 13 else []
        whole = [f'x_seconds_bucket{{le="{le}"}} {(second + 20) ** 2}' for le in ("1", "+Inf")]
        scraped(store, second + 0.4, "# TYPE x_seconds histogram", *later, *whole)
    for name in (NAME, "x_seconds"):
        every = groups(store.series(name))
        around = [store.around((series for series, _ in group), GRID.edges_ns) for group in every]
        # Copies of the series, of which nothing is remembered yet.
        chosen = [[(replace(series), points) for series, points in group] for group in around]
        assert sum(len(points) for _, points in chosen[0]) < sum(len(points) for _, points in every[0]) / 3
        unknown = tracks(chosen, GRID, {})
        assert unknown == tracks(chosen, GRID, {}) == tracks(every, GRID, {})
        assert all(unknown[0].gains[:5])


def test_series_that_appears_counts_from_nothing() -> None:
    store = Store()
    counted(store, (-10, 1), (60, 1))
    counted(store, (25, 3), (60, 3), start_ns=(BEGIN + 22) * NS, route="/new")
    track = next(track for track in found(store) if track.labels["http.route"] == "/new")
    assert totals(track) == [None, None, 3, 0, 0, 0]


def test_series_that_was_there_before_the_console_counts_from_its_first_point() -> None:
    store = Store()
    counted(store, (5, 1000), (60, 1055), start_ns=(BEGIN - 3600) * NS)
    [track] = found(store)
    assert totals(track) == [None, 10, 10, 10, 10, 10]


def test_restart_counts_from_nothing() -> None:
    store = Store()
    counted(store, (0, 90), (20, 100), (30, 4), (60, 4))
    [track] = found(store)
    assert totals(track) == [5, 5, 4, 0, 0, 0]


def test_restart_that_has_counted_more_meanwhile_counts_from_nothing() -> None:
    store = Store()
    counted(store, (0, 100), (15, 110), start_ns=(BEGIN - 600) * NS)
    counted(store, (30, 500), (60, 530), start_ns=(BEGIN + 16) * NS)
    [track] = found(store)
    assert totals(track) == [pytest.approx(20 / 3), pytest.approx(10 / 3), 500, 10, 10, 10]


@pytest.mark.parametrize("start", [BEGIN - 604, BEGIN - 598, 0])
def test_start_time_that_is_corrected_is_no_restart(start: int) -> None:
    store = Store()
    counted(store, (0, 100), start_ns=(BEGIN - 600) * NS)
    counted(store, (60, 106), start_ns=start * NS)
    [track] = found(store)
    assert totals(track) == [1] * 6


def test_deltas_are_added_up_by_step() -> None:
    store = Store()
    counted(store, (3, 2), (7, 3), (21, 4), temporality=DELTA)
    [track] = found(store)
    assert totals(track) == [5, 0, 4, 0, 0, 0]


def test_scraped_buckets_are_one_histogram() -> None:
    store = Store()
    for seconds, low, high in ((0, 0, 0), (60, 12, 18)):
        scraped(
            store,
            seconds,
            "# TYPE wait_seconds histogram",
            f'wait_seconds_bucket{{export_mode="direct",le="0.1"}} {low}',
            f'wait_seconds_bucket{{export_mode="direct",le="+Inf"}} {high}',
            f'wait_seconds_count{{export_mode="direct"}} {high}',
            f'wait_seconds_sum{{export_mode="direct"}} {high}',
        )
    [track] = found(store, "wait_seconds")
    assert track.mode == "direct"
    assert track.labels == {"export_mode": "direct", "mode": "direct"}
    assert totals(track) == [3] * 6
    assert track.gains[0] == Buckets((0.1, math.inf), [2.0, 1.0])


def test_scraped_histograms_of_two_targets_are_two() -> None:
    store = Store()
    for seconds, share in ((0, 0), (60, 1)):
        for target, count, delay in (("shop", 60, 0), ("cart", 6000, 0.003)):
            buckets = (f'wait_seconds_bucket{{le="{le}"}} {share * count}' for le in ("0.1", "+Inf"))
            scraped(store, seconds + delay, "# TYPE wait_seconds histogram", *buckets, target=target)
    assert [totals(track)[1] for track in found(store, "wait_seconds")] == [10, 1000]


def test_scraped_counter_and_gauge_are_drawn() -> None:
    store = Store()
    for seconds, value in ((0, 0), (60, 6)):
        counter = "# TYPE jobs_total counter", f"jobs_total {value}"
        scraped(store, seconds, *counter, "# TYPE heat gauge", f"heat {value}")
    [jobs], [gauge] = found(store, "jobs"), found(store, "heat")
    assert totals(jobs) == [1] * 6
    assert gauge.values == [0, 0, 0, 0, 0, 6]


def test_gauge_that_is_not_renewed_ends() -> None:
    store = Store()
    scraped(store, -55, "heat 3")
    [gauge] = found(store, "heat")
    assert gauge.values == [None] * 6
    scraped(store, -45, "heat 3")
    [gauge] = found(store, "heat")
    assert gauge.values == [3, None, None, None, None, None]


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ((0.0, 10.0, 0.0), 0.5, 0.55),
        ((10.0, 0.0, 0.0), 0.9, 0.09),
        ((0.0, 0.0, 4.0), 0.5, 1.0),
        ((0.0, 0.0, 0.0), 0.5, None),
    ],
)
def test_quantile_is_interpolated_as_prometheus_does(
    counts: tuple[float, ...], share: float, expected: float | None
) -> None:
    assert quantile(Buckets((0.1, 1.0, math.inf), counts), share) == (expected and pytest.approx(expected))


def test_buckets_of_different_bounds_add_up() -> None:
    both = added([Buckets((1.0, math.inf), (2.0, 1.0)), Buckets((2.0, math.inf), (3.0, 0.0))])
    assert both == Buckets((1.0, 2.0, math.inf), [2.0, 3.0, 1.0])
    assert between(of_value(2), of_value(4), 0.5) == Buckets((math.inf,), [3.0])
    assert of_cumulative({math.inf: 5, 1.0: 3}).counts == [3, 2]


@pytest.mark.parametrize(
    ("before", "after", "gained"),
    [
        ({1: 2}, {1: 3, 2: 4}, [1, 4]),  # an exponential histogram's next bucket
        ({1: 5, 2: 5, math.inf: 0}, {2: 11, math.inf: 0}, [1, 0]),  # coarser
        ({1: 5, 3: 5, math.inf: 1}, {2: 6, math.inf: 7}, [1, 1]),  # others
        ({2: 5, math.inf: 0}, {1: 3, 2: 3, math.inf: 0}, [1, 0, 0]),  # finer: where the 5 were is unknown
        ({2: 5, math.inf: 0}, {1: 3, 2: 2, math.inf: 1}, [0, 0, 1]),
        ({math.inf: 5}, {2: 4, 4: 3}, [2, 0]),  # a count alone
        ({2: 4, 4: 3}, {math.inf: 9}, [2]),
        ({1: 5, 8: 5}, {1: 2, 4: 2}, [2, 2]),  # a restart
        ({1: 5, 2: 5, math.inf: 0}, {2: 3, math.inf: 1}, [3, 1]),
        ({}, {1: 2}, [2]),
        ({1: 2}, {}, []),
    ],
)
def test_gain_with_other_bounds(before: dict[float, int], after: dict[float, int], gained: list[int]) -> None:
    earlier, later = (Buckets(tuple(each), tuple(each.values())) for each in (before, after))
    assert list(gain(earlier, later).counts) == gained
    if later.total >= earlier.total:
        assert between(earlier, later, 0).total == earlier.total
        assert between(earlier, later, 1) == Buckets(later.bounds, list(later.counts))


def exponential(scale: int, offset: int, *counts: int, seconds: int = 0) -> ExportMetricsServiceRequest:
    message = ExportMetricsServiceRequest()
    metric: Any = message.resource_metrics.add().scope_metrics.add().metrics.add(name="x")
    histogram = metric.exponential_histogram
    histogram.aggregation_temporality = CUMULATIVE
    point = histogram.data_points.add(count=sum(counts), scale=scale, time_unix_nano=(BEGIN + seconds) * NS)
    point.positive.offset = offset
    point.positive.bucket_counts.extend(counts)
    return message


def test_exponential_histogram_that_is_rescaled_has_no_peak() -> None:
    # Whatever the scale, a bound has the same value: here powers of 2 ** (1 / 8), then of 2.
    fine, coarse = [1] * 32, [8, 9, 8, 8]
    store = Store()
    for message in (
        exponential(3, 0, *fine),
        exponential(3, 0, *fine, seconds=10),
        exponential(0, 0, *coarse, seconds=50),
    ):
        SIGNALS["metrics"].ingest(store, message.SerializeToString(), 0)
    [track] = found(store, "x")
    assert totals(track) == [0, 0.25, 0.25, 0.25, 0.25, None]
    assert track.gains[4] is not None
    assert dict(zip(*track.gains[4], strict=True)) == {0: 0, 1: 0, 2: 0, 4: 0.25, 8: 0, 16: 0}


def test_heat_map_of_many_buckets_has_all_measurements() -> None:
    store = Store()
    for seconds, counts in ((0, [0] * 40), (60, [6000, *[60] * 39])):
        SIGNALS["metrics"].ingest(store, exponential(0, 0, *counts, seconds=seconds).SerializeToString(), 0)
    [entry] = entries(store.metrics())
    heat = charts_of(entry, found(store, "x"), GRID, "mode").heat
    assert heat
    # Each row has three neighbouring buckets, the last one a single one, which has the most measurements.
    assert [name for _, name in heat["rows"]][-2:] == ["\u2264 16", "\u2264 2"]
    assert len(heat["rows"]) == 14
    assert heat["label"] == "Heat map of 14 buckets over time; most measurements are \u2264 2"
    titles = [title for *_, title in heat["cells"]]
    assert sum(float(title.split(": ")[1].replace(",", "")) for title in titles) == 6000 + 39 * 60


def test_exponential_histogram_has_bounds_of_its_scale() -> None:
    [point] = (
        exponential(0, 1, 2, 0, 3).resource_metrics[0].scope_metrics[0].metrics[0].exponential_histogram.data_points
    )
    point.zero_count = 1
    point.count = 6
    buckets = of_message("exponential_histogram", point)
    assert buckets == Buckets((0.0, 2.0, 4.0, 8.0, 16.0), [1.0, 0.0, 2.0, 0.0, 3.0])
    assert quantile(buckets, 1.0) == 16
    point.scale = -10
    point.positive.offset = 1 << 20
    assert of_message("exponential_histogram", point) == of_value(6)


def test_metric_of_both_ways_is_one_entry() -> None:
    store = Store()
    counted(store, (0, 1))
    family = "http_server_request_duration_seconds"
    text = f'# TYPE {family} histogram\n{family}_bucket{{export_mode="direct",le="+Inf"}} 1\n'
    store.add_samples("direct", text_string_to_metric_families(text), BEGIN * NS)
    [entry] = entries(store.metrics())
    assert (entry.first.name, entry.names) == (NAME, [NAME, family])
    assert (entry.unit, entry.modes, entry.series) == ("s", {"collector", "direct"}, 2)
    assert entry_of(family, store.metrics()) == entry
    assert entry_of("other", store.metrics()) is None
