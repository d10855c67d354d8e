"""What all processes of a test run share: results that one of them makes, and servers that the last one stops."""

import fcntl
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

import pytest

T = TypeVar("T")


def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return a folder that all xdist workers of this run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, which need not exist."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made_once(folder: Path, name: str, make: Callable[[], T]) -> T:
    """Return what `make` returned in the first process that asked; the others wait for it, and get a copy."""
    result = folder / f"{name}.pickle"
    with locked(folder / f"{name}.lock"):
        if not result.exists():
            made = make()
            result.write_bytes(pickle.dumps(made))
        found: T = pickle.loads(result.read_bytes())  # noqa: S301  (our own)
        return found


@contextmanager
def used_together(folder: Path, name: str, start: Callable[[], T], stop: Callable[[T], None]) -> Iterator[T]:
    """Yield what `start` returned in the first process that asked; the last process to leave calls `stop` with it.

    One that asks after that starts it again.
    """
    with (folder / f"{name}.users").open("a") as users:
        with locked(folder / f"{name}.turns"):
            found = made_once(folder, name, start)
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield found
        finally:
            with locked(folder / f"{name}.turns"):
                if _is_last(users):
                    (folder / f"{name}.pickle").unlink()
                    stop(found)


def _is_last(users: IO[str]) -> bool:
    """Return whether no other process holds the shared lock."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
