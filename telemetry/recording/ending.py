"""The end of a process that takes the exporter with it: a container ends with its first process, whatever else runs."""

import atexit
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

from telemetry.journal import directory
from telemetry.journal.asking import ask_to_look
from telemetry.recording.journal import journal

_FIRST = 1
# Programs that are the first process for another one's sake, and end with it; `docker run --init` has the first.
_INITS = {"docker-init", "tini", "dumb-init", "catatonit"}
_POLL_SECONDS = 0.02
# How long an exporter may take that is just starting, and what each needs beyond the time that its senders have: it
# waits for the successor of a process that recorded alone.
_START_SECONDS, _MARGIN_SECONDS = 5.0, 2.0


def wait_at_the_end(see_to_exporter: Callable[[], None], flush_timeout: float) -> None:
    """Have this process wait for the last delivery, TELEMETRY_FLUSH_TIMEOUT at most, if a container ends with it.

    Elsewhere the exporter outlives it. A server that is the first process waits for its workers if it has our hooks.
    """
    if is_first_process():
        atexit.register(_wait, os.getpid(), see_to_exporter, flush_timeout)


def is_first_process() -> bool:
    """Return whether a container ends with this process: it is the first one, or that is there for its sake."""
    return os.getpid() == _FIRST or (os.getppid() == _FIRST and _name_of(_FIRST) in _INITS)


def _name_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


def _wait(process: int, see_to_exporter: Callable[[], None], flush_timeout: float) -> None:
    if os.getpid() != process:  # the child of a fork has its parent's list of ends
        return
    see_to_exporter()
    if journal.directory is None:
        return
    path = journal.directory.path
    journal.close()
    with suppress(OSError):
        if directory.is_alive(path):  # other processes record there, and the last of them may be waited for
            return
    deadline = monotonic() + _START_SECONDS
    while path.exists() and monotonic() < deadline and not ask_to_look(path):  # the exporter removes it at its end
        pass
    deadline = monotonic() + flush_timeout + _MARGIN_SECONDS
    while path.exists() and monotonic() < deadline:
        sleep(_POLL_SECONDS)
