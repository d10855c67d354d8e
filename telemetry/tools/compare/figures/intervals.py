"""Ratios of paired runs with 95 % intervals.

Each round runs every set-up once, so the pairs share the state of the machine. The interval is Student's t on the
logarithms of the paired ratios: a ratio is as likely to be halved as doubled, and with a handful of rounds a bootstrap
only resamples a few values and gives intervals that are too narrow. SciPy has the t quantiles that the standard library
lacks.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

CONFIDENCE = 0.95
_LEAST_PAIRS = 2


@dataclass(frozen=True, slots=True)
class Ratio:
    """The geometric mean of paired ratios; `low` and `high` are None if there are too few pairs for an interval."""

    value: float
    low: float | None
    high: float | None
    pairs: int

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 1: only then is there a measurable difference."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high

    def as_json(self) -> dict[str, Any]:
        """Return it for the report."""
        return {**{key: rounded(value) for key, value in asdict(self).items()}, "significant": self.significant}


def paired_ratio(values: Sequence[float], baseline: Sequence[float]) -> Ratio:
    """Return values / baseline, pair by pair; raises ValueError unless there are pairs of positive numbers."""
    if len(values) != len(baseline) or not values:
        raise ValueError(
            f"{len(values)} values and {len(baseline)} of the baseline; expected as many, and one at least"
        )
    if min(*values, *baseline) <= 0:
        raise ValueError(f"a value is {min(*values, *baseline)}; expected numbers above 0")
    logs = [math.log(value / base) for value, base in zip(values, baseline, strict=True)]
    mean = statistics.fmean(logs)
    if len(logs) < _LEAST_PAIRS:
        return Ratio(math.exp(mean), None, None, len(logs))
    half = _t_quantile(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half), len(logs))


def same_rounds(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return the runs of two set-ups in a report in pairs, from the rounds in which neither has failed."""
    others = {run["round"]: run for run in other["runs"]}
    return [(run, others[run["round"]]) for run in one["runs"] if run["round"] in others]


def _t_quantile(degrees: int) -> float:
    from scipy.special import stdtrit  # `scipy.stats` takes a second more to import

    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))


def rounded(value: Any) -> Any:
    """Return numbers rounded to four significant digits, everything else unchanged."""
    if isinstance(value, float) and math.isfinite(value) and value:
        return round(value, 3 - math.floor(math.log10(abs(value))))
    return value
