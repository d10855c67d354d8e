"""The metrics of one worker in a file that outlives it: written in place, read by any worker's scrape.

A file belongs to a worker slot. The worker maps it and counts in it, so that a ``kill -9`` loses nothing; the slot's
next worker maps the same file and goes on counting. Space is allocated before it is mapped, so that a full file system
is an error that can be handled and not a SIGBUS. The format is told in ``telemetry.slot_format``.
"""

import errno
import logging
import mmap
import os
import tempfile
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path

from telemetry.series_key import SeriesKey
from telemetry.slot_format import (
    ENTRY,
    EXEMPLAR,
    HEADER,
    MAGIC,
    VERSION,
    EntryLayout,
    Header,
    entries,
    pack_exemplar,
    padded,
)
from telemetry.state_directory import SlotLock, state_path

_logger = logging.getLogger(__name__)

_USED, _GENERATION, _PID, _REFUSED_LIMIT, _REFUSED_SPACE = 2, 3, 4, 5, 6  # header fields, in units of 8 bytes

DEFAULT_MAX_SERIES = 10_000
_FIRST_CHUNK = 64 * 1024
_LARGEST_CHUNK = 4 * 1024 * 1024
_MAX_KEY_BYTES = 16 * 1024
_MAX_BUCKETS = 512


class Entry:
    """The values of one series, in place; whoever writes holds ``lock``."""

    __slots__ = ("claims", "exemplars", "lock", "values")

    def __init__(self, values: "memoryview[float]", exemplars: memoryview) -> None:
        # Re-entrant: a signal handler that records a measurement must not wait for the code it interrupted.
        self.lock = threading.RLock()
        self.values = values
        self.exemplars = exemplars
        self.claims: set[object] = set()

    def offer_exemplar(self, slot: int, value: float, seconds: float, trace_id: int, span_id: int) -> None:
        """Replace the exemplar of a bucket; the last value counts the changes, for readers to look out for."""
        at = slot * EXEMPLAR.size
        self.exemplars[at : at + EXEMPLAR.size] = pack_exemplar(value, seconds, trace_id, span_id)
        self.values[-1] += 1.0


