"""Histograms of any sender as counts by upper bound, so that they can be added, subtracted and asked for quantiles.

A counter is the same with one bucket that has no bound.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

#: Counts (not cumulative) by the bucket's upper bound; a bucket begins where the one before ends, the first at 0.
Buckets = dict[float, float]

_ENDLESS = math.inf


def of_value(value: float) -> Buckets:
    """A counter's value."""
    return {_ENDLESS: value}


def of_point(kind: str, data: dict[str, Any]) -> Buckets:
    """The data of a decoded OTLP point."""
    if kind == "histogram":
        if not data["bucket_counts"]:
            return of_value(data["count"])
        return dict(zip([*data["bounds"], _ENDLESS], map(float, data["bucket_counts"]), strict=False))
    if kind == "exponential_histogram":
        return _of_exponential(data)
    return of_value(data["count"] if kind == "summary" else data["value"])


def _of_exponential(data: dict[str, Any]) -> Buckets:
    """Negative values count as 0: nothing that is measured here has any."""
    base = 2.0 ** (2.0 ** -data["scale"])
    found = {0.0: float(data["zero_count"] + sum(data["negative"]["bucket_counts"]))}
    positive = data["positive"]
    try:
        for index, count in enumerate(positive["bucket_counts"], positive["offset"]):
            if count:
                found.setdefault(base**index, 0.0)
                found[base ** (index + 1)] = float(count)
    except OverflowError:
        return of_value(data["count"])
    return found


def of_cumulative(counts: Buckets) -> Buckets:
    """The counts of a scraped histogram, each of which holds those below."""
    found, below = {}, 0.0
    for bound in sorted(counts):
        found[bound] = max(counts[bound] - below, 0.0)
        below = max(counts[bound], below)
    return found


def gain(before: Buckets | None, after: Buckets) -> Buckets:
    """What a cumulative series has gained; it began again at 0 where it went back."""
    if before is None or total(after) < total(before):
        return after
    return {bound: max(count - before.get(bound, 0.0), 0.0) for bound, count in after.items()}


def added(several: Iterable[Buckets]) -> Buckets:
    """The sum."""
    found: Buckets = {}
    for buckets in several:
        for bound, count in buckets.items():
            found[bound] = found.get(bound, 0.0) + count
    return found


def total(buckets: Buckets) -> float:
    """How many there are."""
    return sum(buckets.values())


def quantile(buckets: Buckets, share: float) -> float | None:
    """The value that `share` (0 to 1) of all stay below, interpolated as Prometheus does it; None without any."""
    everything = total(buckets)
    bounds = sorted(buckets)
    if not everything or bounds in ([], [_ENDLESS]):
        return None
    rank, below, lower = share * everything, 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count and below + count >= rank:
            # Of the last bucket nothing is known but where it begins.
            return lower if bound == _ENDLESS else lower + (bound - lower) * (rank - below) / count
        below += count
        lower = bound
    return lower
