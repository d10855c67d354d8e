"""Bounds of CPU time that mean the same on a slow or busy machine."""

from time import thread_time

_NUMBERS = 200_000
_SECONDS = 0.004  # on the machine on which the bounds were set


def _sum_up() -> float:
    started = thread_time()
    sum(range(_NUMBERS))
    return thread_time() - started


def is_within(measured: float, seconds: float) -> bool:
    """Return whether `measured` seconds of CPU time are fewer than `seconds` on the machine on which these were set.

    How much slower this machine is now is only measured if it matters.
    """
    return measured < seconds or measured < seconds * min(_sum_up() for _ in range(5)) / _SECONDS
