"""A batch processor's queue that counts its own drops, and the processor's metrics without them."""

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any

from opentelemetry.sdk._shared_internal._processor_metrics import ProcessorMetricsT

from telemetry.answers import QUEUE_FULL


class CountedQueue(deque[Any]):
    """A bounded queue that tells of each item that its own fullness cost; `kept` counts the others."""

    def __init__(self, maxlen: int, overflowed: Callable[[], None]) -> None:
        super().__init__((), maxlen)
        self.kept = 0
        self._capacity = maxlen
        self._append = super().appendleft
        self._overflowed = overflowed
        self._lock = Lock()

    def appendleft(self, item: Any) -> None:
        with self._lock:
            full = len(self) == self._capacity
            self._append(item)
            if not full:
                self.kept += 1
        if full:
            self._overflowed()

    def pop(self) -> Any:  # type: ignore[override]
        with self._lock:
            return super().pop()

    def clear(self) -> None:
        # Called in the child of a fork, where a thread that is gone may hold the lock.
        self._lock = Lock()
        self.kept -= len(self)
        super().clear()


class WithoutQueueDrops:
    """The SDK's metrics of a processor, but for the drops that its queue counts itself."""

    def __init__(self, metrics: ProcessorMetricsT, late: Callable[[int], None]) -> None:
        self._metrics = metrics
        self._late = late

    def register_queue_size(self, get_queue_size: Callable[[], int]) -> None:
        self._metrics.register_queue_size(get_queue_size)

    def drop_items(self, count: int, error_type: str = QUEUE_FULL) -> None:
        if error_type != QUEUE_FULL:
            self._late(count)
            self._metrics.drop_items(count, error_type)

    def finish_items(self, count: int) -> None:
        self._metrics.finish_items(count)
