"""A ring of records in a file of shared memory: one process writes, another reads, and neither waits for the other.

The file is a header of 64-bit words and the ring's bytes. A frame is the length and the checksum of a record and the
record itself, written by `marshal`. Head and tail are byte counts that only grow. The bytes between them outlive the
writer, so a killed process loses only an unfinished record.

`marshal` data fits one version of Python and is trusted: the header names the version, and the file is private.
"""

import mmap
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from marshal import dumps, loads
from pathlib import Path
from struct import Struct
from threading import RLock
from typing import Any, NamedTuple, Self
from zlib import crc32

from telemetry.journal.records import parts_of, plain

FORMAT = 3
_MAGIC = 0x6C6E726A_00000000 | FORMAT  # "jrnl"
_PYTHON = sys.hexversion >> 16

# Indexes of the header's words.
_FORMAT, _VERSION, _CAPACITY, _MADE, _HEAD, _TAIL, _PID, _JOINED, _ERRORS = range(9)
_LOST = 9  # by signal: spans, log records, measurements
_LEVELS = 16  # active requests by kind
LEVELS = 16
_HEADER = 512  # bytes

_frame = Struct("=II")
_write_frame = _frame.pack_into
_read_frame = _frame.unpack_from
_FRAME = _frame.size
MARSHAL = 2
"""`marshal`'s version: a tenth more bytes than the latest in half the time, as it does not track repeated objects."""


class RingFormatError(Exception):
    """The file was written by another version of this format or of Python."""


class Lost(NamedTuple):
    """Items of each signal that did not fit into a ring since its creation."""

    spans: int = 0
    logs: int = 0
    measurements: int = 0


