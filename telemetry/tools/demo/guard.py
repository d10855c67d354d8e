"""`python -m telemetry.tools.demo.guard`: ends the demo's processes when the demo itself was killed.

Reads lines from standard input, which the demo holds open: `+PID` for a process that was started as the leader of a
session, `-PID` for one that has ended. When the input ends, all that are left are stopped, the newest first.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable
from time import monotonic, sleep

_GRACE = 8.0
"""Seconds that all processes together have to stop gracefully."""


def watch(lines: Iterable[str]) -> list[int]:
    """Return the processes that remain when the input ends, the newest first."""
    running: dict[int, None] = {}
    for line in lines:
        sign, number = line[:1], line[1:].strip()
        # A line that was cut short by the demo's end may be missing digits.
        if line.endswith("\n") and number.isdigit():
            if sign == "+":
                running[int(number)] = None
            else:
                running.pop(int(number), None)
    return list(reversed(running))


def end(left: list[int]) -> None:
    """Stop the processes one after the other, and kill those that do not stop in time with all their children."""
    deadline = monotonic() + _GRACE
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        while _lives(pid) and monotonic() < deadline:
            sleep(0.1)
    for pid in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    end(watch(sys.stdin))
