"""The folder of a run in TELEMETRY_SPOOL_DIR, which outlives the run: `telemetry-<user>-<service>/run-<n>`.

The directory above may be shared with other users, as in /var/tmp, so what exists in it may be anybody's.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from telemetry.journal.forks import close_in_children, no_fork
from telemetry.journal.locks import is_held, release, try_own

_LOCK = "lock"


def take_folder(base: Path, run: Path) -> tuple[Path, list[int]]:
    """Return the folder in `base` of the run at `run`, created if necessary, and the descriptors that lock it.

    Raises OSError if it cannot be used: another user's, or locked by the exporter of another host or container.
    """
    folder = base / run.parent.name / run.name
    base.mkdir(parents=True, exist_ok=True)
    _make_own(folder.parent)
    _make_own(folder)
    lock = try_own(folder / _LOCK)  # a file, as NFS keeps the lock of a directory on one host
    if lock is None:
        raise BlockingIOError(errno.EWOULDBLOCK, "another exporter uses it", str(folder))
    held = [lock]
    try:
        with no_fork:
            former = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            close_in_children(former)
        held.insert(0, former)
        fcntl.flock(former, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which version 0.1 locks
    except OSError:
        release(*held)
        raise
    return folder, held


def left_behind(base: Path, run: Path) -> dict[Path, int]:
    """Return the folders of this user's other services in `base` that no exporter uses, and the bytes of their batches.

    They may be former folders of this service, which has another one when its command or working directory changes.
    """
    found = {}
    for folder in sorted(base.glob(f"{run.parent.name.rpartition('-')[0]}-*/run-*")):
        with suppress(OSError):
            if folder.parent.name == run.parent.name or is_held(folder / _LOCK):
                continue
            if size := sum(batch.stat().st_size for batch in folder.glob("*-*")):
                found[folder] = size
    return found


def _make_own(path: Path) -> None:
    """Create a directory for this user alone, or take this user's. Raises OSError for anything else.

    It may also belong to the owner of the directory above, who could replace it, as to all on some network disks.
    Former versions and Kubernetes (`fsGroup`) let others into it.
    """
    with suppress(FileExistsError):
        path.mkdir(0o700)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if found.st_uid not in {os.geteuid(), path.parent.stat().st_uid}:
            raise PermissionError(errno.EACCES, f"it belongs to the user {found.st_uid}", str(path))
        if found.st_mode & 0o077:
            with suppress(OSError):
                os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)
