"""A ring of records in a file of shared memory: one process writes, another reads, and neither waits for the other.

The file is a header of 64-bit words and the ring's bytes. A frame is the length and the checksum of a record and the
record itself, written by `marshal`. Head and tail are counts of bytes that only grow. What lies between them outlives
its writer, so that a killed process loses only what it had not finished.

`marshal` is for one version of Python and trusts its input: the header names the version, and the file is private.
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

from telemetry.journal.records import plain

FORMAT = 3
_MAGIC = 0x6C6E726A_00000000 | FORMAT  # "jrnl"
_PYTHON = sys.hexversion >> 16

# The header's words.
_FORMAT, _VERSION, _CAPACITY, _MADE, _HEAD, _TAIL, _PID, _JOINED, _ERRORS = range(9)
_LOST = 9  # by signal: spans, log records, measurements
_LEVELS = 16  # how many requests are active, by kind
LEVELS = 16
_HEADER = 512  # bytes

_frame = Struct("=II")
_write_frame = _frame.pack_into
_read_frame = _frame.unpack_from
_FRAME = _frame.size
MARSHAL = 2
"""`marshal`'s format: a tenth more bytes than the latest, in half the time, as it does not look for what repeats."""


class RingFormatError(Exception):
    """A file that another version of this format, or of Python, has written."""


class Lost(NamedTuple):
    """How many items of each signal did not fit into a ring since it was made."""

    spans: int = 0
    logs: int = 0
    measurements: int = 0


class _Mapped:
    """A ring's file in memory. Raises RingFormatError for one of another format, OSError for none."""

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
        """Return that of the file at `path`, by a descriptor of its own. Raises RingFormatError, OSError."""
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
    """Make an empty ring of `capacity` bytes in an empty file; `now` is the time in nanoseconds.

    The space is allocated at once: a full file system raises OSError here, where a write to a mapped page would kill
    the process by SIGBUS.
    """
    size = _HEADER + capacity
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:  # macOS
            os.pwrite(descriptor, bytes(size), 0)
        # The format last: a file without it is one that is being made.
        words = [_MAGIC, _PYTHON, capacity, now, *[0] * (_HEADER // 8 - 4)]
        os.pwrite(descriptor, b"".join(word.to_bytes(8, sys.byteorder) for word in words), 0)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
        raise


def has_unread(path: Path) -> bool:
    """Return whether there are records in the ring at `path` that its reader has not dealt with; False for no ring."""
    try:
        with RingReader.at(path) as ring:
            return ring.head > ring.tail
    except (OSError, RingFormatError):
        return False


class RingWriter(_Mapped):
    """The writing side, for all threads of one process."""

    def __init__(self, descriptor: int, now: int, items_of: Callable[[Any], tuple[int, int, int]]) -> None:
        """Continue the ring behind `descriptor`, whose lock the caller holds.

        `now` is the time in nanoseconds; `items_of` returns how many spans, log records and measurements a record
        holds, which are counted as lost when it does not fit.
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
        """Write a record; may interrupt itself, as a signal handler does that records while its thread writes."""
        try:
            data = dumps(record, MARSHAL)
        except ValueError:  # a subclass, or an object, where `marshal` wants plain values
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
            # Where the reader is matters only now.
            self._room = self._words[_TAIL] + self._capacity
            if head + size > self._room or size > self._longest:
                self._lose(data)
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

    def _lose(self, data: bytes) -> None:
        for word, count in enumerate(self._items_of(loads(data)), _LOST):  # noqa: S302  (written by this process)
            self._words[word] += count

    def count_error(self) -> None:
        """Count something that could not be recorded."""
        with self._lock:
            self._words[_ERRORS] += 1

    def enter(self, level: int) -> None:
        """Count one more that is active, of kind `level`."""
        with self._lock:
            self._words[_LEVELS + level] += 1

    def leave(self, level: int) -> None:
        """Count one less."""
        with self._lock:
            word = _LEVELS + level
            if self._words[word]:  # a request that began before this process joined was not counted
                self._words[word] -= 1


class RingReader(_Mapped):
    """The reading side. Reading moves nothing: `release` gives the space up to a position back to the writer."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self.torn = 0

    @property
    def made(self) -> int:
        """When the ring was made, in nanoseconds since 1970: its identity among rings in the same place."""
        return self._words[_MADE]

    @property
    def tail(self) -> int:
        """The position up to which everything has been dealt with."""
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
        """How many things could not be recorded."""
        return self._words[_ERRORS]

    @property
    def lost(self) -> Lost:
        """What did not fit."""
        return Lost(*self._words[_LOST : _LOST + len(Lost._fields)])

    @property
    def levels(self) -> Sequence[int]:
        """How many are active, by kind."""
        return self._words[_LEVELS : _LEVELS + LEVELS].tolist()

    def read(self, position: int, *, most: int = 1 << 20, writer_is_dead: bool = False) -> tuple[list[Any], int]:
        """Return the records from `position` on, some `most` bytes of them, and the position behind them.

        A frame that does not check may still be on its way from another core: reading stops there. With
        `writer_is_dead` it never will be whole: it is skipped, and counted in `torn`.
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
        # Nearly all frames lie in one piece: a call for each part would cost as much as the rest.
        whole = start <= self._capacity
        length, checksum = _read_frame(ring, start - _FRAME) if whole else _read_frame(self._copy(position, _FRAME))
        if position + _FRAME + length > head:
            return None
        end = start + length
        data = bytes(ring[start:end]) if end <= self._capacity else self._copy(position + _FRAME, length)
        return data if crc32(data) == checksum else None

    def _behind_torn(self, position: int, head: int) -> int:
        """Return where the next whole frame begins if the torn one's length can be believed, else the head."""
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
        """Let the writer use the space before `position` again."""
        self._words[_TAIL] = position

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
