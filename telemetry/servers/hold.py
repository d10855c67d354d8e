"""A server's own hold on its run: the exporter waits for more while it lasts, and the server for it at the end."""

import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from telemetry.journal import directory
from telemetry.journal.asking import ask_to_look
from telemetry.journal.directory import RunDirectory
from telemetry.journal.locks import is_held, try_lock, unlock
from telemetry.journal.runs import run_of

_POLL_SECONDS = 0.02
# What the exporter needs beyond the time that its senders have.
_MARGIN_SECONDS = 0.5

logger = logging.getLogger(__name__)


def hold(service: str, place: str, owner: tuple[int, int] | None = None, disk: Path | None = None) -> "Hold | None":
    """Hold the run that the children of this process will join; None where there is no place for it, which is logged.

    `place` is where the server listens; `owner` (user and group) who its workers run as, where that is another; `disk`
    where spools outlive runs.
    """
    problem: OSError | None = None
    run = run_of(os.getpid())
    for base in directory.bases(service, place, run, owner[0] if owner else None):
        try:
            return Hold(RunDirectory.join(base, service, place, run, owner=owner, disk=disk))
        except OSError as error:
            problem = error
    logger.warning("the server's end will not wait for the last delivery: %s", problem)
    return None


class Hold:
    """Holds the directory of a run from its making to `release`, in this process alone: its children do not."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._lock = try_lock(directory.lock_of_server(run.path), fcntl.LOCK_EX)
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self._run.leave()

    def release(self, timeout: float, wait: Callable[[float], None] = sleep) -> bool:
        """Let the exporter end, and wait `timeout` seconds for it; return whether it has ended."""
        if self._lock is not None:
            unlock(self._lock)
            self._lock = None
        deadline = monotonic() + timeout + _MARGIN_SECONDS
        self._run.leave()  # before the exporter looks: it removes the directory then, if no process holds it
        ask_to_look(self._run.path)
        exporter = directory.lock_of_exporter(self._run.path)
        while (held := is_held(exporter)) and monotonic() < deadline:
            wait(_POLL_SECONDS)
        return not held
