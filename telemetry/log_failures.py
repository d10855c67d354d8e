"""What is said when a log record cannot be written: that it happened, and nothing of the record.

`logging` prints the raw message and its arguments on standard error instead, for each record.
"""

import sys
from contextlib import suppress
from threading import Lock
from time import monotonic

_INTERVAL = 60.0  # seconds


class _Failures:
    """What has failed so far in this process: module state, kept in one visible place."""

    count = 0
    next_report = 0.0
    lock = Lock()


def report() -> None:
    """Report the error being handled on standard error: its type and how many there were, once a minute."""
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
