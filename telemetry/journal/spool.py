"""Batches waiting for a backend: one file each, in shared memory or on disk, in the order of their numbers.

One thread appends and publishes, another takes and removes. Appended batches become visible with `publish`; before
that, the caller saves `state` for its successor. `recover` drops the batches that a killed process appended after its
last saved state, as its successor makes them again.

On a disk the files outlive the service. While the disk is full or unavailable, new batches go to the fallback in
memory; those on the disk wait until it can be read again, if need be by a later process. So that each process knows
which files are still to be sent, even after the disk was unavailable, no number is used twice, and the state contains
the numbers that were never committed and those of files that could not be deleted.
"""

import errno
import logging
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from math import inf
from operator import attrgetter
from pathlib import Path
from threading import Condition
from time import monotonic
from typing import Any, NamedTuple

from telemetry.journal import batch_file
from telemetry.journal.batch_file import Batch

__all__ = ["QUEUE_FULL", "Batch", "Evicted", "Spool"]

logger = logging.getLogger(__name__)

QUEUE_FULL = "queue_full"

_NEXT_TRY_SECONDS = 10.0
# One for each former process. Files of still earlier ones, on a disk unavailable ever since, are all sent.
_MOST_GAPS = 100


_number = attrgetter("number")


class Evicted(NamedTuple):
    """Items that were dropped unsent; `bound` is the limit that was reached: "bytes", "items" or "space"."""

    items: int
    reason: str
    bound: str