class _Mapped:
    """A ring's memory-mapped file. Raises RingFormatError for another format, and OSError."""

    def __init__(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self.inode, size = status.st_ino, status.st_size
        if size <= _HEADER:
            raise RingFormatError(f"it has {size} bytes")
        self._memory = mmap.mmap(descriptor, size)
        self._view = memoryview(self._memory)
        self._words = self._view[:_HEADER].cast("Q")
        self._bytes = self._view[_HEADER:]
        self._capacity = size - _HEADER
        words = self._words
        if (words[_FORMAT], words[_VERSION], words[_CAPACITY]) != (_MAGIC, _PYTHON, self._capacity):
            found = f"format {words[_FORMAT]:#x} of Python {words[_VERSION]:#x}"
            self.close()
            raise RingFormatError(f"it has {found}; expected format {_MAGIC:#x} of Python {_PYTHON:#x}")

    @classmethod
    def at(cls, path: Path, *arguments: Any) -> Self:
        """Map the file at `path` through a separate descriptor. Raises RingFormatError, OSError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return cls(descriptor, *arguments)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Unmap the file."""
        self._words.release()
        self._bytes.release()
        self._view.release()
        self._memory.close()


def create(descriptor: int, capacity: int, now: int) -> None:
    """Create an empty ring of `capacity` bytes in an empty file; `now` is the time in nanoseconds.

    Allocates the space now: a full file system raises OSError here; later, a write to a mapped page would kill the
    process with SIGBUS.
    """
    size = _HEADER + capacity
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:  # macOS
            os.pwrite(descriptor, bytes(size), 0)
        # The header last: a file without it is unfinished.
        words = [_MAGIC, _PYTHON, capacity, now, *[0] * (_HEADER // 8 - 4)]
        os.pwrite(descriptor, b"".join(word.to_bytes(8, sys.byteorder) for word in words), 0)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
        raise


def has_unread(path: Path) -> bool:
    """Return whether the ring at `path` holds records that its reader has not processed; False without a ring."""
    try:
        with RingReader.at(path) as ring:
            return ring.head > ring.tail
    except (OSError, RingFormatError):
        return False


class RingWriter(_Mapped):
    """The writing side, for all threads of one process."""

    def __init__(self, descriptor: int, now: int, items_of: Callable[[Any], tuple[int, int, int]]) -> None:
        """Continue the ring in the file of `descriptor`, whose lock the caller holds.

        `now` is the time in nanoseconds; `items_of` returns the numbers of spans, log records and measurements in a
        record, to be counted as lost if it does not fit.
        """
        super().__init__(descriptor)
        self._items_of = items_of
        words = self._words
        self._head = words[_HEAD]
        self._room = words[_TAIL] + self._capacity
        self._longest = self._capacity // 2
        self._lock = RLock()
        self._writing = False
        self._waiting: deque[bytes] = deque(maxlen=1024)
        words[_JOINED] = now
        words[_PID] = os.getpid()
        for level in range(_LEVELS, _LEVELS + LEVELS):
            words[level] = 0

    def put(self, record: tuple[Any, ...]) -> None:
        """Write a record; reentrant, for a signal handler that records while its thread writes."""
        try:
            data = dumps(record, MARSHAL)
        except ValueError:  # `marshal` takes plain values only, no subclasses and other objects
            data = dumps(plain(record), MARSHAL)
        with self._lock:
            self._waiting.append(data)
            if self._writing:
                return
            self._writing = True
            try:
                while self._waiting:
                    self._append(self._waiting.popleft())
            finally:
                self._writing = False

    def _append(self, data: bytes) -> None:
        head, size = self._head, len(data) + _FRAME
        if head + size > self._room or size > self._longest:
            # The reader's position is needed only now.
            self._room = self._words[_TAIL] + self._capacity
            if head + size > self._room or size > self._longest:
                self._append_parts(data, too_long=size > self._longest)
                return
        ring, at = self._bytes, head % self._capacity
        start = at + _FRAME
        if at + size <= self._capacity:
            _write_frame(ring, at, len(data), crc32(data))
            ring[start : at + size] = data
        else:
            frame = _frame.pack(len(data), crc32(data)) + data
            first = self._capacity - at
            ring[at:] = frame[:first]
            ring[: size - first] = frame[first:]
        self._head = self._words[_HEAD] = head + size

    def _append_parts(self, data: bytes, *, too_long: bool) -> None:
        """Write a record's parts if it is too long for the ring as a whole; count what does not fit as lost."""
        record = loads(data)  # noqa: S302  (written by this process)
        parts = parts_of(record) if too_long else []
        for part in parts:
            self._append(dumps(part, MARSHAL))
        if not parts:
            for word, count in enumerate(self._items_of(record), _LOST):
                self._words[word] += count

    def count_error(self) -> None:
        """Count one failed recording."""
        with self._lock:
            self._words[_ERRORS] += 1

    def enter(self, level: int) -> None:
        """Count one more active request of kind `level`."""
        with self._lock:
            self._words[_LEVELS + level] += 1

    def leave(self, level: int) -> None:
        """Count one active request less."""
        with self._lock:
            word = _LEVELS + level
            if self._words[word]:  # a request that began before this process joined was not counted
                self._words[word] -= 1


class RingReader(_Mapped):
    """The reading side. Reading moves no position: `release` gives space back to the writer."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self.torn = 0

    @property
    def made(self) -> int:
        """The creation time in nanoseconds since 1970, which identifies the ring among those at the same path."""
        return self._words[_MADE]

    @property
    def tail(self) -> int:
        """The position up to which everything has been processed."""
        return self._words[_TAIL]

    @property
    def head(self) -> int:
        """The position up to which the writer has written."""
        return self._words[_HEAD]

    @property
    def capacity(self) -> int:
        """The number of bytes that the ring holds."""
        return self._capacity

    @property
    def pid(self) -> int:
        """The process that wrote last."""
        return self._words[_PID]

    @property
    def joined(self) -> int:
        """When that process joined, in nanoseconds since 1970."""
        return self._words[_JOINED]

    @property
    def errors(self) -> int:
        """The number of failed recordings."""
        return self._words[_ERRORS]

    @property
    def lost(self) -> Lost:
        """The numbers of items that did not fit."""
        return Lost(*self._words[_LOST : _LOST + len(Lost._fields)])

    @property
    def levels(self) -> Sequence[int]:
        """The numbers of active requests by kind."""
        return self._words[_LEVELS : _LEVELS + LEVELS].tolist()

    def read(self, position: int, *, most: int = 1 << 20, writer_is_dead: bool = False) -> tuple[list[Any], int]:
        """Return the records from `position` on, about `most` bytes, and the position after them.

        Reading stops at a frame with a wrong checksum, whose bytes may not be visible yet to this core. With
        `writer_is_dead` it can no longer become complete: it is skipped and counted in `torn`.
        """
        records: list[Any] = []
        head = self.head
        if not position <= head <= position + self._capacity:
            if not writer_is_dead and head < position:
                return records, position
            self.torn += 1
            return records, head
        while position < head and most > 0:
            data = self._frame_at(position, head)
            if data is None:
                if not writer_is_dead:
                    break
                self.torn += 1
                position = self._behind_torn(position, head)
                continue
            size = len(data) + _FRAME
            try:
                records.append(loads(data))  # noqa: S302  (the file is private, the checksum is right)
            except (EOFError, ValueError, TypeError):
                self.torn += 1
            position += size
            most -= size
        return records, position

    def _frame_at(self, position: int, head: int) -> bytes | None:
        ring, start = self._bytes, position % self._capacity + _FRAME
        # Nearly all frames are contiguous: a call for each part would cost as much as the rest.
        whole = start <= self._capacity
        length, checksum = _read_frame(ring, start - _FRAME) if whole else _read_frame(self._copy(position, _FRAME))
        if position + _FRAME + length > head:
            return None
        end = start + length
        data = bytes(ring[start:end]) if end <= self._capacity else self._copy(position + _FRAME, length)
        return data if crc32(data) == checksum else None

    def _behind_torn(self, position: int, head: int) -> int:
        """Return the start of the next complete frame if the torn one's length is plausible, else the head."""
        length, _ = _read_frame(self._copy(position, _FRAME))
        behind = position + _FRAME + length
        return behind if behind < head and self._frame_at(behind, head) is not None else head

    def _copy(self, position: int, size: int) -> bytes:
        at = position % self._capacity
        if at + size <= self._capacity:
            return bytes(self._bytes[at : at + size])
        first = self._capacity - at
        return bytes(self._bytes[at:]) + bytes(self._bytes[: size - first])

    def release(self, position: int) -> None:
        """Give the space before `position` back to the writer."""
        self._words[_TAIL] = position

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
