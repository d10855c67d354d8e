"""Ratios and intervals against data whose answer is known."""

import math
import random
import statistics
from unittest.mock import Mock

import pytest

from telemetry.tools.compare.figures.intervals import paired_ratio, rounded
from telemetry.tools.compare.scenarios.cost import Cost
from telemetry.tools.compare.scenarios.turns import CostFigures, usual
from telemetry.tools.compare.setups.route import CONTROL, OFF, Variant


def test_ratio_of_pairs_that_agree_has_no_width() -> None:
    ratio = paired_ratio([2.0, 4.0, 8.0], [1.0, 2.0, 4.0])
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2, 2, 2))
    assert ratio.significant


def test_ratio_is_students_t_on_logarithms() -> None:
    """Six pairs: t(0.975, 5) is 2.570582."""
    values, baseline = [1.31, 1.52, 1.44, 1.39, 1.61, 1.47], [1.0, 1.02, 0.97, 1.01, 1.05, 0.99]
    ratio = paired_ratio(values, baseline)
    logs = [math.log(a / b) for a, b in zip(values, baseline, strict=True)]
    mean, half = statistics.fmean(logs), 2.570582 * statistics.stdev(logs) / math.sqrt(6)
    assert ratio.value == pytest.approx(statistics.geometric_mean(values) / statistics.geometric_mean(baseline))
    assert (math.log(ratio.low or 0), math.log(ratio.high or 0)) == pytest.approx((mean - half, mean + half))


def test_ratio_by_hand() -> None:
    """Two pairs with logarithms 0 and 0.2: mean 0.1, standard error 0.1, and t(0.975, 1) is 12.706."""
    ratio = paired_ratio([1.0, math.exp(0.2)], [1.0, 1.0])
    assert math.log(ratio.value) == pytest.approx(0.1)
    assert math.log(ratio.high or 0) == pytest.approx(0.1 + 1.2706, abs=1e-4)
    assert not ratio.significant


@pytest.mark.parametrize("rounds", [3, 6])
def test_interval_covers_the_truth_as_often_as_it_says(rounds: int) -> None:
    generator = random.Random(7)  # noqa: S311
    trials, covered = 2000, 0
    for _ in range(trials):
        sample = [generator.lognormvariate(0, 0.1) for _ in range(2 * rounds)]
        ratio = paired_ratio([1.3 * value for value in sample[:rounds]], sample[rounds:])
        assert ratio.low is not None
        assert ratio.high is not None
        covered += ratio.low <= 1.3 <= ratio.high
    assert covered / trials == pytest.approx(0.95, abs=0.015)


def test_set_ups_are_compared_with_the_mean_of_both_runs_without_telemetry() -> None:
    cost = Cost(Mock(options=Mock(rounds=2)), [OFF, Variant("x", "x", None)])
    cost._rounds[0] = {OFF.key: Mock(cpu=1.0), CONTROL.key: Mock(cpu=4.0), "x": Mock(cpu=6.0)}
    cost._rounds[1] = {OFF.key: Mock(cpu=3.0), "x": Mock(cpu=9.0)}  # the control has failed
    x, control = cost.ratio("x", "cpu"), cost.ratio(CONTROL.key, "cpu")
    assert x
    assert [x.value, x.pairs] == pytest.approx([3, 2])
    assert control
    assert [control.value, control.pairs] == pytest.approx([4, 1])
    assert cost.ratio("y", "cpu") is None


def test_runs_have_the_number_of_their_round() -> None:
    cost = Cost(Mock(options=Mock(rounds=2, duration=1)), [Variant("x", "x", None)])
    cost._rounds[1] = {"x": CostFigures(*range(18))}
    [variant] = cost.result()["variants"]
    assert [(run["round"], run["cpu"]) for run in variant["runs"]] == [(2, 0)]


def test_one_pair_has_no_interval_and_is_not_significant() -> None:
    ratio = paired_ratio([3.0], [1.0])
    assert ratio.value == pytest.approx(3)
    assert ratio.low is ratio.high is None
    assert not ratio.significant


@pytest.mark.parametrize(("values", "baseline"), [([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0])])
def test_ratio_of_what_makes_no_pairs_is_refused(values: list[float], baseline: list[float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        paired_ratio(values, baseline)


def test_rounded_keeps_significant_digits() -> None:
    assert [rounded(value) for value in (0.00123456, 1234567.0, 0.0, None, "a")] == [
        0.001235,
        1235000.0,
        0.0,
        None,
        "a",
    ]


def test_percentile_is_not_that_of_the_turn_in_which_the_machine_stood_still() -> None:
    turns = [[0.004] * 190 + [0.006] * 10, [0.004] * 190 + [0.007] * 10, [0.004] * 150 + [0.090] * 50]
    assert [usual(turns, percent) for percent in (50, 99)] == pytest.approx([0.004, 0.007])
