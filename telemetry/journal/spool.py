"""Batches on their way to a backend: one file each, in shared memory or on a disk, in the order of their numbers.

One thread appends and publishes, another takes and removes. What is appended is visible after `publish`: between the
two the caller notes `next_number` where its successor finds it, and `recover` drops what a killed process had appended
from there on, to be made again.

On a disk the files outlive the service. A disk that is full or gone is replaced by the fallback, in memory, until it
can be written again.
"""

import errno
import logging
from collections import Counter, deque
from itertools import islice
from pathlib import Path
from threading import Condition
from time import monotonic
from typing import NamedTuple

from telemetry.journal import batch_file
from telemetry.journal.batch_file import Batch

__all__ = ["QUEUE_FULL", "Batch", "Evicted", "Spool"]

logger = logging.getLogger(__name__)

QUEUE_FULL = "queue_full"

_NEXT_TRY_SECONDS = 10.0


class Evicted(NamedTuple):
    """Items that were dropped unsent; `bound` is what there was too little of: "bytes", "items" or "space"."""

    items: int
    reason: str
    bound: str


class Spool:
    """The batches of one signal.

    `max_bytes` bounds the space of all files, `max_items` the items of those that wait; the oldest go first. With a
    `fallback`, `folder` is on a disk, and the fallback takes at most `fallback_bytes`.
    """

    def __init__(
        self,
        folder: Path,
        signal: str,
        *,
        max_bytes: int,
        max_items: int | None = None,
        fallback: Path | None = None,
        fallback_bytes: int = 16 << 20,
    ) -> None:
        self.signal = signal
        self.next_number = 0
        self.max_bytes = max_bytes
        self.max_items = max_items
        self._folder = folder
        self._fallback = fallback
        self._fallback_bytes = min(fallback_bytes, max_bytes)
        self._retry_at: float | None = None
        self._unpublished: list[Batch] = []
        self._evicted: list[Evicted] = []
        self._waiting: deque[Batch] = deque()
        self._taken: list[Batch] = []
        self._unsynced: set[Batch] = set()
        self._items = self._size = 0  # of those that wait
        self._woken = False
        self._space: Counter[Path] = Counter()  # by folder, of those that wait or are being sent
        self._condition = Condition()

    @property
    def degraded(self) -> bool:
        """Whether the disk could not be written, so that new batches go to memory."""
        return self._retry_at is not None

    @property
    def outlives(self) -> bool:
        """Whether all that waits outlives the service."""
        return self._fallback is not None and not self.degraded and not self._space[self._fallback]

    @property
    def location(self) -> Path:
        """Where new batches go."""
        return self._fallback if self.degraded and self._fallback else self._folder

    @property
    def waiting_items(self) -> int:
        """The number of published items, without those that are being sent."""
        with self._condition:
            return self._items

    @property
    def waiting_bytes(self) -> int:
        """The space of all published batches, those included that are being sent."""
        return self._space.total()

    @property
    def undelivered_items(self) -> int:
        """The number of published items, those included that are being sent."""
        with self._condition:
            return self._items + sum(batch.items for batch in self._taken)

    @property
    def oldest(self) -> float | None:
        """When the oldest batch that waits was made, in seconds since 1970."""
        with self._condition:
            return self._waiting[0].created if self._waiting else None

    def keeps(self, batch: Batch) -> bool:
        """Return whether `batch` outlives the service."""
        return self._fallback is not None and batch.folder == self._folder

    def recover(self, committed: int | None) -> None:
        """Continue with the files that are there, without those from the number `committed` on.

        None, where that is not known, keeps all that are whole.
        """
        found: dict[int, Batch] = {}
        for folder in filter(None, (self._fallback, self._folder)):
            for batch in batch_file.batches(folder, self.signal):
                if committed is not None and batch.number >= committed:
                    batch.delete()
                else:
                    found[batch.number] = batch
        with self._condition:
            self._waiting = deque(found[number] for number in sorted(found))
            latest = self._waiting[-1].number + 1 if self._waiting else 0
            self.next_number = latest if committed is None else committed
            self._unsynced = {batch for batch in self._waiting if self.keeps(batch)}
            self._count_waiting()
            for batch in self._waiting:
                self._space[batch.folder] += batch.space
            self._condition.notify_all()

    def _count_waiting(self) -> None:
        self._items = sum(batch.items for batch in self._waiting)
        self._size = sum(batch.size for batch in self._waiting)

    def append(self, data: bytes, items: int) -> None:
        """Write a batch; it is visible after `publish`. `publish` reports what cannot be written, too."""
        number, self.next_number = self.next_number, self.next_number + 1
        batch = self._written(number, data, items)
        if batch:
            self._unpublished.append(batch)
        else:
            self._evicted.append(Evicted(items, QUEUE_FULL, "space"))

    def _written(self, number: int, data: bytes, items: int) -> Batch | None:
        if self._fallback and (self._retry_at is None or monotonic() >= self._retry_at):
            try:
                batch = batch_file.write(self._folder, self.signal, number, data, items)
            except OSError as error:
                if not self.degraded:
                    text = "%s: the spool in %s cannot be written (%s); batches wait in memory until it can"
                    logger.warning(text, self.signal, self._folder, error.strerror or error)
                self._retry_at = monotonic() + _NEXT_TRY_SECONDS
            else:
                if self.degraded:
                    self._retry_at = None
                    logger.info("%s: the spool in %s can be written again", self.signal, self._folder)
                return batch
        folder = self._fallback or self._folder
        while True:
            try:
                return batch_file.write(folder, self.signal, number, data, items)
            except OSError as error:
                # A file system that others fill: what is oldest makes room, as it does at our own bounds.
                if error.errno not in {errno.ENOSPC, errno.EDQUOT} or not self._make_room(folder):
                    return None

    def _make_room(self, folder: Path) -> bool:
        with self._condition:
            oldest = next((batch for batch in self._waiting if batch.folder == folder), None)
            if oldest is None:
                return False
            self._evict(oldest, "space")
            return True

    def publish(self) -> list[Evicted]:
        """Make visible what was appended; return what had to go for it, or could not be written."""
        with self._condition:
            new, self._unpublished = self._unpublished, []
            self._waiting.extend(new)
            self._unsynced.update(batch for batch in new if self.keeps(batch))
            for batch in new:
                self._items += batch.items
                self._size += batch.size
                self._space[batch.folder] += batch.space
            if new:
                self._condition.notify_all()
            return self._enforce()

    def _enforce(self) -> list[Evicted]:
        """Evict what is over the bounds; return that, and what was evicted or could not be written before."""
        while self.max_items is not None and self._waiting and self._items > self.max_items:
            self._evict(self._waiting[0], "items")
        while self._waiting and self._space.total() > self.max_bytes:
            self._evict(self._waiting[0], "bytes")
        while self._fallback and self._space[self._fallback] > self._fallback_bytes:
            oldest = next((batch for batch in self._waiting if batch.folder == self._fallback), None)
            if oldest is None:
                break
            self._evict(oldest, "bytes")
        evicted, self._evicted = self._evicted, []
        return evicted

    def _evict(self, batch: Batch, bound: str) -> None:
        self._waiting.remove(batch)
        self._items -= batch.items
        self._size -= batch.size
        self._unlink(batch)
        self._evicted.append(Evicted(batch.items, QUEUE_FULL, bound))

    def _unlink(self, batch: Batch) -> None:
        self._unsynced.discard(batch)
        self._space[batch.folder] -= batch.space
        batch.delete()

    def wait(self, items: int, size: int, timeout: float) -> bool:
        """Wait until so many items or bytes wait, `wake` is called, or `timeout` seconds are over.

        Return whether so many wait.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._woken or self._has(items, size), max(0.0, timeout))
            self._woken = False
            return self._has(items, size)

    def _has(self, items: int, size: int) -> bool:
        return self._items >= items or self._size >= size

    def wake(self) -> None:
        """End the present `wait`, or the next one."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def take(self, max_items: int, max_bytes: int) -> list[Batch]:
        """Return the oldest batches that go together into one request, at least one if there are any.

        They are not evicted before `remove` or `put_back`.
        """
        with self._condition:
            count, items, size = 0, 0, 0
            for batch in self._waiting:
                items, size = items + batch.items, size + batch.size
                if count and (items > max_items or size > max_bytes):
                    break
                count += 1
            self._taken = list(islice(self._waiting, count))
            for batch in self._taken:
                self._waiting.popleft()
                self._items -= batch.items
                self._size -= batch.size
            return list(self._taken)

    def put_back(self, batches: list[Batch]) -> list[Evicted]:
        """Let `batches`, which were taken, wait again; return what had to go because others took their room."""
        with self._condition:
            self._taken = []
            self._waiting.extendleft(reversed(batches))
            self._count_waiting()
            return self._enforce()

    def remove(self, batches: list[Batch]) -> None:
        """Delete `batches`, which were taken: the backend has them, or will not have them."""
        with self._condition:
            self._taken = [batch for batch in self._taken if batch not in batches]
            for batch in batches:
                self._unlink(batch)

    def drop(self) -> int:
        """Delete all that does not outlive the service; return the number of its items."""
        with self._condition:
            dropped = [batch for batch in (*self._taken, *self._waiting) if not self.keeps(batch)]
            for batch in dropped:
                self._unlink(batch)
            self._taken = [batch for batch in self._taken if self.keeps(batch)]
            self._waiting = deque(filter(self.keeps, self._waiting))
            self._count_waiting()
            return sum(batch.items for batch in dropped)

    def sync(self) -> None:
        """Write what waits on a disk through to it, so that it outlives a power cut; no effect in memory."""
        with self._condition:
            batches, self._unsynced = self._unsynced, set()
        if batches:
            batch_file.sync([*(batch.path for batch in batches), self._folder])
