"""gunicorn's hooks: slots for workers, telemetry started after the fork and flushed before the end.

Use them by importing all names into a gunicorn configuration file. Made for the worker classes `sync` and `gthread`.
"""

import gc
import logging
import math
import os
import sys
import threading
from queue import SimpleQueue
from time import sleep
from typing import Any

from telemetry import lifecycle
from telemetry.logs import RedactingFormatter
from telemetry.state_directory import StateDirectory, create_state_directory
from telemetry.worker import Worker

__all__ = [
    "on_exit",
    "on_starting",
    "post_fork",
    "post_worker_init",
    "pre_fork",
    "worker_abort",
    "worker_exit",
    "worker_int",
]

# gunicorn kills an aborted worker about a second after it was told.
_ABORT_BUDGET = 0.8
# A recycled worker's place stays empty until it is gone: no long wait for a backend that is known to be away.
_RECYCLE_BUDGET_WHILE_FAILING = 1.0
# So many before a full one (Python: 10). Full queues of spans and log records, some 100,000 objects, make fewer.
_MIDDLE_COLLECTIONS = 30
# How long one thread may keep the others waiting, in seconds; Python's default is 0.005.
_SWITCH_INTERVAL = 0.001
# The last flush ends this much before the kill. Seconds, as the others.
_KILL_MARGIN = 0.5

lifecycle.load_config()
lifecycle.leave_start_to_server()


class _End:
    """How this worker is about to end. Set by signal handlers, so nothing here may take a lock."""

    told_to_stop = False
    aborted = False


def _budget(cfg: Any) -> float:
    """Return the seconds that a worker's flush may take within what gunicorn's configuration grants its end.

    Half of the graceful timeout at most, and half of the timeout: a worker that flushes has no heartbeat any more.
    """
    limits: tuple[float, float] = (cfg.graceful_timeout / 2, cfg.timeout / 2 or math.inf)
    return min(lifecycle.load_config().flush_timeout, *limits)


def on_starting(server: Any) -> None:
    """Make the directory in which the workers of this run count together, if they answer `/metrics`."""
    RedactingFormatter.install(logging.getLogger("gunicorn.error"))
    wanted, budget = lifecycle.load_config().flush_timeout, _budget(server.cfg)
    if budget < wanted:
        server.log.warning(
            "TELEMETRY_FLUSH_TIMEOUT is cut from %g to %g s: half of gunicorn's timeout or graceful timeout",
            wanted,
            budget,
        )
    server.telemetry_state = None
    if lifecycle.load_config().metrics.exporter == "prometheus":
        server.telemetry_state = create_state_directory(uid=server.cfg.uid, gid=server.cfg.gid)


def on_exit(server: Any) -> None:
    """Remove what `on_starting` made."""
    state: StateDirectory | None = server.telemetry_state
    if state:
        state.close()


def pre_fork(server: Any, worker: Any) -> None:
    """Give the worker the lowest slot that no living worker has."""
    worker.telemetry_state = server.telemetry_state
    taken = {sibling.telemetry_slot for sibling in server.WORKERS.values()}
    worker.telemetry_slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)


def post_fork(server: Any, worker: Any) -> None:
    """Keep a part of the graceful timeout for the flush.

    gunicorn kills a worker that has not gone after its graceful timeout, and `atexit` never runs in one that waits
    for a stuck request. So this worker gives its requests less time, and where even that does not help (`sync` waits
    for its one request without a limit), what has ended is sent before the kill.
    """
    RedactingFormatter.install(logging.getLogger("gunicorn.error"))  # anew: a reload may have set up new handlers
    graceful_timeout = worker.cfg.graceful_timeout
    worker.telemetry_budget = budget = _budget(worker.cfg)
    worker.cfg.set("graceful_timeout", math.ceil(graceful_timeout - budget))
    stops: SimpleQueue[int] = SimpleQueue()  # unlike an Event, it may be used by a handler that interrupts itself
    handle_exit = worker.handle_exit

    def handle_exit_and_watch(sig: int, frame: Any) -> None:
        _End.told_to_stop = True
        stops.put(sig)
        handle_exit(sig, frame)

    def flush_before_kill() -> None:
        stops.get()
        sleep(max(0.0, graceful_timeout - budget - _KILL_MARGIN))
        lifecycle.flush(budget)

    worker.handle_exit = handle_exit_and_watch
    worker.telemetry_watch = threading.Thread(target=flush_before_kill, name="telemetry-watch", daemon=True)


def post_worker_init(worker: Any) -> None:
    """Start the telemetry: the fork is over, the user is the final one, and the application is loaded."""
    address = ",".join(str(listener) for listener in worker.sockets)
    state: StateDirectory | None = worker.telemetry_state
    lifecycle.start(Worker(worker.telemetry_slot, address, state.path if state else None))
    worker.telemetry_watch.start()
    _shorten_pauses()


def _shorten_pauses() -> None:
    """Keep short what stops a request: full garbage collections, and waits for the thread that encodes a batch.

    What waits for a backend that is away are many objects that stay, which makes collections more frequent, each a walk
    over all that the application has loaded; and its batches are full. `tests.benchmarks.faults` measures it.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _MIDDLE_COLLECTIONS)
    sys.setswitchinterval(_SWITCH_INTERVAL)


def worker_int(worker: Any) -> None:
    """Note that the worker was told to stop at once (SIGINT, SIGQUIT)."""
    _End.told_to_stop = True


def worker_abort(worker: Any) -> None:
    """Note that the worker was found stuck (its timeout)."""
    _End.aborted = True


def worker_exit(server: Any, worker: Any) -> None:
    """Deliver what the worker still holds."""
    if os.getpid() != worker.pid:
        return
    budget: float = worker.telemetry_budget
    pipeline = lifecycle.current()
    if _End.aborted:
        budget = min(budget, _ABORT_BUDGET)
    elif pipeline and pipeline.failing and not _End.told_to_stop:
        budget = min(budget, _RECYCLE_BUDGET_WHILE_FAILING)
    if getattr(worker, "nr_conns", 0) and not _End.aborted:
        # gthread leaves while requests still run in its pool. They will be answered, so they count; should one of
        # them never end, what has ended is sent already when gunicorn kills.
        lifecycle.flush(budget)
        worker.tpool.shutdown(wait=True)
    lifecycle.shutdown(budget)
