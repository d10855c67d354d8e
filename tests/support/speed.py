"""Bounds of CPU time that mean the same on a slow or busy machine."""

from time import thread_time

_NUMBERS = 200_000
_SECONDS = 0.004  # on the machine on which the bounds were set


def _sum_up() -> float:
    started = thread_time()
    sum(range(_NUMBERS))
    return thread_time() - started


def seconds_here(seconds: float) -> float:
    """Return how many seconds of CPU time this machine may need now for what takes another `seconds`; not fewer."""
    return seconds * max(1.0, min(_sum_up() for _ in range(5)) / _SECONDS)
