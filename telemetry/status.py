"""How a running service tells what became of its telemetry: each worker answers on a Unix socket of its own.

`<base>/telemetry-status-<user>-<project>/<process of the run>/slot-<N>.sock`: the base is the memory file system or
the temporary directory, as both sides see it; the directories belong to the user alone (0700), and a project is
the place of this code. A connection gets one JSON object. The socket of a worker that was killed refuses connections
and is passed over, then removed.
"""

import hashlib
import json
import logging
import os
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from time import monotonic, sleep
from typing import Any

logger = logging.getLogger(__name__)

_PREFIX = "telemetry-status-"
_MEMORY_FILE_SYSTEM = Path("/dev/shm")  # noqa: S108 - the directory made in it belongs to the user alone
_PROJECT = hashlib.sha256(str(Path(__file__).resolve().parent).encode()).hexdigest()[:8]
_PRIVATE = 0o700
_BACKLOG = 16
_RETRY_SECONDS = 0.02
_ATTEMPTS = 5
_SEND_SECONDS = 1.0
_ANSWER_SECONDS = 2.0
_LONGEST_ANSWER = 1 << 20


class StatusServer:
    """Answers for one worker until `close`, one connection at a time, in a daemon thread."""

    def __init__(self, run: int, slot: int, describe: Callable[[], dict[str, Any]]) -> None:
        """`run` is the process that all workers of the service have in common. Raises OSError if there is no place."""
        self._describe = describe
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.path = self._bind(run, slot)
        except BaseException:
            self._socket.close()
            raise
        threading.Thread(target=self._serve, name="telemetry-status", daemon=True).start()

    def _bind(self, run: int, slot: int) -> Path:
        for _ in range(_ATTEMPTS):
            path = _make_directory(run) / f"slot-{slot}.sock"
            # With its final name it is never seen without somebody who listens.
            provisional = path.with_suffix(f".{os.getpid()}")
            with suppress(FileNotFoundError):  # the last of the old workers has just removed the directory
                provisional.unlink(missing_ok=True)
                self._socket.bind(str(provisional))
                self._socket.listen(_BACKLOG)
                self._inode = provisional.stat().st_ino
                return provisional.rename(path)
        raise FileNotFoundError("the directory of the status socket vanishes again and again")

    def _serve(self) -> None:
        self._remove_dead()
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(_SEND_SECONDS)
                connection.sendall(self._answer())

    def _remove_dead(self) -> None:
        for path in _sockets_in(self.path.parent.parent):
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(0)
                try:
                    connection.connect(str(path))
                except ConnectionRefusedError:
                    _remove(path)

    def _answer(self) -> bytes:
        try:
            return json.dumps(self._describe()).encode()
        except Exception as error:
            logger.debug("the status could not be told", exc_info=True)
            return json.dumps({"error": type(error).__name__}).encode()

    def close(self) -> None:
        """Answer no more and remove the socket."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._socket.close()
        with suppress(OSError):
            if self.path.lstat().st_ino == self._inode:  # else a successor has taken its place
                self.path.unlink()
            self.path.parent.rmdir()  # the last one


def read_statuses() -> list[dict[str, Any]]:
    """Return what every worker of this user's (root: every user's) running services of this project tells.

    A worker that does not answer in time has an `error` instead.
    """
    answers = [answer for path in _sockets() if (answer := _ask(path)) is not None]
    return sorted(answers, key=lambda answer: (answer["run"], answer["slot"]))


def _bases() -> list[Path]:
    return list(dict.fromkeys([_MEMORY_FILE_SYSTEM, Path(tempfile.gettempdir())]))


def _make_directory(run: int) -> Path:
    error: OSError | None = None
    for base in _bases():
        ours = base / f"{_PREFIX}{os.geteuid()}-{_PROJECT}"
        try:
            ours.mkdir(_PRIVATE, exist_ok=True)
            if not _is_private(ours, os.geteuid()):
                raise PermissionError(f"{ours} belongs to somebody else")
            directory = ours / str(run)
            directory.mkdir(_PRIVATE, exist_ok=True)
        except OSError as caught:
            error = caught
        else:
            return directory
    raise error or FileNotFoundError("no directory for the status socket")


def _is_private(path: Path, uid: int) -> bool:
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == uid and not status.st_mode & 0o077


def _sockets() -> Iterator[Path]:
    user = "*" if os.geteuid() == 0 else str(os.geteuid())
    for base in _bases():
        for directory in sorted(base.glob(f"{_PREFIX}{user}-{_PROJECT}")):
            with suppress(OSError, ValueError):
                if _is_private(directory, int(directory.name.removeprefix(_PREFIX).partition("-")[0])):
                    yield from _sockets_in(directory)


def _sockets_in(directory: Path) -> list[Path]:
    """Return the sockets of all runs; a run's directory may vanish at any moment."""
    found: list[Path] = []
    with suppress(OSError):
        for run in sorted(directory.iterdir()):
            with suppress(OSError):
                found += sorted(path for path in run.iterdir() if fnmatch(path.name, "slot-*.sock"))
    return found


def _connect(connection: socket.socket, path: Path) -> None:
    deadline = monotonic() + _ANSWER_SECONDS
    while True:
        try:
            connection.connect(str(path))
        except BlockingIOError:  # others ask, too, and the backlog is full
            if monotonic() > deadline:
                raise
            sleep(_RETRY_SECONDS)
        else:
            return


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
        path.parent.rmdir()


def _ask(path: Path) -> dict[str, Any] | None:
    place = {"run": int(path.parent.name), "slot": int(path.stem.removeprefix("slot-"))}
    data = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            _connect(connection, path)
            while (chunk := connection.recv(65536)) and len(data) < _LONGEST_ANSWER:
                data += chunk
        return {**place, **json.loads(data)}
    except ConnectionRefusedError:  # its worker is dead
        _remove(path)
        return None
    except FileNotFoundError:  # it has ended just now
        return None
    except (OSError, ValueError):
        return {**place, "error": "does not answer"}
