"""Ports of the loopback address, and waiting for what takes its time."""

import socket
from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

T = TypeVar("T")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Return whether somebody takes connections on the port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], T], timeout: float = 30.0, what: str = "") -> T:
    """Return the first true value of `condition`; raise TimeoutError after `timeout` seconds."""
    deadline = monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if monotonic() > deadline:
            raise TimeoutError(f"{what or condition} is still {value!r} after {timeout} s")
        sleep(0.05)
