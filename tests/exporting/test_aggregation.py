"""The metrics of a service are those that the SDK would have, and go on in the next exporter."""

import logging
import marshal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.exporting.metrics.aggregation import HERE, Aggregation
from telemetry.exporting.metrics.otlp_metrics import collect
from telemetry.exporting.metrics.series import Buckets, Series
from telemetry.exporting.metrics.views import Views
from telemetry.journal.records import Instrument
from tests.exporting.sdk import OBSERVABLE, SYNCHRONOUS, BothWays, Measurement, Points, instrument, views

TRACE, SPAN = bytes(range(16)), bytes(range(8))
OVERFLOW = {"otel.metric.overflow": True}

VALUES = st.one_of(st.integers(0, 20_000), st.floats(0, 20_000), st.sampled_from([0.001, 1, 2.0, 100, 7500]))
ATTRIBUTE = st.sampled_from(["a", "b", "", 1, 1.0, True, False, 0, ("a", "b"), ["a"], "1"])
ATTRIBUTES = st.fixed_dictionaries({}, optional={"kind": ATTRIBUTE, "other": ATTRIBUTE, "unlisted": ATTRIBUTE})
POINTS = st.lists(st.tuples(VALUES, ATTRIBUTES), max_size=5)


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    measured = draw(st.sampled_from(SYNCHRONOUS))
    value = draw(VALUES)
    negative = measured[0] in {"updowncounter", "gauge"} and draw(st.booleans())
    return Measurement(measured, -value if negative else value, draw(ATTRIBUTES))


