"""The directories that a service's processes share: one for each run, with a lock for each slot and the exporter.

`<base>/telemetry-<user>-<service>/run-<n>/`: the base is shared memory, else the temporary directory; `<service>` is a
hash of its name and place. A run comprises the processes of one server. Two simultaneous runs of a service (a deploy
by USR2, `--reuse-port`) have separate directories; a restarted service continues the one that is free.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from telemetry.journal.locks import exclusive, is_held, open_lock, try_lock, try_take, unlock
from telemetry.journal.ring import has_unread

PREFIX = "telemetry-"
_MEMORY = Path("/dev/shm")  # noqa: S108  (only the user can access what is created there)
_LEAST_FREE_BYTES = 8 << 20
_MOST_RUNS = 100
_ATTEMPTS = 100
_MOST_SLOTS = 4096
_FORGOTTEN_SECONDS = 24 * 3600
_LOCK, _SERVER, _EXPORTER = "lock", "server.lock", "exporter.lock"
_SOCKET, _SERVICE = "socket", "service"


def bases(service: str, place: str, run: str, user: int | None = None) -> list[Path]:
    """Return the bases where the run may be joined: its present one, else candidates for a new run, best first.

    All processes of a run share one base, even if its file system has filled up since: one exporter serves them.
    """
    places = _places()
    free = _free_bytes(_MEMORY)  # before looking for the run, whose own rings may be what fills it
    for base in places:
        if any(_holder(path / _LOCK) == run for path in service_directory(base, service, place, user).glob("run-*")):
            return [base]
    return places if free >= _LEAST_FREE_BYTES else places[1:] or places


def _places() -> list[Path]:
    """Return shared memory and the temporary directory, which a container with a read-only root may not have."""
    try:
        return [_MEMORY, Path(tempfile.gettempdir())]
    except FileNotFoundError:
        return [_MEMORY]


def _free_bytes(folder: Path) -> int:
    """Return the free space in `folder`; 0 if this user cannot write there."""
    try:
        free = os.statvfs(folder)
    except OSError:
        return 0
    return free.f_bavail * free.f_frsize if os.access(folder, os.W_OK | os.X_OK) else 0


def _holder(path: Path) -> str | None:
    """Return the run that last took the directory of this lock."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None


def service_directory(base: Path, service: str, place: str, user: int | None = None) -> Path:
    """Return the directory of all runs of a service, which may not exist; `place` is where it listens."""
    key = hashlib.sha256(f"{service}\0{place}".encode()).hexdigest()[:12]
    return base / f"{PREFIX}{os.geteuid() if user is None else user}-{key}"


def run_directories(user: int | None = None) -> Iterator[Path]:
    """Return the runs' directories of all services of a user on this host."""
    for base in _places():
        for parent in sorted(base.glob(f"{PREFIX}{os.geteuid() if user is None else user}-*")):
            with suppress(FileNotFoundError):  # an ending exporter removes it
                yield from sorted(path for path in parent.iterdir() if path.name.startswith("run-"))


