"""Questions to the exporter, on the socket in the run's directory: one JSON line each way, and a body behind it.

A question is `{"ask": "metrics" | "status", ...}`; the answer `{"ok": true, "type": ..., "size": ...}` and its bytes.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from telemetry.journal.directory import lock_of_exporter, socket_of
from telemetry.journal.locks import try_own

_RETRY_SECONDS = 0.02
_LOOK_SECONDS = 0.5
# An exporter that is to end may deliver before, and take TELEMETRY_FLUSH_TIMEOUT for it.
_SUCCEED_SECONDS = 30.0
_LONGEST_LINE = 64 << 10
# Of Linux' sockaddr_un, whose last byte is 0 (unix(7)).
_LONGEST_ADDRESS = 107


class NoAnswerError(Exception):
    """The exporter did not answer in time; the text says why."""


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """Give the address of the socket of the run at `path`, by a short way where its name is too long for one.

    Raises OSError without the directory.
    """
    address = socket_of(path)
    if len(os.fsencode(address)) <= _LONGEST_ADDRESS:
        yield str(address)
        return
    directory = os.open(address.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{address.name}"
    finally:
        os.close(directory)


def ask(path: Path, question: dict[str, Any], timeout: float) -> tuple[dict[str, Any], bytes]:
    """Return the header and the body of the answer of the exporter of the run at `path`.

    Waits for an exporter that is just starting. Raises NoAnswerError after `timeout` seconds.
    """
    deadline = monotonic() + timeout
    problem: Exception | None = None
    while (left := deadline - monotonic()) > 0:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(left)
            try:
                with address_of(path) as address:
                    connection.connect(address)
                connection.sendall(json.dumps(question).encode() + b"\n")
                return _read(connection)
            except OSError as error:
                problem = error
        sleep(_RETRY_SECONDS)
    raise NoAnswerError(f"the exporter did not answer within {timeout:g} s ({problem or 'it has no socket'})")


def ask_to_look(path: Path) -> bool:
    """Have the exporter of the run at `path` look at once whether it is still needed; return whether it answered."""
    try:
        ask(path, {"ask": "look"}, _LOOK_SECONDS)
    except NoAnswerError:
        return False
    return True


def succeeded(path: Path, goes_on: Callable[[], bool] = lambda: True) -> int | None:
    """Return the descriptor of the exporter's lock once its holder has ended; None where that stays at work.

    The holder is asked to look at once whether it is still the right one. Raises FileNotFoundError without the run.
    """
    deadline, has_looked = monotonic() + _SUCCEED_SECONDS, False
    while goes_on() and monotonic() < deadline:
        held = try_own(lock_of_exporter(path))
        if held is not None:
            return held
        has_looked = has_looked or ask_to_look(path)
        sleep(_RETRY_SECONDS)
    return None


def _read(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    with connection.makefile("rb") as file:
        line = file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise ConnectionResetError("it closed the connection")
        header: dict[str, Any] = json.loads(line)
        body = file.read(header["size"])
        if len(body) < header["size"]:
            raise ConnectionResetError("it closed the connection")
        return header, body


def read_question(connection: socket.socket, timeout: float) -> dict[str, Any]:
    """Return the question that came on an accepted connection. Raises OSError, ValueError."""
    connection.settimeout(timeout)
    data = b""
    while not data.endswith(b"\n"):
        chunk = connection.recv(4096)
        data += chunk
        if not chunk or len(data) > _LONGEST_LINE:
            raise ValueError("it is no question")
    question: dict[str, Any] = json.loads(data)
    return question


def answer(connection: socket.socket, body: bytes, **header: Any) -> None:
    """Answer on an accepted connection; one that has gone meanwhile is its own affair."""
    with suppress(OSError):
        connection.sendall(json.dumps({**header, "size": len(body)}).encode() + b"\n" + body)
