"""This process's part of the journal: its own ring in the run's directory, once it has joined the run.

Failures are counted and logged once; the caller goes on as if telemetry were off.
"""

import errno
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from time import time_ns
from typing import Any

from telemetry.journal import ring
from telemetry.journal.directory import RunDirectory, ring_path
from telemetry.journal.locks import unlock
from telemetry.journal.records import items_of
from telemetry.journal.ring import RingFormatError, RingWriter

logger = logging.getLogger(__name__)

_LEAST_BYTES = 64 << 10


class Journal:
    """This process's part of the journal; before `open`, and in a child of a serving process, records are discarded."""

    def __init__(self) -> None:
        self.ring: RingWriter | None = None
        self.directory: RunDirectory | None = None
        self.errors = 0
        self.after_write: Callable[[], None] | None = None
        """Called after each record but a request's; must not raise."""
        self.join: Callable[[], None] | None = None
        """Called before a record without a ring, as the first of a child that joins by itself."""
        self._slot: int | None = None  # the descriptor that holds the slot's lock
        self._reported: set[tuple[str, str]] = set()
        self._lock = Lock()

    def open(self, directory: RunDirectory, capacity: int) -> int:
        """Take a slot in `directory` and its ring; return the slot. Raises OSError, as without space."""
        while True:
            slot, descriptor = directory.take_slot()
            try:
                if os.fstat(descriptor).st_size == 0:
                    _create(descriptor, capacity)
                # Not through the slot's descriptor, which a mapping would keep open: in a forked child, a mapping that
                # another thread was writing to may remain, and must not hold the lock there.
                writer = RingWriter.at(ring_path(directory.path, slot), time_ns(), items_of)
            except RingFormatError as error:
                path = ring_path(directory.path, slot)
                left = path.with_suffix(f".left-{time_ns()}")
                try:
                    path.rename(left)
                finally:
                    os.close(descriptor)
                logger.warning("%s is left behind as %s: %s", path, left.name, error)
            except BaseException:
                os.close(descriptor)
                raise
            else:
                break
        self.directory, self._slot, self.ring = directory, descriptor, writer
        return slot

    def records(self) -> bool:
        """Return whether this process has a ring, and join now if it may; never raises."""
        if self.ring is None and self.join is not None:
            try:
                self.join()
            except Exception as error:  # noqa: BLE001  (user code queries, logs and measures)
                self.failed("join", error)
        return self.ring is not None

    def write(self, record: tuple[Any, ...]) -> None:
        """Write a record of `telemetry.journal.records`; never raises."""
        writer = self.ring
        if writer is None:
            return
        try:
            writer.put(record)
        except Exception as error:  # noqa: BLE001  (no error of telemetry's own reaches a request)
            self.failed("write", error)
        if self.after_write is not None:
            self.after_write()

    def failed(self, part: str, error: BaseException) -> None:
        """Count an error in `part` of recording, and log the first of its kind; never raises."""
        with suppress(Exception):
            self.errors += 1
            if self.ring is not None:
                self.ring.count_error()
            kind = part, type(error).__name__
            if kind not in self._reported:
                self._reported.add(kind)
                logger.error("recording failed: %s; further ones of this kind are only counted", part, exc_info=error)

    @property
    def is_gone(self) -> bool:
        """Whether the files were removed from outside while this process writes to them."""
        if self.directory is None or self._slot is None:
            return False
        return self.directory.is_gone or os.fstat(self._slot).st_nlink == 0

    def close(self) -> None:
        """Release the slot: the exporter still reads its records, and another process may continue the ring."""
        with self._lock:
            # Unmapping is left to the interpreter, as another thread may be writing.
            self.ring = None
            if self._slot is not None:
                unlock(self._slot)
            self._forget()

    def _forget(self) -> None:
        self.ring = self._slot = None
        if self.directory is not None:
            self.directory.leave()
            self.directory = None

    def abandon(self) -> None:
        """Drop the parent's slot and directory in a forked child."""
        self._lock = Lock()
        if self._slot is not None:
            os.close(self._slot)  # not unlocked, as that would release the parent's lock, too
        self._forget()


def _create(descriptor: int, capacity: int) -> None:
    """Create a ring of `capacity` bytes, or a smaller one if the file system lacks space. Raises OSError."""
    size = capacity
    while True:
        try:
            ring.create(descriptor, size, time_ns())
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT} or size // 4 < _LEAST_BYTES:
                raise
            size //= 4
        else:
            break
    if size < capacity:
        text = "there is room for %d of the %d bytes of a journal (TELEMETRY_JOURNAL_BYTES): bursts may not fit"
        logger.warning(text, size, capacity)


journal = Journal()
os.register_at_fork(after_in_child=journal.abandon)