def make_private(path: Path, owner: tuple[int, int] | None = None) -> None:
    """Create a directory that only its owner can enter, or check an existing one. Raises OSError."""
    with suppress(FileExistsError):
        path.mkdir(0o700)
        if owner:
            os.chown(path, *owner)
    found = path.lstat()
    owners = {os.geteuid(), owner[0]} if owner else {os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or found.st_mode & 0o077:
        text = f"{path} is not a directory of this user alone: owner {found.st_uid}, mode {found.st_mode:o}"
        raise PermissionError(errno.EACCES, text)


class RunDirectory:
    """The directory of one run, held by each of its processes from `join` to `leave`."""

    def __init__(self, path: Path, number: int, hold: int) -> None:
        self.path = path
        self.number = number
        self._hold = hold
        self._is_described = False

    @classmethod
    def join(
        cls,
        base: Path,
        service: str,
        place: str,
        run: str,
        *,
        owner: tuple[int, int] | None = None,
        disk: str | None = None,
    ) -> Self:
        """Join the run named `run`, or begin it in a directory that no other run holds.

        Prefers a directory where a former run left data, in memory or in `disk`, where spools outlive runs.
        `owner` is the user and group of the processes, if the caller is root and they are not.
        Raises OSError if the directory cannot be created or belongs to another user.
        """
        parent = service_directory(base, service, place, owner[0] if owner else None)
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError):  # an ending exporter has just removed the directory
                return cls._join(parent, run, owner, disk)
        return cls._join(parent, run, owner, disk)

    @classmethod
    def _join(cls, parent: Path, run: str, owner: tuple[int, int] | None, disk: str | None) -> Self:
        make_private(parent, owner)
        with exclusive(parent / _LOCK, owner):
            for number in _preferred(parent, run, disk):
                path = parent / f"run-{number}"
                make_private(path, owner)
                hold = cls._hold_for(path / _LOCK, run, owner)
                if hold is not None:
                    return cls(path, number, hold)
        raise OSError(errno.EUSERS, f"{_MOST_RUNS} runs of the service at once in {parent}")

    @staticmethod
    def _hold_for(path: Path, run: str, owner: tuple[int, int] | None) -> int | None:
        descriptor = open_lock(path, owner)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if os.pread(descriptor, 200, 0).decode() != run:
                    os.close(descriptor)
                    return None
            else:
                path.with_name(_SERVER).unlink(missing_ok=True)  # that of a former run
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, run.encode(), 0)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        except BaseException:
            with suppress(OSError):
                os.close(descriptor)
            raise
        return descriptor

    def leave(self) -> None:
        """Release the directory."""
        if self._hold >= 0:
            os.close(self._hold)
            self._hold = -1

    @property
    def is_gone(self) -> bool:
        """Whether all or part of it was removed from outside, as systemd-logind does with a user's shared memory."""
        if self._hold < 0 or os.fstat(self._hold).st_nlink == 0:
            return True
        return self._is_described and not (self.path / _SERVICE).exists()

    def take_slot(self) -> tuple[int, int]:
        """Return the lowest free slot and the descriptor that locks its file, which may be empty. Raises OSError."""
        for slot in range(_MOST_SLOTS):
            descriptor = try_take(ring_path(self.path, slot))
            if descriptor is not None:
                return slot, descriptor
        raise OSError(errno.EUSERS, f"{_MOST_SLOTS} processes record into {self.path}")

    def describe(self, service: dict[str, Any]) -> bool:
        """Write the service's description for the exporter; return whether it replaced a different one."""
        self._is_described = True
        path, text = self.path / _SERVICE, json.dumps(service, sort_keys=True)
        with suppress(OSError, UnicodeDecodeError):
            if path.read_text() == text:
                return False
        changed = path.exists()
        new = path.with_name(f"{_SERVICE}.{os.getpid()}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        new.replace(path)
        return changed


def _preferred(parent: Path, run: str, disk: str | None) -> Iterator[int]:
    """Yield the numbers of the runs' directories in the order in which to try them; some twice.

    The run's own comes first, then those with rings or batches, which no other process would deliver.
    """
    own, left = [], []
    parents = [parent, *([Path(disk) / parent.name] if disk else [])]
    for path in (path for each in parents for path in sorted(each.glob("run-*"))):
        number = path.name.partition("-")[2]
        if not number.isdecimal() or int(number) >= _MOST_RUNS:
            continue
        if _holder(parent / path.name / _LOCK) == run:
            own.append(int(number))
        elif any(path.glob("*-*")):  # slot-0.ring, traces-000000000001-1-00000000
            left.append(int(number))
    yield from (*own, *left, *range(_MOST_RUNS))


def read_service(path: Path) -> dict[str, Any]:
    """Return what `RunDirectory.describe` wrote into the directory at `path`. Raises OSError, ValueError."""
    found: dict[str, Any] = json.loads((path / _SERVICE).read_text())
    return found


def is_unused(path: Path) -> bool:
    """Return whether no process has joined the run at `path`, no former one has left anything, and none exports it."""
    return not ((path / _SERVICE).exists() or any(path.glob("*-*")) or is_held(lock_of_exporter(path)))


def ring_path(path: Path, slot: int) -> Path:
    """Return the file of a slot's ring."""
    return path / f"slot-{slot}.ring"


def rings(path: Path) -> dict[int, Path]:
    """Return the rings' files by slot. Raises FileNotFoundError if the directory does not exist."""
    found = {int(file.stem.partition("-")[2]): file for file in path.iterdir() if file.suffix == ".ring"}
    return dict(sorted(found.items()))


def lock_of_server(path: Path) -> Path:
    """Return the lock file of a server whose hooks wait for the last delivery."""
    return path / _SERVER


def had_server(path: Path) -> bool:
    """Return whether a server has held the run: then the run ends with the server, not while it has no workers."""
    return lock_of_server(path).exists()


def is_alive(path: Path) -> bool:
    """Return whether a process of the run may still record. Raises FileNotFoundError if the directory is missing."""
    return is_held(lock_of_server(path)) or any(map(is_held, rings(path).values()))


def lock_of_exporter(path: Path) -> Path:
    """Return the exporter's lock file."""
    return path / _EXPORTER


def socket_of(path: Path) -> Path:
    """Return the path of the exporter's socket."""
    return path / _SOCKET


def remove_forgotten(now: float) -> list[Path]:
    """Remove this user's runs that no process has held for a day; return their directories. Raises nothing."""
    removed = []
    for path in run_directories():
        with suppress(OSError):
            newest = max(entry.stat().st_mtime for entry in (path, *path.iterdir()))
            if now - newest > _FORGOTTEN_SECONDS and not is_alive(path) and remove(path, unread=True):
                removed.append(path)
    return removed


def has_records(path: Path) -> bool:
    """Return whether the rings in the directory at `path` hold records that no exporter has processed."""
    try:
        return any(map(has_unread, rings(path).values()))
    except FileNotFoundError:
        return False


def remove(path: Path, *, unread: bool = False) -> bool:
    """Remove the directory of a run that is not held, and its parent with the last one; return whether it is gone.

    Keeps one with unread records, which a process may have written since the exporter looked, unless `unread` is true.
    """
    parent = path.parent
    try:
        with exclusive(parent / _LOCK, None):
            descriptor = try_lock(path / _LOCK, fcntl.LOCK_EX)
            if descriptor is None:
                return False
            try:
                if not unread and has_records(path):
                    return False
                shutil.rmtree(path, ignore_errors=True)
            finally:
                unlock(descriptor)
            if not any(parent.glob("run-*")):
                shutil.rmtree(parent, ignore_errors=True)
    except FileNotFoundError:
        return True
    return not path.exists()
