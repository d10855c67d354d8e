"""Ports that stay free between the choice and the use, whatever other processes do."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from pathlib import Path

from telemetry.tools.compare.setups import sockets

# Below those that a kernel gives for port 0 and to clients (Linux: from 32768), in blocks that one process has alone.
_FIRST, _BLOCK, _BLOCKS = 20_000, 200, 30


@cache
def _ports() -> Iterator[int]:
    """Return the ports of a block that no other process has while this process lives, over and over."""
    for first in range(_FIRST, _FIRST + _BLOCKS * _BLOCK, _BLOCK):
        try:
            lock = os.open(Path(tempfile.gettempdir(), f"userapi-tests-{first}.lock"), os.O_WRONLY | os.O_CREAT)
        except OSError:  # another user's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
        else:
            return cycle(range(first, first + _BLOCK))
    raise RuntimeError(f"all {_BLOCKS} blocks of ports are in use")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on, nor will, except what gets its number."""
    return sockets.free_port(_ports())
