"""What a forked child finds."""

import os
import signal
from collections.abc import Callable

_SECONDS = 30


def in_child(check: Callable[[], bool]) -> bool:
    """Return what `check` returns in a forked child; False if it raises or does not end."""
    child = os.fork()
    if child == 0:
        signal.alarm(_SECONDS)
        try:
            os._exit(0 if check() else 1)
        finally:  # the child must not go on with the tests
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
