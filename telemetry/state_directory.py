"""Where the workers of one service run keep their metrics: one directory per run, one lock per worker slot.

Two kinds of lock, chosen for what a fork does to them:

- The directory is held by ``flock``, which forked workers share: it stays in use until the arbiter *and* its workers
  are gone, so a new run never removes a directory from under workers whose arbiter was killed.
- A slot is held by a POSIX record lock, which a fork does not share: it is free as soon as its worker is dead, even if
  a child of the worker lives on. Whether it is held can be asked (``F_GETLK``) without locking, so a scrape can never
  stand in the way of a take-over.
"""

import errno
import fcntl
import logging
import os
import re
import shutil
import stat
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_logger = logging.getLogger(__name__)

PREFIX = "telemetry-metrics-"
_MEMORY_FILE_SYSTEM = Path("/dev/shm")  # noqa: S108 - the directory made in it has a random name and mode 0700
_LEAST_FREE_BYTES = 8 * 1024 * 1024
_RUN_LOCK = "run.lock"
_SETTLING_SECONDS = 60.0  # a directory without a held lock may be one that is being made
_RETRY_SECONDS = 0.02
_STATE_NAME = re.compile(r"slot-(\d+)\.state")


class SlotBusyError(RuntimeError):
    """A slot's former worker is still alive after the time given to a take-over."""


class StateDirectory:
    """The directory of one service run, locked by the process that made it and by the workers it forked."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock
        self._pid = os.getpid()

    def close(self) -> None:
        """Remove the directory; only in the process that made it, elsewhere nothing happens."""
        if os.getpid() != self._pid or self._lock < 0:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1


def create_state_directory(base: Path | None = None, *, uid: int = -1, gid: int = -1) -> StateDirectory:
    """Make the directory of this run and remove those of earlier runs that are dead.

    ``base`` is the parent; by default the memory file system ``/dev/shm`` where there is one with space, else the
    temporary directory. ``uid`` and ``gid`` own the directory if the workers run as another user than the caller.
    Raises OSError if no parent can be written to.
    """
    bases = [base] if base is not None else _default_bases()
    for candidate in bases:
        remove_dead_directories(candidate, uid=uid)
    error: OSError | None = None
    for candidate in bases:
        try:
            return _create_in(candidate, uid, gid)
        except OSError as caught:
            error = caught
    raise error or FileNotFoundError(errno.ENOENT, "no directory for the workers' metrics", str(bases))


def _default_bases() -> list[Path]:
    bases = [Path(tempfile.gettempdir())]
    with suppress(OSError):
        free = os.statvfs(_MEMORY_FILE_SYSTEM)
        if os.access(_MEMORY_FILE_SYSTEM, os.W_OK | os.X_OK) and free.f_bavail * free.f_frsize >= _LEAST_FREE_BYTES:
            bases.insert(0, _MEMORY_FILE_SYSTEM)
    return bases


def _create_in(base: Path, uid: int, gid: int) -> StateDirectory:
    # Locked under a provisional name first: a directory with its final name is never seen unlocked.
    made = Path(tempfile.mkdtemp(prefix=f"{PREFIX}new-", dir=base))
    try:
        lock = os.open(made / _RUN_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if uid != -1 or gid != -1:
                os.chown(made / _RUN_LOCK, uid, gid)
                os.chown(made, uid, gid)
            final = base / made.name.replace("new-", "", 1)
            made.rename(final)
        except BaseException:
            os.close(lock)
            raise
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return StateDirectory(final, lock)


def remove_dead_directories(base: Path, *, uid: int = -1) -> list[Path]:
    """Remove the directories below ``base`` that no living run holds; returns what was removed."""
    removed = []
    try:
        candidates = [entry for entry in os.scandir(base) if entry.name.startswith(PREFIX)]
    except OSError:
        return []
    for entry in candidates:
        with suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            ours = stat.S_ISDIR(status.st_mode) and status.st_uid in {os.geteuid(), uid}
            if ours and _remove_if_dead(Path(entry.path), time.time() - status.st_mtime):
                removed.append(Path(entry.path))
    if removed:
        _logger.info("removed the metrics of %d earlier runs below %s", len(removed), base)
    return removed


def _remove_if_dead(path: Path, age: float) -> bool:
    provisional = path.name.startswith(f"{PREFIX}new-")
    try:
        lock = os.open(path / _RUN_LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        if age < _SETTLING_SECONDS:
            return False
        shutil.rmtree(path)
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if provisional and age < _SETTLING_SECONDS:
            return False
        shutil.rmtree(path)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def state_path(directory: Path, slot: int) -> Path:
    """The file with the metrics of a slot."""
    return directory / f"slot-{slot}.state"


def slot_files(directory: Path) -> Iterator[tuple[int, os.DirEntry[str]]]:
    """Slot numbers and their files, in the order of the slots. Raises FileNotFoundError without the directory."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            match = _STATE_NAME.fullmatch(entry.name)
            if match:
                found.append((int(match[1]), entry))
    found.sort(key=lambda pair: pair[0])
    return iter(found)


