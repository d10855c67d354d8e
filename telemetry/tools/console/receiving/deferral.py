"""Work deferred while a measured load runs, because the receiver shares its cores with the load generator."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_MOST_BYTES = 64 << 20


class Deferral:
    """Work deferred while `until_the_end` is active, and done at its end, in order."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], object]] | None = None
        self._bytes = 0
        self._lock = threading.Lock()

    @contextmanager
    def until_the_end(self) -> Iterator[None]:
        """Defer the work passed to `defer` meanwhile."""
        self._waiting = []
        try:
            yield
        finally:
            with self._lock:
                waiting, self._waiting, self._bytes = self._waiting or [], None, 0
            for work in waiting:
                work()

    def defer(self, work: Callable[[], object], size: int) -> bool:
        """Defer `work`, which holds `size` bytes; return False if it is due now: at other times, and beyond 64 MiB."""
        with self._lock:
            if self._waiting is None or self._bytes + size > _MOST_BYTES:
                return False
            self._waiting.append(work)
            self._bytes += size
        return True
