"""A timeout for a whole exchange: a socket's timeout applies to each read, so a trickling response outlasts it."""

from collections.abc import Callable
from math import inf
from threading import Condition, Thread
from time import monotonic

_AGAIN_SECONDS = 0.1


class Watchdog:
    """Calls `cut` when an exchange exceeds its deadline, and again until it ends.

    One exchange at a time. The thread starts with the first one, and wakes up at deadlines, not for each exchange.
    """

    def __init__(self, cut: Callable[[], None]) -> None:
        self._cut = cut
        self._deadline: float | None = None
        self._expired = False
        self._wakes_at = inf
        self._closed = False
        self._thread: Thread | None = None
        self._condition = Condition()

    def begin(self, deadline: float) -> None:
        """Watch an exchange that must end by `deadline` (of `time.monotonic`)."""
        with self._condition:
            self._deadline, self._expired = deadline, False
            if self._thread is None and not self._closed:
                self._thread = Thread(target=self._watch, name="telemetry-watchdog", daemon=True)
                self._thread.start()
            elif deadline < self._wakes_at:
                self._condition.notify()

    def end(self) -> bool:
        """End the exchange; return whether it was cut."""
        with self._condition:
            self._deadline = None
            return self._expired

    def close(self) -> None:
        """Cut the current exchange, and end the thread."""
        with self._condition:
            self._closed = True
            self._cut()
            self._condition.notify()

    def _watch(self) -> None:
        with self._condition:
            while not self._closed:
                now = monotonic()
                if self._deadline is None:
                    self._wakes_at = inf
                elif self._deadline > now:
                    self._wakes_at = self._deadline
                else:
                    self._expired = True
                    self._cut()
                    self._wakes_at = now + _AGAIN_SECONDS
                self._condition.wait(None if self._wakes_at == inf else self._wakes_at - now)