# struct flock: type, whence, start, length, pid on Linux; start, length, pid, type, whence on macOS and the BSDs.
_LINUX = sys.platform.startswith("linux")
_FLOCK = struct.Struct("@hhqqi4x" if _LINUX else "@qqihhi4x")

# Closing any descriptor of a file drops all POSIX locks that the process has on it, so a process must never open the
# lock file of a slot that it owns. This table, shared by all threads, says which ones it owns.
_table_lock = threading.Lock()
_owned: dict[str, int] = {}


def _reset_table() -> None:
    global _table_lock  # noqa: PLW0603 - a forked child must not inherit a lock that a lost thread holds
    _table_lock = threading.Lock()
    _owned.clear()


os.register_at_fork(after_in_child=_reset_table)


class SlotLock:
    """The mark of a living worker on its slot; gone when released or when the process dies, however it dies."""

    def __init__(self, directory: Path, slot: int, timeout: float) -> None:
        """Wait up to ``timeout`` seconds for the former worker's death; raises SlotBusyError."""
        self._path = _lock_path(directory, slot)
        self._pid = os.getpid()
        deadline = time.monotonic() + timeout
        while not self._acquire():
            if time.monotonic() >= deadline:
                raise SlotBusyError(
                    f"slot {slot} in {directory} is held by process {slot_owner(directory, slot)}, "
                    f"which did not end within {timeout:g} s; accepted: the slot of a dead worker"
                )
            time.sleep(_RETRY_SECONDS)

    def _acquire(self) -> bool:
        with _table_lock:
            if self._path in _owned:
                return False
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                if error.errno in {errno.EACCES, errno.EAGAIN}:
                    return False
                raise
            self._descriptor = descriptor
            _owned[self._path] = self._pid
            return True

    def release(self) -> None:
        """Give the slot free; a forked child has no lock to give."""
        if os.getpid() != self._pid:
            return
        with _table_lock:
            if _owned.pop(self._path, None) is not None:
                os.close(self._descriptor)


def _lock_path(directory: Path, slot: int) -> str:
    return str(directory.resolve() / f"slot-{slot}.lock")


def slot_owner(directory: Path, slot: int) -> int:
    """The process that holds a slot: its id, 0 if nobody does, -1 if somebody does whose id cannot be told."""
    path = _lock_path(directory, slot)
    with _table_lock:
        if path in _owned:
            return _owned[path]
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        try:
            return _holder(fcntl.fcntl(descriptor, fcntl.F_GETLK, _question()))
        finally:
            os.close(descriptor)


def _question() -> bytes:
    if _LINUX:
        return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return _FLOCK.pack(0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET, 0)


def _holder(answer: bytes) -> int:
    fields = _FLOCK.unpack(answer)
    kind, pid = (fields[0], fields[4]) if _LINUX else (fields[3], fields[2])
    if kind == fcntl.F_UNLCK:
        return 0
    return int(pid) if pid > 0 else -1
