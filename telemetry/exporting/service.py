"""An exporter's life: assembles its parts for a run, and removes the run's directory when the run is over."""

import gc
import logging
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import time
from typing import Any

from telemetry import privacy
from telemetry.config import TelemetryConfig
from telemetry.exporting.items.translation import Translator
from telemetry.exporting.loop import Loop
from telemetry.exporting.outlets import Outlets
from telemetry.exporting.own_log import OwnLog
from telemetry.exporting.resource import build_resource
from telemetry.exporting.rings import Rings
from telemetry.exporting.start import FAILED, begin_at_last, rest, serves
from telemetry.exporting.state import State
from telemetry.exporting.ways import Ways
from telemetry.journal import directory
from telemetry.journal.disk import left_behind, take_folder
from telemetry.journal.locks import release

logger = logging.getLogger(__name__)

_NICENESS = 5
_COLLECTIONS = 100_000, 20, 100


def _ways(config: TelemetryConfig) -> Ways:
    """Return the way of each signal in the configured mode; nothing else branches on the mode."""
    from telemetry.exporting import collector, direct

    return {"collector": collector.ways, "direct": direct.ways}[config.mode](config)


def export(path: Path, lock: int, stop: Callable[[], bool] | None = None) -> bool:
    """Export for the run at `path` until the run is over; the descriptor `lock` holds the exporter's lock.

    With `stop`, it runs in a thread of a serving process, and also ends when `stop` returns True. Returns True if
    another exporter must start: after a failure and a pause, or if a process joined the run at the last moment, even
    one that has ended since, as it saw a running exporter.
    """
    if forgotten := directory.remove_forgotten(time()):
        logger.info("removed the journals of %d former runs that no service has continued for a day", len(forgotten))
    if stop is None:
        # Records are tuples without reference cycles, which the garbage collector would scan in vain.
        gc.freeze()
        gc.set_threshold(*_COLLECTIONS)
    ends = stop or (lambda: False)
    begun = begin_at_last(path, lambda: _begin(path, lock, in_thread=stop is not None), ends)
    if begun is None:
        release(lock)
        return False
    loop, service, held = begun
    try:
        loop.run(ends)
    except Exception:
        logger.exception(FAILED)
        return rest(path, ends) and stop is None
    finally:
        release(*held, lock)  # this one last, as a successor waits for it
    # A directory that a new run has taken meanwhile is held, and stays.
    with suppress(OSError, ValueError):
        if not directory.remove(path) and stop is None:
            return directory.has_records(path) or (directory.is_alive(path) and directory.read_service(path) == service)
    return False


def _begin(path: Path, lock: int, *, in_thread: bool) -> tuple[Loop, dict[str, Any], list[int]]:
    """Return the loop, the service's description, and the descriptors that lock its spool folder; raises any failure.

    A missing folder or certificate that existed when the service started is an outage here.
    """
    service = directory.read_service(path)
    config = replace(TelemetryConfig.from_env(outside=False), service_name=service["service"])
    own_records: deque[tuple[Any, ...]] = deque(maxlen=1000)
    if not in_thread:
        OwnLog.install(own_records, config, readable=bool(service.get("readable")))
    disk, held = _spool_folder(path, config)
    try:
        return _loop(path, config, service, own_records, disk, lock=lock, in_thread=in_thread), service, held
    except BaseException:
        release(*held)
        raise


def yield_to_the_service() -> None:
    """Run with a lower priority than the serving processes, so that they wait less for a shared core.

    A separate session is a separate group in Linux's autogrouping, where a nice value counts only within the group
    (https://man7.org/linux/man-pages/man7/sched.7.html, "The autogroup feature").
    """
    with suppress(OSError):
        os.nice(_NICENESS)
    with suppress(OSError):  # no autogrouping
        Path("/proc/self/autogroup").write_text(str(os.nice(0)))


def _loop(
    path: Path,
    config: TelemetryConfig,
    service: dict[str, Any],
    own_records: "deque[tuple[Any, ...]]",
    disk: Path | None,
    *,
    lock: int,
    in_thread: bool,
) -> Loop:
    run = int(path.name.rpartition("-")[2])
    state = State([disk, path] if disk else [path])
    privacy.configure(config.redact, strict=config.privacy == "strict")
    resource = privacy.redactor().resource(build_resource(config, service["place"], run, service["version"]))
    outlets = Outlets(config, _ways(config), path, disk, resource, service["metric_attributes"], state)
    translator = Translator(
        redactor=privacy.redactor(),
        limits=config.limits,
        aggregation=outlets.aggregation,
        spans=outlets.spans,
        logs=outlets.logs,
        methods=outlets.own.methods,
    )

    def is_current() -> bool:
        try:
            return directory.read_service(path) == service
        except (OSError, ValueError):
            return False

    return Loop(
        path,
        rings=Rings(path, state.of("rings") or {}),
        translator=translator,
        outlets=outlets,
        state=state,
        own_records=own_records,
        is_current=is_current,
        is_alone=lambda: os.fstat(lock).st_nlink > 0,
        serves=partial(serves, service),
        in_thread=in_thread,
    )


def _spool_folder(path: Path, config: TelemetryConfig) -> tuple[Path | None, list[int]]:
    """Return the run's folder in TELEMETRY_SPOOL_DIR, None if unset or unusable, and the descriptors that lock it."""
    if not config.spool_dir:
        return None, []
    base = Path(config.spool_dir)
    try:
        taken = take_folder(base, path)
    except OSError as error:
        text = "TELEMETRY_SPOOL_DIR: %s cannot be used (%s); batches wait in memory"
        logger.warning(text, error.filename or config.spool_dir, error.strerror)
        return None, []
    if left := left_behind(base, path):
        text = (
            "TELEMETRY_SPOOL_DIR: no exporter sends what waits in %s; one does when the service is started as before "
            "(name, address, command, working directory)"
        )
        logger.warning(text, ", ".join(f"{folder} ({size} bytes)" for folder, size in left.items()))
    return taken