class WorkerState:
    """A worker's slot file, opened for counting. To be made in the worker, after the fork.

    A process forked from the worker keeps the object, but what it counts goes nowhere.
    """

    def __init__(
        self, directory: Path | str, slot: int, *, max_series: int = DEFAULT_MAX_SERIES, timeout: float = 10.0
    ) -> None:
        """Take the slot over; raises SlotBusyError if its former worker still lives after ``timeout`` seconds.

        ``max_series`` bounds the file. Raises OSError if the file cannot be made.
        """
        directory = Path(directory)
        self.slot = slot
        self.max_series = max_series
        self._lock = threading.RLock()
        self._entries: dict[bytes, Entry] = {}
        self._found: dict[bytes, EntryLayout] = {}
        self._warned: set[object] = set()
        self._warnings: list[str] = []
        self._publish = threading.RLock()
        self._slot_lock = SlotLock(directory, slot, timeout)
        try:
            self._file = _open_file(state_path(directory, slot))
        except BaseException:
            self._slot_lock.release()
            raise
        self._map_file()
        header = Header(*HEADER.unpack_from(self._map))
        for layout, _ in entries(self._map, HEADER.size, header.used):
            self._found[layout.key] = layout
        self.generation = header.generation + 1
        self._words[_GENERATION] = self.generation
        # Last: a scrape believes up-down counters and gauges only if this process is the one that holds the lock.
        self._words[_PID] = os.getpid()
        self.is_open = True
        _open_states.add(self)

    def _map_file(self) -> None:
        # Entries made earlier keep their views of the former mapping: both show the same memory.
        self._capacity = os.fstat(self._file).st_size
        self._map = memoryview(mmap.mmap(self._file, self._capacity))
        self._words: memoryview[int] = self._map[: HEADER.size].cast("Q")
        self._numbers: memoryview[float] = self._map[: HEADER.size].cast("d")

    def entry(self, key: SeriesKey, *, above_limit: bool = False) -> Entry | None:
        """The entry of a series, with the values that former owners left; None if the series was refused.

        ``above_limit`` lets the few overflow series in that take what the limit refuses.
        """
        encoded = key.encode()
        with self._lock:
            entry = self._entries.get(encoded)
            if entry is not None or not self.is_open:
                return entry
            layout = self._found.get(encoded)
            if layout is None:
                full = len(self._found) >= self.max_series and not above_limit
                if full or len(encoded) > _MAX_KEY_BYTES or key.exemplars > _MAX_BUCKETS:
                    limits = f"{self.max_series} series, {_MAX_KEY_BYTES} bytes of attributes, {_MAX_BUCKETS} buckets"
                    self._refuse(_REFUSED_LIMIT, key, f"a limit is reached ({limits})")
                    return None
                try:
                    layout = self._append(encoded, key)
                except OSError as error:
                    if not above_limit:
                        self._refuse(_REFUSED_SPACE, key, str(error))
                    return None
                self._found[encoded] = layout
            values = self._map[layout.values_at : layout.exemplars_at].cast("d")
            exemplars = self._map[layout.exemplars_at : layout.exemplars_at + EXEMPLAR.size * layout.exemplars]
            entry = self._entries[encoded] = Entry(values, exemplars)
            return entry

    def _append(self, encoded: bytes, key: SeriesKey) -> EntryLayout:
        start = self._words[_USED]
        values_at = start + ENTRY.size + padded(len(encoded))
        exemplars_at = values_at + 8 * key.values
        end = exemplars_at + EXEMPLAR.size * key.exemplars
        if end > self._capacity:
            self._grow(end)
        created = time.time()
        head = ENTRY.pack(end - start, len(encoded), key.values, key.exemplars, created)
        # All of it, zeros too: a former owner may have been killed while it wrote here.
        self._map[start:end] = (head + encoded).ljust(end - start, b"\0")
        with self._publish:  # a lock is a memory barrier: what was written above is seen before what follows
            self._words[_USED] = end
        return EntryLayout(encoded, created, values_at, key.values, exemplars_at, key.exemplars)

    def _grow(self, needed: int) -> None:
        least = -(-(needed - self._capacity) // _FIRST_CHUNK) * _FIRST_CHUNK
        wanted = max(least, min(self._capacity, _LARGEST_CHUNK))
        try:
            _allocate(self._file, self._capacity, wanted)
        except OSError:
            if wanted == least:
                raise
            _allocate(self._file, self._capacity, least)
        self._map_file()

    def _refuse(self, field: int, key: SeriesKey, reason: str) -> None:
        self._numbers[field] += 1.0
        text = f"worker slot {self.slot} does not keep a series of {key.name}: {reason}"
        self.warn_once(field, f"{text} (told once, counted in telemetry_series_refused)")

    def warn_once(self, subject: object, text: str) -> None:
        """Note a warning, to be logged by ``log_warnings``.

        Not at once: who measures may hold locks of the SDK, and a log handler may measure.
        """
        if subject not in self._warned:
            self._warned.add(subject)
            self._warnings.append(text)

    def log_warnings(self) -> None:
        """Log what was noted since the last call; to be called without any lock."""
        while self._warnings:
            _logger.warning("%s", self._warnings.pop(0))

    def close(self) -> None:
        """Give the slot to a successor; what is counted afterwards goes nowhere. Can be called again."""
        with self._lock:
            if not self.is_open:
                return
            self._detach()
            os.close(self._file)
            self._slot_lock.release()

    def _detach(self) -> None:
        self.is_open = False
        for entry in list(self._entries.values()):
            with entry.lock:
                entry.values, entry.exemplars = _SCRATCH.cast("d"), _SCRATCH
        self._map, self._words, self._numbers = _SCRATCH, _SCRATCH.cast("Q"), _SCRATCH.cast("d")

    def _orphan(self) -> None:
        """Cut a forked child off: its locks may be held for ever by threads that it does not have."""
        self._lock = threading.RLock()
        for entry in self._entries.values():
            entry.lock = threading.RLock()
        self._detach()
        os.close(self._file)


# Where counts go that must not be kept: large enough for any entry, shared by all.
_SCRATCH = memoryview(bytearray(EXEMPLAR.size * _MAX_BUCKETS))
_open_states: "weakref.WeakSet[WorkerState]" = weakref.WeakSet()


def _after_fork() -> None:
    for state in list(_open_states):
        if state.is_open:
            state._orphan()  # noqa: SLF001 - part of the class that must run at fork


os.register_at_fork(after_in_child=_after_fork)


def _open_file(path: Path) -> int:
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        if _is_sound(descriptor):
            return descriptor
        os.close(descriptor)
        _logger.warning("%s is not a slot file of this version: its counts begin anew", path)
    # Made under another name and renamed when complete: a scrape sees all of the header or no file.
    descriptor, made = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        _allocate(descriptor, 0, _FIRST_CHUNK)
        os.pwrite(descriptor, HEADER.pack(MAGIC, VERSION, HEADER.size, HEADER.size, 0, 0, 0.0, 0.0), 0)
        Path(made).rename(path)
    except BaseException:
        os.close(descriptor)
        Path(made).unlink(missing_ok=True)
        raise
    return descriptor


def _is_sound(descriptor: int) -> bool:
    start = os.pread(descriptor, HEADER.size, 0)
    return len(start) == HEADER.size and Header(*HEADER.unpack(start)).is_valid(os.fstat(descriptor).st_size)


def _allocate(descriptor: int, start: int, length: int) -> None:
    """Really allocate the bytes, so that no later store can fail; raises OSError and leaves the file as it was."""
    try:
        try:
            os.posix_fallocate(descriptor, start, length)
        except (AttributeError, OSError) as error:
            # macOS has no such call, some file systems do not support it.
            if isinstance(error, OSError) and error.errno not in {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}:
                raise
            _write_zeros(descriptor, start, length)
    except OSError:
        os.ftruncate(descriptor, start)
        raise


def _write_zeros(descriptor: int, start: int, length: int) -> None:
    zeros = bytes(_FIRST_CHUNK)
    end = start + length
    while start < end:
        start += os.pwrite(descriptor, zeros[: end - start], start)