class Growing:
    """What a process observes of a counter: sums that only grow, of the same attributes each time."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, Any]] = {}

    def points(self, growth: Points) -> Points:
        for value, attributes in growth:
            key = repr(sorted(attributes.items()))
            self._sums[key] = self._sums.get(key, (0, None))[0] + value, attributes
        return list(self._sums.values())


ROUNDS = st.lists(
    st.tuples(st.lists(measurements(), max_size=30), st.tuples(POINTS, POINTS, POINTS)), min_size=1, max_size=4
)
PROPERTY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def observe(both: BothWays, growing: Growing, points: tuple[Points, Points, Points]) -> None:
    counter, *levels = OBSERVABLE
    both.observe(counter, growing.points(points[0]))
    for observed, of_round in zip(levels, points[1:], strict=True):
        both.observe(observed, of_round)


@PROPERTY
@given(ROUNDS)
def test_points_are_those_of_the_sdk(rounds: list[Any]) -> None:
    both, growing = BothWays(), Growing()
    for recorded, observed in rounds:
        both.record(recorded)
        observe(both, growing, observed)
        assert both.ours() == rounded(both.theirs())
    both.close()


def rounded(points: dict[Any, Any]) -> dict[Any, Any]:
    """Return the points with numbers that are about the same: the SDK adds them up in another order."""
    return {
        key: (described, name, tuple(pytest.approx(each) if isinstance(each, float) else each for each in values))
        for key, (described, name, values) in points.items()
    }


@PROPERTY
@given(ROUNDS, st.data())
def test_next_exporter_goes_on_as_if_there_had_been_one(rounds: list[Any], data: st.DataObject) -> None:
    whole, growing = BothWays(), Growing()
    parts, growing_parts = BothWays(), Growing()
    for recorded, observed in rounds:
        for both, grown in ((whole, growing), (parts, growing_parts)):
            both.record(recorded)
            observe(both, grown, observed)
        if data.draw(st.booleans()):
            state = marshal.loads(marshal.dumps(parts.aggregation.state(), 2))  # noqa: S302
            parts.aggregation = Aggregation(views(), exemplars="always_off")
            parts.aggregation.restore(state)
        assert parts.ours() == whole.ours()
    assert starts(parts.aggregation) == pytest.approx(starts(whole.aggregation), abs=5e9)
    for both in (whole, parts):
        both.close()


def starts(aggregation: Aggregation) -> list[int]:
    return [each.start for _, series in aggregation.metrics() for each in series]


COUNTER, HISTOGRAM, LEVEL, GAUGE = (
    instrument(*each)
    for each in (
        ("counter", "orders"),
        ("histogram", "weight", (1.0, 2.0, 4.0)),
        ("updowncounter", "carts"),
        ("gauge", "temperature"),
    )
)
OBSERVED_COUNTER, OBSERVED_LEVEL, OBSERVED_GAUGE = OBSERVABLE


@pytest.fixture
def aggregation() -> Aggregation:
    return Aggregation(views())


def only(aggregation: Aggregation, measured: Instrument) -> Series:
    [series] = [series for found, series in aggregation.metrics() if found[1] == measured[1]]
    [one] = series
    return one


def value(aggregation: Aggregation, measured: Instrument) -> float | None:
    shown = [series for found, series in aggregation.metrics() if found[1] == measured[1]]
    return only(aggregation, measured).value if shown else None


def restored(aggregation: Aggregation, of_service: Views | None = None) -> Aggregation:
    other = Aggregation(of_service or views())
    other.restore(marshal.loads(marshal.dumps(aggregation.state(), 2)))  # noqa: S302
    return other


def test_series_start_when_they_are_made_and_keep_their_start(aggregation: Aggregation) -> None:
    aggregation.record(COUNTER, 1, {})
    start = only(aggregation, COUNTER).start
    aggregation.record(COUNTER, 1, {})
    assert only(restored(aggregation), COUNTER).start == start


def test_series_over_the_limit_are_counted_as_one() -> None:
    aggregation = Aggregation(views(), limit=4)
    for index in range(10):
        aggregation.record(COUNTER, 1, {"kind": index})
        aggregation.observe(OBSERVED_GAUGE, "worker", [(number, {"kind": number}) for number in range(10)])
    for found in (aggregation, restored(aggregation)):
        counted = {str(each.attributes): each.value for _, series in found.metrics() for each in series if _ == COUNTER}
        assert counted == {"{'kind': 0}": 1, "{'kind': 1}": 1, "{'kind': 2}": 1, str(OVERFLOW): 7}
    aggregation.record(COUNTER, 1, {"kind": 0})
    assert aggregation.series(COUNTER, {"kind": 0}).value == 2
    assert aggregation.series(COUNTER, {"kind": "new"}).attributes == OVERFLOW


def test_limit_is_that_of_the_specification(aggregation: Aggregation) -> None:
    for index in range(2100):
        aggregation.record(COUNTER, 1, {"kind": index})
    [(_, series)] = aggregation.metrics()
    assert len(series) == 2000
    assert series[-1].attributes == OVERFLOW
    assert series[-1].value == 101
    assert sum(each.value for each in series) == 2100


def test_level_is_the_sum_over_the_living_processes(aggregation: Aggregation) -> None:
    for source, change in (("a", 3), ("b", 5), ("a", -1)):
        aggregation.record(LEVEL, change, {}, source=source)
    assert value(aggregation, LEVEL) == 7
    aggregation = restored(aggregation)
    assert value(aggregation, LEVEL) == 7
    aggregation.keep(["b"])
    assert value(aggregation, LEVEL) == 5
    aggregation.record(LEVEL, 2, {}, source="c")
    assert value(aggregation, LEVEL) == 7
    aggregation.keep([])
    assert value(aggregation, LEVEL) is None


def test_gauge_is_the_latest_of_the_living_processes(aggregation: Aggregation) -> None:
    for source, present in (("a", 1), ("b", 2), ("a", 3)):
        aggregation.record(GAUGE, present, {}, source=source)
        aggregation.observe(OBSERVED_GAUGE, source, [(present, {})])
    for found in (aggregation, restored(aggregation)):
        assert value(found, GAUGE) == value(found, OBSERVED_GAUGE) == 3
        found.keep(["b"])
        assert value(found, GAUGE) == value(found, OBSERVED_GAUGE) == 2
        found.keep([])
        assert value(found, GAUGE) is value(found, OBSERVED_GAUGE) is None


def test_gauge_that_was_set_last_counts_in_whatever_order_processes_are_read(aggregation: Aggregation) -> None:
    for source, present, time in (("a", 2, 200), ("b", 1, 100)):
        aggregation.record(GAUGE, present, {}, time, source=source)
        aggregation.observe(OBSERVED_GAUGE, source, [(present, {})], time)
    assert value(aggregation, GAUGE) == value(aggregation, OBSERVED_GAUGE) == 2
    following = restored(aggregation)
    following.record(GAUGE, 3, {}, 150, source="c")
    following.observe(OBSERVED_GAUGE, "c", [(3, {})], 150)
    assert value(following, GAUGE) == value(following, OBSERVED_GAUGE) == 2


def test_values_of_a_former_format_have_no_times(aggregation: Aggregation) -> None:
    for measured in (LEVEL, GAUGE):
        aggregation.restore([(measured, [({}, 1, ([None], [("a", 3), ("b", 1)]))])])
    assert (value(aggregation, LEVEL), value(aggregation, GAUGE)) == (4, 3)
    aggregation.record(GAUGE, 2, {}, 100, source="b")
    assert value(aggregation, GAUGE) == 2


def test_current_values_are_those_of_the_processes_that_go_on(aggregation: Aggregation) -> None:
    for source, present in (("a", 1), ("b", 2)):
        aggregation.record(LEVEL, present, {}, source=source)
        aggregation.record(GAUGE, present, {}, source=source)
        aggregation.observe(OBSERVED_COUNTER, source, [(present, {})])
    following = restored(aggregation)
    following.keep_current(["a"])
    assert value(following, LEVEL) == value(following, GAUGE) == 1
    following.observe(OBSERVED_COUNTER, "b", [(2, {})])
    assert value(following, OBSERVED_COUNTER) == 3


def test_uptime_is_that_of_the_youngest(aggregation: Aggregation) -> None:
    uptime = instrument("observable_gauge", "process.uptime")
    aggregation.observe(uptime, 1, [(50.0, {})])
    aggregation.observe(uptime, 2, [(7.0, {})])
    aggregation.observe(uptime, 1, [(51.0, {})])
    assert value(aggregation, uptime) == 7.0
    aggregation.keep([1])
    assert value(aggregation, uptime) == 51.0


def test_observed_counter_never_goes_back(aggregation: Aggregation) -> None:
    before = 0.0
    for source, observed, expected in (
        ("a", 5, 5),
        ("b", 3, 8),
        ("a", 9, 12),
        ("a", 2, 14),
        ("b", 3, 14),
        ("c", 1, 15),
    ):
        aggregation.observe(OBSERVED_COUNTER, source, [(observed, {})])
        assert value(aggregation, OBSERVED_COUNTER) == expected >= before
        before = expected
        if source == "b":
            aggregation = restored(aggregation)
    aggregation.keep([])
    assert value(aggregation, OBSERVED_COUNTER) == 15
    aggregation.observe(OBSERVED_COUNTER, "a", [(4, {})])  # another process with the number of one that has ended
    assert value(aggregation, OBSERVED_COUNTER) == 19


def test_instruments_of_two_versions_of_a_library_are_observed_as_one_metric(aggregation: Aggregation) -> None:
    def both(measured: Instrument) -> list[tuple[Instrument, Points]]:
        other = (*measured[:5], "2.0", "", None)
        return [(measured, [(10, {"kind": "a"}), (1, {})]), (other, [(5, {"kind": "b"}), (2, {})])]

    for time in (1, 2):
        observed = [each for measured in (OBSERVED_COUNTER, OBSERVED_LEVEL) for each in both(measured)]
        aggregation.observe_all(observed, "worker", time)
    for measured in (OBSERVED_COUNTER, OBSERVED_LEVEL):
        values = [only_of(aggregation, measured, attributes).value for attributes in ({"kind": "a"}, {"kind": "b"}, {})]
        assert values == [10, 5, 3]


def test_what_is_not_observed_any_more_is_forgotten(aggregation: Aggregation) -> None:
    for measured in (OBSERVED_GAUGE, OBSERVED_LEVEL):
        aggregation.observe(measured, "a", [(1, {"kind": "x"}), (2, {"kind": "y"})])
        aggregation.observe(measured, "a", [(1, {"kind": "y"})])
        assert only(aggregation, measured).attributes == {"kind": "y"}
        aggregation.observe(measured, "a", [])
        assert value(aggregation, measured) is None


def test_exporter_observes_itself_anew(aggregation: Aggregation) -> None:
    aggregation.observe(OBSERVED_LEVEL, HERE, [(7, {})])
    aggregation.observe(OBSERVED_LEVEL, "worker", [(1, {})])
    assert value(aggregation, OBSERVED_LEVEL) == 8
    aggregation.keep(["worker"])
    assert value(aggregation, OBSERVED_LEVEL) == 8
    assert value(restored(aggregation), OBSERVED_LEVEL) == 1


def test_upgraded_library_goes_on_with_its_metric(aggregation: Aggregation) -> None:
    aggregation.record(HISTOGRAM, 1.5, {})
    aggregation.record(HISTOGRAM, 3, {})
    following = restored(aggregation)
    upgraded = (*HISTOGRAM[:3], "Another text.", HISTOGRAM[4], "2.0", "", (2.0, 8.0))
    following.record(upgraded, 9, {})
    following.record(HISTOGRAM, 1, {})
    [(found, [series])] = following.metrics()
    assert found == upgraded
    assert isinstance(series, Buckets)
    assert (series.bounds, series.counts) == ((2.0, 8.0), [2, 1, 1])
    assert (series.value, series.min, series.max) == (14.5, 1, 9)


def test_instruments_that_nothing_uses_any_more_come_last(aggregation: Aggregation) -> None:
    changed = ("gauge", *COUNTER[1:])
    aggregation.record(COUNTER, 1, {})
    aggregation.record(GAUGE, 20, {}, source="worker")
    following = restored(aggregation)
    assert [found for found, _ in following.metrics()] == [COUNTER, GAUGE]
    following.record(changed, 5, {}, source="worker")
    assert [found for found, _ in following.metrics()] == [changed, COUNTER, GAUGE]
    following = restored(following)
    assert [found for found, _ in following.metrics()] == [changed, COUNTER, GAUGE]
    following.record(GAUGE, 21, {}, source="worker")
    following.record(COUNTER, 1, {})
    assert [found for found, _ in following.metrics()] == [COUNTER, GAUGE, changed]
    assert only_of(following, COUNTER, {}).value == 2


def test_instrument_of_another_kind_comes_first_without_a_restart(aggregation: Aggregation) -> None:
    """After a reload with the same settings, the exporter goes on."""
    changed = ("observable_gauge", *COUNTER[1:])
    aggregation.record(COUNTER, 1, {})
    aggregation.observe(changed, "new", [(5, {})])
    aggregation.record(COUNTER, 1, {})  # by a worker that is about to end
    aggregation.observe(changed, "new", [(6, {})])
    assert [found for found, _ in aggregation.metrics()] == [changed, COUNTER]
    assert only_of(aggregation, COUNTER, {}).value == 2


def test_series_that_the_views_of_today_make_one_are_added_up(aggregation: Aggregation) -> None:
    for kind in ("a", "b", "c"):
        aggregation.record(COUNTER, 1, {"kind": kind})
        aggregation.record(HISTOGRAM, 1, {"kind": kind})
        aggregation.observe(OBSERVED_COUNTER, kind, [(1, {"kind": kind})])
    following = restored(aggregation, Views({}))
    for measured in (COUNTER, HISTOGRAM, OBSERVED_COUNTER):
        assert only(following, measured).value == 3
        assert only(following, measured).attributes == {}


@pytest.mark.parametrize(("measured", "merged"), [(LEVEL, 8), (OBSERVED_LEVEL, 8), (OBSERVED_COUNTER, 8), (GAUGE, 3)])
def test_values_of_one_process_that_the_views_of_today_make_one_go_on(
    aggregation: Aggregation, measured: Instrument, merged: float
) -> None:
    if measured in OBSERVABLE:
        points: Points = [(3, {"kind": "x"}), (5, {"kind": "y"})]
        aggregation.observe(measured, "worker", points)
    else:
        aggregation.record(measured, 3, {"kind": "x"}, 200, source="worker")
        aggregation.record(measured, 5, {"kind": "y"}, 100, source="worker")
    following = restored(aggregation, Views({}))
    assert value(following, measured) == merged
    if measured in OBSERVABLE:
        following.observe(measured, "worker", points)
    elif measured == LEVEL:
        for kind, change in (("x", -3), ("y", -5), ("y", 8)):
            following.record(measured, change, {"kind": kind}, 300, source="worker")
    assert value(following, measured) == merged


def test_observed_counter_below_zero_never_goes_back(aggregation: Aggregation) -> None:
    shown = []
    for observed in (-3, 5, -1, -7, 2):
        aggregation.observe(OBSERVED_COUNTER, "worker", [(observed, {})])
        shown.append(value(aggregation, OBSERVED_COUNTER))
    assert shown == [0, 5, 5, 5, 7]


def test_merged_series_have_the_first_start_all_extremes_and_the_newest_exemplars() -> None:
    measured = (COUNTER, HISTOGRAM, GAUGE)
    for order in ((1, 2), (2, 1)):
        aggregation = Aggregation(views())
        for number in order:
            for each in measured:
                attributes = {"kind": str(number)}
                aggregation.record(each, number + 0.5, attributes, number, TRACE, SPAN, True, "worker")
                aggregation.series(each, attributes).start = number
        following = restored(aggregation, Views({}))
        for each in measured:
            assert only(following, each).start == 1
        assert only(following, COUNTER).exemplars == only(following, GAUGE).exemplars == [(2.5, 2, TRACE, SPAN)]
        weights = only(following, HISTOGRAM)
        assert isinstance(weights, Buckets)
        assert (weights.min, weights.max) == (1.5, 2.5)
        assert weights.exemplars == [None, (1.5, 1, TRACE, SPAN), (2.5, 2, TRACE, SPAN), None]


def test_exemplars_go_on_in_the_buckets_of_an_upgraded_library(aggregation: Aggregation) -> None:
    for time, number in enumerate((0.5, 1.5, 9), 1):
        aggregation.record(HISTOGRAM, number, {}, time, TRACE, SPAN, True)
    upgraded = (*HISTOGRAM[:5], "2.0", "", (2.0, 8.0))
    following = restored(aggregation)
    following.record(upgraded, 3, {}, 9, TRACE, SPAN, True)
    following.record(upgraded, 3, {"kind": "new"})
    assert exemplars_of(only_of(following, upgraded, {})) == [1.5, 3, 9]
    again = Aggregation(views())
    again.series(upgraded, {})
    again.restore(aggregation.state())
    assert exemplars_of(only_of(again, upgraded, {})) == [1.5, None, 9]
    new = only_of(following, upgraded, {"kind": "new"})
    assert isinstance(new, Buckets)
    assert new.bounds == (2.0, 8.0)


def exemplars_of(series: Series) -> list[float | None]:
    return [exemplar and exemplar[0] for exemplar in series.exemplars]


def test_gauge_that_processes_observed_at_another_time_is_the_latest(aggregation: Aggregation) -> None:
    for source, present, time in (("a", 2, 200), ("b", 1, 100)):
        aggregation.observe_all([(OBSERVED_GAUGE, [(present, {})])], source, time)
    assert value(aggregation, OBSERVED_GAUGE) == 2


def test_instruments_of_two_units_are_two_metrics(aggregation: Aggregation) -> None:
    other = (*COUNTER[:2], "EUR", *COUNTER[3:])
    aggregation.record(COUNTER, 1, {})
    aggregation.record(other, 5, {})
    assert {each[2]: series.value for each, [series] in restored(aggregation).metrics()} == {"{thing}": 1, "EUR": 5}


@pytest.mark.parametrize(
    ("one", "other"),
    [((1, "2"), ("1", "2")), ((True,), (1,)), ({"a": 1}, {"a": True}), ({"a": 1}, "{'a': 1}"), ((1,), "(1,)")],
)
def test_attributes_that_look_alike_are_of_two_series(aggregation: Aggregation, one: Any, other: Any) -> None:
    for each in (one, other):
        aggregation.record(COUNTER, 1, {"kind": each})
    assert [each.value for _, series in aggregation.metrics() for each in series] == [1, 1]


@pytest.mark.parametrize(("one", "same"), [(["a", 1], ("a", 1)), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_attributes_that_are_equal_are_of_one_series(aggregation: Aggregation, one: Any, same: Any) -> None:
    for each in (one, same):
        aggregation.record(COUNTER, 1, {"kind": each})
    assert value(aggregation, COUNTER) == 2


def test_what_was_saved_need_not_be_saved_again(aggregation: Aggregation) -> None:
    aggregation.emit(COUNTER, 1, {})
    list(aggregation.metrics())
    assert aggregation.has_emitted
    aggregation.state()
    assert not aggregation.has_emitted


@pytest.mark.parametrize(
    ("exemplars", "taken"),
    [("always_on", [True, True]), ("always_off", [False, False]), ("trace_based", [False, True])],
)
def test_exemplars_are_those_of_the_filter(exemplars: str, taken: list[bool]) -> None:
    aggregation = Aggregation(views(), exemplars=exemplars)
    for measured in (COUNTER, HISTOGRAM, LEVEL, GAUGE):
        for sampled, expected in zip((False, True), taken, strict=True):
            series = aggregation.series(measured, {"kind": sampled})
            aggregation.record(measured, 2, {"kind": sampled}, 5, TRACE, SPAN, sampled)
            found = [exemplar for exemplar in series.exemplars if exemplar]
            assert found == ([(2, 5, TRACE, SPAN)] if expected else []), measured
    aggregation.record(COUNTER, 1, {})  # has no time
    assert only_of(aggregation, COUNTER, {}).exemplars == [None]


def only_of(aggregation: Aggregation, measured: Instrument, attributes: dict[str, Any]) -> Series:
    return aggregation.series(measured, attributes)


def test_exemplars_are_the_latest_of_a_bucket_and_pushed_once(aggregation: Aggregation) -> None:
    for number in (0.5, 1.5, 1.7):
        aggregation.record(HISTOGRAM, number, {}, int(number * 10), TRACE, SPAN, True)
    assert exemplars(aggregation) == [(0.5, 5), (1.7, 17)]
    assert exemplars(aggregation) == []
    aggregation.record(HISTOGRAM, 9, {}, 90, TRACE, SPAN, True)
    assert exemplars(restored(aggregation)) == [(9, 90)]


def exemplars(aggregation: Aggregation) -> list[tuple[float, int]]:
    data, _ = collect(aggregation, {})
    [point] = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    for each in point.exemplars:
        assert (each.trace_id, each.span_id) == (int.from_bytes(TRACE), int.from_bytes(SPAN))
        assert not each.filtered_attributes
    return [(each.value, each.time_unix_nano) for each in point.exemplars]


def test_measurements_of_other_threads_are_counted_at_the_next_look(aggregation: Aggregation) -> None:
    aggregation.emit(COUNTER, 2, {"kind": "a"})
    assert aggregation.state()[0][1][0][2][0] == 2
    aggregation.emit(COUNTER, 3, {"kind": "a"})
    assert value(aggregation, COUNTER) == 5


def test_histogram_without_measurements_is_not_shown(aggregation: Aggregation) -> None:
    aggregation.series(HISTOGRAM, {})
    assert list(aggregation.metrics()) == []
    aggregation.series(COUNTER, {})
    assert value(aggregation, COUNTER) == 0


@pytest.fixture
def unlisted(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.WARNING):
        yield caplog


def test_metric_that_is_not_listed_has_no_attributes_and_is_logged_once(unlisted: pytest.LogCaptureFixture) -> None:
    aggregation = Aggregation(Views({}))
    for _ in range(2):
        aggregation.record(COUNTER, 1, {"user.email": "alice@example.com"})
    assert only(aggregation, COUNTER).attributes == {}
    assert unlisted.messages == ["metric orders is not listed: it is counted without attributes"]
