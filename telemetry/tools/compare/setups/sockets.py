"""Ports of the loopback address, and waiting for conditions."""

import random
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic, sleep
from typing import TypeVar

T = TypeVar("T")

# Below the ephemeral range, so that a port that is free now still is when its process has started.
_PORTS = range(26_000, 32_768)


def free_port(candidates: Iterable[int] | None = None) -> int:
    """Return the first of `candidates` (by default 26000 to 32767, shuffled) that nothing listens on at 127.0.0.1.

    Raises RuntimeError if all are taken.
    """
    for port in candidates or random.sample(_PORTS, len(_PORTS)):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


def listens(port: int) -> bool:
    """Return whether anything accepts connections on the port of 127.0.0.1."""
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
