"""The start of an exporter, retried while something prevents it, by this process only, and logged once.

Also the pause after an exporter's failure, as the next one begins with the same records.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from telemetry.config import ConfigError
from telemetry.exporting.server import Answering
from telemetry.journal import directory
from telemetry.journal.runs import is_running

logger = logging.getLogger(__name__)

T = TypeVar("T")

_NOT_STARTED = "the exporter did not start, and tries again"
FAILED = "the exporter failed; another one begins where it stopped"
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_LOOK_SECONDS = 0.5
_REST_SECONDS = 10.0


def serves(service: dict[str, Any]) -> bool:
    """Return whether the server is alive: for a while it may have no worker that has served a request."""
    return bool(service.get("has_server")) and is_running(service["run"])


def begin_at_last(path: Path, begin: Callable[[], T], stop: Callable[[], bool]) -> T | None:
    """Return the result of `begin` for the run at `path`; retry with growing pauses if it raises, logged once.

    Returns None if it still fails when the run is over, belongs to a successor, or `stop` returns True.
    """
    pause, logged, goes_on = _FIRST_PAUSE, "", True
    while True:
        try:
            begun = begin()
        except Exception as error:  # noqa: BLE001  (the service goes on, and the obstacle may be temporary)
            problem = str(error) or type(error).__name__
            if problem != logged and path.exists():
                is_outside = isinstance(error, ConfigError | OSError)  # an outage; anything else is an error of ours
                log = logger.error if is_outside else logger.exception
                log("%s: %s", _NOT_STARTED, problem)
                logged = problem
        else:
            if logged:
                logger.info("the exporter has started after all")
            return begun
        if not goes_on:
            logger.error("what was recorded stays in %s for the next start", path)
            return None
        goes_on = _wait(path, f"{_NOT_STARTED}: {problem}", pause, stop)  # one last attempt follows
        if not path.exists():
            return None
        pause = min(2 * pause, _LONGEST_PAUSE)


def rest(path: Path, stop: Callable[[], bool]) -> bool:
    """Hold the place of a failed exporter for a while; return False at once when the run needs no exporter.

    The next one may fail for the same reason, and each start costs as much as dozens of requests.
    """
    return _wait(path, FAILED, _REST_SECONDS, stop)


def _wait(path: Path, problem: str, seconds: float, stop: Callable[[], bool]) -> bool:
    """Answer questions with `problem` while no exporter works; return False at once when the run needs none."""
    service = _service(path)
    status = {"error": problem}
    answering: Answering | None = None
    with suppress(OSError):  # the socket may be the problem
        answering = Answering(path, lambda _: None, lambda: status, lambda: None)
    try:
        deadline = monotonic() + seconds
        while (left := deadline - monotonic()) > 0:
            if stop() or _service(path) != service or not _is_alive(path, service):
                return False
            if answering is None:
                sleep(min(left, _LOOK_SECONDS))
            else:
                answering.answer_within(min(left, _LOOK_SECONDS))
        return True
    finally:
        if answering is not None:
            answering.close()


def _service(path: Path) -> dict[str, Any]:
    try:
        return directory.read_service(path)
    except (OSError, ValueError):
        return {}


def _is_alive(path: Path, service: dict[str, Any]) -> bool:
    try:
        return directory.is_alive(path) or serves(service)
    except OSError:
        return False
