"""Requests to the exporter over the socket in the run's directory: one JSON line each way; the answer has a body.

A question is `{"ask": "metrics" | "status", ...}`; the answer is `{"ok": true, "type": ..., "size": ...}` and its body.
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
# An exporter that is about to end may first deliver, for up to TELEMETRY_FLUSH_TIMEOUT.
_SUCCEED_SECONDS = 30.0
_LONGEST_LINE = 64 << 10
# Bytes in Linux's sockaddr_un.sun_path without the terminating null byte (unix(7)).
_LONGEST_ADDRESS = 107


class NoAnswerError(Exception):
    """The exporter did not answer in time; the text says why."""


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """Yield the address of the socket of the run at `path`, through /proc/self/fd if its path is too long.

    Raises OSError if the directory does not exist.
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
    """Ask the exporter of the run at `path`; return the header and the body of its answer.

    Waits for an exporter that is still starting. Raises NoAnswerError after `timeout` seconds.
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
    """Make the exporter of the run at `path` check now whether it is still needed; return whether it answered."""
    try:
        ask(path, {"ask": "look"}, _LOOK_SECONDS)
    except NoAnswerError:
        return False
    return True


def succeeded(path: Path, goes_on: Callable[[], bool] = lambda: True) -> int | None:
    """Return the descriptor of the exporter's lock once its holder has ended; None if it keeps running.

    Asks the holder to check now whether it is still needed. Raises FileNotFoundError if the run does not exist.
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
    """Return the question received on an accepted connection. Raises OSError, ValueError."""
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
    """Answer on an accepted connection; ignore a client that has disconnected."""
    with suppress(OSError):
        connection.sendall(json.dumps({**header, "size": len(body)}).encode() + b"\n" + body)
