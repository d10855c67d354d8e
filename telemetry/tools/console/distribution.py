"""How long things took, as counts in buckets of 12.5 % width: small, exact to add up, close enough for quantiles."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: The smallest width of a bucket is 4.096 microseconds (nanoseconds as a power of two).
_UNIT_BITS = 12
#: Each doubling has eight buckets.
_OCTAVE_BITS = 3
_OCTAVE = 1 << _OCTAVE_BITS
_OCTAVES = 26
#: Durations from about four minutes on share the last bucket.
BUCKETS = _OCTAVES * _OCTAVE


def bucket_of(nanoseconds: int) -> int:
    """The bucket of a duration of at least 0."""
    units = nanoseconds >> _UNIT_BITS
    if units < _OCTAVE:
        return units
    shift = units.bit_length() - _OCTAVE_BITS - 1
    found = (shift << _OCTAVE_BITS) + (units >> shift)
    return found if found < BUCKETS else BUCKETS - 1


def lower_bound(bucket: int) -> int:
    """The shortest duration that falls into the bucket (nanoseconds)."""
    if bucket < _OCTAVE:
        return bucket << _UNIT_BITS
    shift = (bucket >> _OCTAVE_BITS) - 1
    return (_OCTAVE + bucket % _OCTAVE) << shift << _UNIT_BITS


def new_counts() -> array[int]:
    """No duration at all, four bytes for each bucket."""
    return array("I", bytes(4 * BUCKETS))


def added_up(distributions: Iterable[Sequence[int]]) -> list[int]:
    """The sum of several distributions."""
    return list(map(sum, zip(*distributions, strict=True))) or [0] * BUCKETS


def quantile(counts: Sequence[int], share: float) -> float | None:
    """The duration in seconds that `share` (0 to 1) of all stay below, interpolated in its bucket; None without any."""
    total = sum(counts)
    if not total:
        return None
    rank = share * total
    below = 0
    for bucket, count in enumerate(counts):
        if count and below + count >= rank:
            low, high = lower_bound(bucket), lower_bound(bucket + 1)
            return (low + (high - low) * (rank - below) / count) / 1e9
        below += count
    raise AssertionError("the rank is above the total")  # pragma: no cover (share is at most 1)
