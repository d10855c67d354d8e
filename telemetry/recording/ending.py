"""Waits for the exporter at the end of a container's first process, which ends all others in the container."""

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
# Init programs, which run another process as their child and end with it; `docker run --init` uses the first.
_INITS = {"docker-init", "podman-init", "tini", "dumb-init", "catatonit"}
_POLL_SECONDS = 0.02
# How long an exporter's start may take, and what an exporter needs beyond its senders' time: it waits for a possible
# successor of a process that recorded alone.
_START_SECONDS, _MARGIN_SECONDS = 5.0, 2.0


def wait_at_the_end(see_to_exporter: Callable[[], None], flush_timeout: float) -> None:
    """Make this process wait at exit for the last delivery, up to TELEMETRY_FLUSH_TIMEOUT, if a container ends with it.

    Elsewhere the exporter outlives it. A server that is the first process waits for its workers if it has our hooks.
    """
    if is_first_process():
        atexit.register(_wait, os.getpid(), see_to_exporter, flush_timeout)


def is_first_process() -> bool:
    """Return whether a container ends with this process: it is the first one, or the child of an init program."""
    return os.getpid() == _FIRST or (os.getppid() == _FIRST and _name_of(_FIRST) in _INITS)


def _name_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


def _wait(process: int, see_to_exporter: Callable[[], None], flush_timeout: float) -> None:
    if os.getpid() != process:  # a forked child inherits its parent's exit handlers
        return
    see_to_exporter()
    if journal.directory is None:
        return
    path = journal.directory.path
    journal.join = None
    journal.close()
    with suppress(OSError):
        if directory.is_alive(path):  # other processes record there; the last of them waits
            return
    deadline = monotonic() + _START_SECONDS
    while path.exists() and monotonic() < deadline and not ask_to_look(path):  # the exporter removes it at its end
        pass
    deadline = monotonic() + flush_timeout + _MARGIN_SECONDS
    while path.exists() and monotonic() < deadline:
        sleep(_POLL_SECONDS)
