"""Histograms of any sender, and counters, as counts by upper bound: to be added, subtracted, asked for quantiles."""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

_ENDLESS = math.inf
#: A histogram of more buckets is drawn by its count alone.
MOST_BUCKETS = 400


class Buckets(NamedTuple):
    """Counts (not cumulative) with the upper bound of each, rising; a bucket begins where the one before ends."""

    bounds: tuple[float, ...]
    counts: Sequence[float]

    @property
    def total(self) -> float:
        return sum(self.counts)


def of_value(value: float) -> Buckets:
    return Buckets((_ENDLESS,), (value,))


def of_message(kind: str, message: Any) -> Buckets:
    """A data point of OTLP; `kind` is a key of `points.POINT_CLASSES`."""
    if kind == "histogram" and len(message.bucket_counts) == len(message.explicit_bounds) + 1 <= MOST_BUCKETS:
        return Buckets((*message.explicit_bounds, _ENDLESS), list(message.bucket_counts))
    if kind == "exponential_histogram" and len(message.positive.bucket_counts) <= MOST_BUCKETS:
        return _of_exponential(message)
    if kind == "sum":
        return of_value(message.as_int or message.as_double)
    return of_value(message.count)


def _of_exponential(message: Any) -> Buckets:
    """Negative values count as 0: nothing that is measured here has any."""
    found = {0.0: float(message.zero_count + sum(message.negative.bucket_counts))}
    try:
        base = 2.0 ** (2.0**-message.scale)
        for index, count in enumerate(message.positive.bucket_counts, message.positive.offset):
            if count:
                found.setdefault(base**index, 0.0)
                found[base ** (index + 1)] = float(count)
    except OverflowError:
        return of_value(message.count)
    return _sorted(found)


def of_cumulative(counts: Mapping[float, float]) -> Buckets:
    """The counts of a scraped histogram, each of which holds those below."""
    bounds = tuple(sorted(counts))
    found, below = [], 0.0
    for bound in bounds:
        found.append(max(counts[bound] - below, 0.0))
        below = max(counts[bound], below)
    return Buckets(bounds, found)


def between(before: Buckets, after: Buckets, share: float) -> Buckets:
    """What had been counted when `share` (0 to 1) of the time from one to the other was over."""
    before = _with_bounds(before, after.bounds)
    pairs = zip(before.counts, after.counts, strict=True)
    return Buckets(after.bounds, [earlier + share * (later - earlier) for earlier, later in pairs])


def gain(before: Buckets, after: Buckets) -> Buckets:
    """What a cumulative series has gained; it began again at 0 where it went back."""
    gained = list(map(operator.sub, after.counts, _with_bounds(before, after.bounds).counts))
    if min(gained, default=0.0) >= 0:
        return Buckets(after.bounds, gained)
    return after if after.total < before.total else Buckets(after.bounds, [max(each, 0.0) for each in gained])


def added(several: Iterable[Buckets]) -> Buckets:
    """The sum, whose bounds are all that occur."""
    by_bounds: dict[tuple[float, ...], Sequence[float]] = {}
    for bounds, counts in several:
        so_far = by_bounds.get(bounds)
        by_bounds[bounds] = counts if so_far is None else list(map(operator.add, so_far, counts))
    if len(by_bounds) == 1:
        return Buckets(*next(iter(by_bounds.items())))
    found: dict[float, float] = {}
    for bounds, counts in by_bounds.items():
        for bound, count in zip(bounds, counts, strict=True):
            found[bound] = found.get(bound, 0.0) + count
    return _sorted(found)


def quantile(buckets: Buckets, share: float) -> float | None:
    """The value that `share` (0 to 1) of all stay below, interpolated as Prometheus does it; None without any."""
    everything = buckets.total
    if not everything or buckets.bounds in ((), (_ENDLESS,)):
        return None
    rank, below, lower = share * everything, 0.0, 0.0
    for bound, count in zip(*buckets, strict=True):
        if count and below + count >= rank:
            # Of the last bucket nothing is known but where it begins.
            return lower if bound == _ENDLESS else lower + (bound - lower) * (rank - below) / count
        below += count
        lower = bound
    return lower


def _with_bounds(buckets: Buckets, bounds: tuple[float, ...]) -> Buckets:
    """The same with other bounds, where a bound that it lacks has a count of 0."""
    if buckets.bounds == bounds:
        return buckets
    known = dict(zip(*buckets, strict=True))
    return Buckets(bounds, [known.get(bound, 0.0) for bound in bounds])


def _sorted(counts: Mapping[float, float]) -> Buckets:
    bounds = tuple(sorted(counts))
    return Buckets(bounds, [counts[bound] for bound in bounds])