class Spool:
    """The batches of one signal.

    `max_bytes` limits the space of all files, `max_items` the waiting items; the oldest are evicted first. With a
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
        self._gaps: list[tuple[int, int]] = []  # numbers that were never committed: start and exclusive end
        self._undeleted: dict[int, Batch | None] = {}  # by number; None if the file was not seen
        self._delete_at = 0.0
        self._unread_until: float | None = None  # when to retry reading an unavailable disk
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
        self._items = self._size = 0  # of the waiting batches
        self._woken = False
        self._space: Counter[Path] = Counter()  # by folder, of batches that wait or are being sent
        self._condition = Condition()

    @property
    def degraded(self) -> bool:
        """Whether new batches go to memory because the disk could not be written."""
        return self._retry_at is not None

    @property
    def outlives(self) -> bool:
        """Whether all waiting batches outlive the service."""
        return self._fallback is not None and not self.degraded and not self._space[self._fallback]

    @property
    def location(self) -> Path:
        """Where new batches go."""
        return self._fallback if self.degraded and self._fallback else self._folder

    @property
    def limit(self) -> int:
        """The space that the batches may take now: without a writable disk, the fallback's and what is on the disk."""
        if not self.degraded:
            return self.max_bytes
        return min(self.max_bytes, self._space[self._folder] + self._fallback_bytes)

    @property
    def waiting_items(self) -> int:
        """The number of published items, excluding those being sent."""
        with self._condition:
            return self._items

    @property
    def waiting_bytes(self) -> int:
        """The space of all published batches, including those being sent."""
        return self._space.total()

    @property
    def items(self) -> tuple[int, int]:
        """The numbers of published items that wait and that are being sent."""
        with self._condition:
            return self._items, sum(batch.items for batch in self._taken)

    @property
    def undelivered_items(self) -> int:
        """The number of published items, including those being sent."""
        return sum(self.items)

    @property
    def oldest(self) -> float | None:
        """When the oldest waiting batch was created, in seconds since 1970."""
        with self._condition:
            return self._waiting[0].created if self._waiting else None

    def keeps(self, batch: Batch) -> bool:
        """Return whether `batch` outlives the service."""
        return self._fallback is not None and batch.folder == self._folder

    def state(self) -> dict[str, Any]:
        """Return the state of the files for a successor, ready for `marshal`."""
        with self._condition:
            return {"next": self.next_number, "gaps": self._gaps, "undeleted": list(self._undeleted)}

    def recover(self, known: Mapping[str, Any] | int | None, first: int = 0) -> None:
        """Continue with the existing files; number new ones from `first` on, or after all that were seen.

        `known` is a former process's `state` (in former versions, its `next_number`); files that it does not cover are
        deleted. Without a state (None), all complete files are kept.
        """
        state: Mapping[str, Any] = {"next": known} if isinstance(known, int) else known or {}
        committed = state.get("next")
        gaps = [*state.get("gaps", ()), *([] if committed is None else [(committed, inf)])]
        self._undeleted = dict.fromkeys(state.get("undeleted", ()))
        found: list[Batch] = []
        over: list[Batch] = []
        for folder in filter(None, (self._fallback, self._folder)):
            with suppress(OSError):  # an unavailable disk
                for batch in batch_file.batches(folder, self.signal):
                    uncommitted = any(start <= batch.number < end for start, end in gaps)
                    (over if uncommitted or batch.number in self._undeleted else found).append(batch)
                if self._fallback and folder == self._folder:
                    self._undeleted.clear()  # those not found again are deleted
        for batch in over:
            self._delete(batch)
        numbers = [*(batch.number for batch in found), *self._undeleted]
        self.next_number = max(first, committed or 0, max(numbers, default=-1) + 1)
        if committed is not None:
            gaps[-1:] = [(committed, self.next_number)] if self.next_number > committed else []
        self._gaps = gaps[-_MOST_GAPS:]
        with self._condition:
            self._waiting = deque(sorted(found, key=_number))
            self._unsynced = {batch for batch in self._waiting if self.keeps(batch)}
            self._count_waiting()
            for batch in self._waiting:
                self._space[batch.folder] += batch.space
            self._condition.notify_all()

    def _delete(self, batch: Batch) -> bool:
        """Delete a file, or remember it until it can be deleted; return whether it is gone."""
        gone = batch.delete()
        if not gone and self.keeps(batch):
            self._undeleted[batch.number] = batch
        return gone

    def _delete_again(self) -> None:
        """Delete files that could not be deleted before."""
        if not self._undeleted or monotonic() < self._delete_at:
            return
        self._delete_at = monotonic() + _NEXT_TRY_SECONDS
        for number, batch in list(self._undeleted.items()):
            if batch:
                if not batch.delete():
                    break
                del self._undeleted[number]

    def _count_waiting(self) -> None:
        self._items = sum(batch.items for batch in self._waiting)
        self._size = sum(batch.size for batch in self._waiting)

    def append(self, data: bytes, items: int) -> None:
        """Write a batch, visible after `publish`, which also returns batches that could not be written."""
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
                # Others filled the file system: evict the oldest batch, as at our own limits.
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
        """Make appended batches visible; return those that were evicted or could not be written."""
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
            self._delete_again()
            return self._enforce()

    def _enforce(self) -> list[Evicted]:
        """Evict what exceeds the limits; return that, and what was evicted or could not be written before."""
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
        if self._delete(batch) and self._unread_until is not None and self.keeps(batch):
            self._unread_until = None
            logger.info("%s: the spool in %s can be read again", self.signal, self._folder)

    def wait(self, items: int, size: int, timeout: float) -> bool:
        """Wait until `items` or `size` bytes are ready to send, `wake` is called, or `timeout` seconds are over.

        Ends earlier when an unavailable disk is due for a retry. Return whether so many are ready.
        """
        with self._condition:
            if self._unread_until is not None and self._held():
                timeout = min(timeout, self._unread_until - monotonic())
            self._condition.wait_for(lambda: self._woken or self._has(items, size), max(0.0, timeout))
            self._woken = False
            return self._has(items, size)

    def _has(self, items: int, size: int) -> bool:
        held = self._held()
        items_to_send = self._items - sum(batch.items for batch in held)
        return items_to_send >= items or self._size - sum(batch.size for batch in held) >= size

    def _held(self) -> list[Batch]:
        """Return the batches that wait on an unavailable disk."""
        if self._unread_until is None or monotonic() >= self._unread_until:
            return []
        return [batch for batch in self._waiting if self.keeps(batch)]

    def wake(self) -> None:
        """End the current `wait`, or the next one."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def take(self, max_items: int, max_bytes: int) -> list[Batch]:
        """Return the oldest batches that fit together into one request, at least one if any can be sent.

        They are not evicted before `remove` or `put_back`.
        """
        with self._condition:
            held = self._held()
            if held:
                self._waiting = deque(batch for batch in self._waiting if not self.keeps(batch))
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
            if held:
                self._waiting = deque(sorted((*held, *self._waiting), key=_number))
            return list(self._taken)

    def is_unavailable(self, batch: Batch) -> bool:
        """Return whether the unreadable `batch` may become readable because only its disk is unavailable."""
        return self.keeps(batch) and not batch_file.is_there(batch.folder)

    def set_aside(self, batches: list[Batch], problem: str) -> list[Evicted]:
        """Put taken `batches` back until their disk can be read; return what `put_back` does."""
        with self._condition:
            if self._unread_until is None:
                text = "%s: the spool in %s cannot be read (%s); what is on it waits until it can"
                logger.warning(text, self.signal, self._folder, problem)
            self._unread_until = monotonic() + _NEXT_TRY_SECONDS
            return self._wait_again(batches)

    def put_back(self, batches: list[Batch]) -> list[Evicted]:
        """Put taken `batches` back; return what was evicted because newer ones took their space."""
        with self._condition:
            return self._wait_again(batches)

    def _wait_again(self, batches: list[Batch]) -> list[Evicted]:
        taken, again = set(self._taken), set(batches)
        self._waiting.extendleft(batch for batch in reversed(batches) if batch in taken)
        self._taken = [batch for batch in self._taken if batch not in again]
        self._count_waiting()
        return self._enforce()

    def remove(self, batches: list[Batch]) -> None:
        """Delete taken `batches`, which the backend accepted or rejected."""
        with self._condition:
            self._taken = [batch for batch in self._taken if batch not in batches]
            for batch in batches:
                self._unlink(batch)

    def drop(self) -> int:
        """Delete all batches that do not outlive the service; return the number of their items."""
        with self._condition:
            dropped = [batch for batch in (*self._taken, *self._waiting) if not self.keeps(batch)]
            for batch in dropped:
                self._unlink(batch)
            self._taken = [batch for batch in self._taken if self.keeps(batch)]
            self._waiting = deque(filter(self.keeps, self._waiting))
            self._count_waiting()
            return sum(batch.items for batch in dropped)

    def sync(self) -> None:
        """Sync waiting batches to disk, so that they survive a power failure; no effect in memory."""
        with self._condition:
            batches, self._unsynced = self._unsynced, set()
        if batches:
            batch_file.sync([*(batch.path for batch in batches), self._folder])
