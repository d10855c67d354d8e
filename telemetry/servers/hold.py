"""A server's hold on its run: meanwhile the exporter keeps running, and at its end the server waits for it."""

import atexit
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep

from telemetry.config import TelemetryConfig
from telemetry.config.fingerprint import environment_of
from telemetry.journal import directory
from telemetry.journal.asking import ask_to_look
from telemetry.journal.directory import RunDirectory
from telemetry.journal.locks import is_held, try_take, unlock
from telemetry.journal.runs import run_of
from telemetry.journal.starting import start_exporter

_POLL_SECONDS = 0.02
# The exporter's time beyond that of its senders.
_MARGIN_SECONDS = 0.5
# How long a starting exporter may take to lock, and an ending one to remove the directory.
_START_SECONDS, _REMOVE_SECONDS = 5.0, 0.2

logger = logging.getLogger(__name__)


def hold(config: TelemetryConfig, place: str, owner: tuple[int, int] | None = None) -> "Hold | None":
    """Hold the run that this process's children will join; log a failure, and return None.

    `place` is where the server listens; `owner` is the user and group of its workers if they differ from its own.
    """
    problem: OSError | None = None
    run = run_of(os.getpid())
    for base in directory.bases(config.named, place, run, owner[0] if owner else None):
        try:
            joined = RunDirectory.join(base, config.named, place, run, owner=owner, disk=config.spool_dir)
            return Hold(joined, config, owner)
        except OSError as error:
            problem = error
    logger.warning("the server's end will not wait for the last delivery: %s", problem)
    return None


class Hold:
    """Holds the directory of a run until `release`, in this process only, not in its children."""

    def __init__(self, run: RunDirectory, config: TelemetryConfig, owner: tuple[int, int] | None) -> None:
        self._run = run
        self._config = config
        self._owner = owner
        self._is_over = False
        self._lock = try_take(directory.lock_of_server(run.path), owner)
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self._leave)  # a server whose address is taken, or whose application fails, has no `release`

    def _forget(self) -> None:
        self._let_go(os.close)

    def _let_go(self, close: Callable[[int], None]) -> bool:
        """Give up lock and directory; return False if they were given up before."""
        if self._is_over:
            return False
        self._is_over = True
        if self._lock is not None:
            close(self._lock)
        self._run.leave()
        return True

    def release(self, wait: Callable[[float], None] = sleep) -> bool:
        """Let the exporter end, and wait up to TELEMETRY_FLUSH_TIMEOUT; return whether it has delivered and ended.

        Starts one if none runs, as after a kill. Logs a failed delivery.
        """
        self._leave()  # before the exporter checks, which removes the directory if no process holds it
        path, timeout = self._run.path, self._config.flush_timeout + _MARGIN_SECONDS
        exporter = directory.lock_of_exporter(path)
        if is_held(exporter):
            ask_to_look(path)
        if not _wait_until(lambda: not is_held(exporter), timeout, wait):
            logger.warning("telemetry's exporter has not ended within %.1f s; it goes on without the server", timeout)
            return False
        if _wait_until(lambda: not self._is_left(), _REMOVE_SECONDS, wait):
            return True
        problem = self._start()
        if not problem and _wait_until(lambda: is_held(exporter) or not self._is_left(), _START_SECONDS, wait):
            _wait_until(lambda: not is_held(exporter), timeout, wait)
            if _wait_until(lambda: not self._is_left(), _REMOVE_SECONDS, wait):
                return True
        problem = problem or "the exporter that was started for it did not end in time, or failed"
        logger.warning("telemetry could not deliver what waits in %s for the next start: %s", path, problem)
        return False

    def _leave(self) -> None:
        """Hold the directory no more, and remove it where no process has joined the run."""
        if not self._let_go(unlock):
            return
        with suppress(OSError):
            if directory.is_unused(self._run.path):
                directory.remove(self._run.path)

    def _is_left(self) -> bool:
        """Return whether the run's directory remains although no process records any more."""
        try:
            directory.read_service(self._run.path)
            return not directory.is_alive(self._run.path)
        except (OSError, ValueError):
            return False

    def _start(self) -> str:
        """Start an exporter; return why that is impossible, or ""."""
        path = self._run.path
        try:
            service = directory.read_service(path)
            if service["environment"] != environment_of(os.environ):
                return "there is no exporter, and the settings of the workers are not those of the server"
            if self._config.exporter == "thread" and self._owner is None:
                from telemetry.exporting.thread import start

                start(path)
            else:
                start_exporter(path, owner=self._owner).wait(_START_SECONDS)
        except FileNotFoundError:  # another exporter has ended
            return ""
        except Exception as error:  # noqa: BLE001  (the server has to end)
            return f"there is no exporter, and none can be started: {error}"
        return ""


def _wait_until(is_so: Callable[[], bool], timeout: float, wait: Callable[[float], None]) -> bool:
    """Wait up to `timeout` seconds until `is_so` returns True; return whether it did."""
    deadline = monotonic() + timeout
    while not is_so():
        if monotonic() >= deadline:
            return False
        wait(_POLL_SECONDS)
    return True
