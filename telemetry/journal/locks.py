"""Locks between processes: `flock`s of files, which the kernel releases with the last process that holds them."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep

from telemetry.journal.forks import close_in_children, forget, no_fork

# `is_held` takes a shared lock for an instant.
_LOOKS, _LOOK_SECONDS = 100, 0.01


def open_lock(path: Path, owner: tuple[int, int] | None = None) -> int:
    """Return a descriptor of the file to lock; a new file gets `owner` (user and group). Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if owner:
            os.fchown(descriptor, *owner)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def try_lock(path: Path, mode: int, owner: tuple[int, int] | None = None) -> int | None:
    """Return a descriptor that locks `path` by `flock`; None if another process holds it. Raises OSError.

    `owner` as in `open_lock`.
    """
    descriptor = open_lock(path, owner)
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return None
        raise
    if os.fstat(descriptor).st_nlink == 0:  # removed between the two calls
        os.close(descriptor)
        return try_lock(path, mode, owner)
    return descriptor


def try_take(path: Path, owner: tuple[int, int] | None = None) -> int | None:
    """Lock `path` exclusively, as `try_lock` does; wait up to a second for processes that only look. Raises OSError."""
    for _ in range(_LOOKS):
        descriptor = try_lock(path, fcntl.LOCK_EX, owner)
        if descriptor is not None or is_held(path):
            return descriptor
        sleep(_LOOK_SECONDS)
    return None


def try_own(path: Path) -> int | None:
    """Lock `path` exclusively, as `try_take` does, but not for forked children. Raises OSError."""
    with no_fork:
        descriptor = try_take(path)
        if descriptor is not None:
            close_in_children(descriptor)
        return descriptor


def unlock(descriptor: int) -> None:
    """Unlock a descriptor and close it: closing alone leaves it locked while a forked child also has it open."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def release(*descriptors: int) -> None:
    """Unlock and close descriptors that are closed in children, in this order."""
    for descriptor in descriptors:
        forget(descriptor)
        unlock(descriptor)


def is_held(path: Path) -> bool:
    """Return whether a process holds `path` exclusively."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        unlock(descriptor)
    return False


@contextmanager
def exclusive(path: Path, owner: tuple[int, int] | None) -> Iterator[None]:
    """Hold an exclusive lock of `path` within the context; `owner` as in `open_lock`. Raises OSError."""
    while True:
        descriptor = open_lock(path, owner)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:  # else its last holder removed it
                yield
                return
        finally:
            unlock(descriptor)
