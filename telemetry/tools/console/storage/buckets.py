"""Histograms and counters of any sender as counts by upper bound, with addition, subtraction and quantiles."""

import math
import operator
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

_ENDLESS = math.inf
#: A histogram with more buckets is drawn by its count alone.
MOST_BUCKETS = 400


class Buckets(NamedTuple):
    """Counts (not cumulative) with ascending upper bounds; a bucket begins where the previous one ends."""

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
    """Convert an exponential histogram; negative values count as 0, since no measurement here is negative."""
    found = {0.0: float(message.zero_count + sum(message.negative.bucket_counts))}
    try:
        for index, count in enumerate(message.positive.bucket_counts, message.positive.offset):
            if count:
                # Exact exponents: a bound that several scales have in common is the same number in all of them.
                found.setdefault(2.0 ** math.ldexp(index, -message.scale), 0.0)
                found[2.0 ** math.ldexp(index + 1, -message.scale)] = float(count)
    except OverflowError:
        return of_value(message.count)
    return _sorted(found)


def of_cumulative(counts: Mapping[float, float]) -> Buckets:
    """Convert the cumulative counts of a scraped histogram."""
    bounds = tuple(sorted(counts))
    found, below = [], 0.0
    for bound in bounds:
        found.append(max(counts[bound] - below, 0.0))
        below = max(counts[bound], below)
    return Buckets(bounds, found)


def between(before: Buckets, after: Buckets, share: float) -> Buckets:
    """Return the counts interpolated at `share` (0 to 1) of the time from one to the other."""
    before = with_bounds(before, after.bounds)
    pairs = zip(before.counts, after.counts, strict=True)
    return Buckets(after.bounds, [earlier + share * (later - earlier) for earlier, later in pairs])


def gain(before: Buckets, after: Buckets) -> Buckets:
    """Return the increase of a cumulative series; a decrease of its total means that it restarted at 0."""
    gained = list(map(operator.sub, after.counts, with_bounds(before, after.bounds).counts))
    if min(gained, default=0.0) >= 0:
        return Buckets(after.bounds, gained)
    if after.total < before.total:
        return after
    # Finer bounds: what is new up to one of them is at most what is new up to any higher one.
    below = [*accumulate(reversed([*accumulate(gained)]), min)][::-1]
    return Buckets(after.bounds, [high - low for low, high in pairwise([0.0, *(max(each, 0.0) for each in below)])])


def added(several: Iterable[Buckets]) -> Buckets:
    """Return the sum, over the union of all bounds."""
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
    """Return the quantile `share` (0 to 1), interpolated as in Prometheus; None without measurements."""
    everything = buckets.total
    if not everything or buckets.bounds in ((), (_ENDLESS,)):
        return None
    rank, below, lower = share * everything, 0.0, 0.0
    for bound, count in zip(*buckets, strict=True):
        if count and below + count >= rank:
            # Only the lower bound of the last bucket is known.
            return lower if bound == _ENDLESS else lower + (bound - lower) * (rank - below) / count
        below += count
        lower = bound
    return lower


def with_bounds(buckets: Buckets, bounds: tuple[float, ...]) -> Buckets:
    """Return the same counts with other bounds: each at the first one not below its own, otherwise at the last."""
    if buckets.bounds == bounds:
        return buckets
    counts = [0.0] * len(bounds)
    for bound, count in zip(*buckets, strict=True) if bounds else ():
        counts[min(bisect_left(bounds, bound), len(bounds) - 1)] += count
    return Buckets(bounds, counts)


def _sorted(counts: Mapping[float, float]) -> Buckets:
    bounds = tuple(sorted(counts))
    return Buckets(bounds, [counts[bound] for bound in bounds])
