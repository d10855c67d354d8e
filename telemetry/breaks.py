"""Work that takes breaks, so that a thread in the background keeps no request waiting.

One thread at a time runs Python code, and one that has it keeps it for `sys.getswitchinterval()`. Only what really
waits gives it away: `sleep(0)` does not.
https://docs.python.org/3/glossary.html#term-global-interpreter-lock
"""

from collections.abc import Iterable, Iterator
from time import perf_counter, sleep
from typing import TypeVar

_WORK = 300e-6
_BREAK = 50e-6
"""Seconds."""

T = TypeVar("T")


def with_breaks(items: Iterable[T]) -> Iterator[T]:
    """Yield `items`; whenever those before took long enough, and after the last, let the other threads run."""
    started = perf_counter()
    for item in items:
        yield item
        if perf_counter() - started > _WORK:
            sleep(_BREAK)
            started = perf_counter()
    sleep(_BREAK)
