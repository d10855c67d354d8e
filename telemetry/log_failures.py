"""Reports failures to write log records, without any content of the records.

`logging` itself would print each raw message with its arguments on standard error.
"""

import os
import sys
from contextlib import suppress
from threading import RLock
from time import monotonic

_INTERVAL = 60.0  # seconds


class _Failures:
    """The failures in this process so far: module state, kept in one visible place."""

    count = 0
    next_report = 0.0
    lock = RLock()  # reentrant: a signal handler that runs meanwhile may log, too

    @classmethod
    def renew(cls) -> None:
        """Replace the lock, which another thread may have held at a fork."""
        cls.lock = RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_Failures.renew)


def report() -> None:
    """Report the error being handled on standard error, at most once a minute: its type and the number so far."""
    kind = sys.exc_info()[0]
    with _Failures.lock:
        _Failures.count += 1
        count, now = _Failures.count, monotonic()
        if now < _Failures.next_report:
            return
        _Failures.next_report = now + _INTERVAL
    name = kind.__qualname__ if kind else "unknown error"
    with suppress(Exception):  # standard error may be on the same full disk
        sys.stderr.write(f"telemetry: log records cannot be written ({name}), {count} so far\n")
        sys.stderr.flush()
