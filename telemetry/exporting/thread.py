"""The exporter as a thread of a serving process: if no second process can be started, or TELEMETRY_EXPORTER=thread.

It has the same loop, files and guarantees, but competes with the requests of the process that holds the lock.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread, main_thread

from telemetry.exporting.service import export
from telemetry.journal import directory
from telemetry.journal.asking import succeeded
from telemetry.journal.locks import try_own

_lock = Lock()


class _Running:
    thread: Thread | None = None


def start(path: Path, *, succeed: bool = False, at_the_end: Callable[[], None] = lambda: None) -> None:
    """Begin to export for the run at `path`, unless another process does; with `succeed`, once that one has ended.

    `at_the_end` records what is left once the main thread has ended: the interpreter's exit handlers come too late.
    """
    with _lock:
        if _Running.thread is not None and _Running.thread.is_alive():
            return
        held = try_own(directory.lock_of_exporter(path))
        if held is None and not succeed:
            return
        _Running.thread = Thread(target=_run, args=(path, held, at_the_end), name="telemetry-exporter")
        _Running.thread.start()


def _run(path: Path, held: int | None, at_the_end: Callable[[], None]) -> None:
    if held is None:
        with suppress(FileNotFoundError):
            held = succeeded(path, main_thread().is_alive)
        if held is None:
            return
    ended = Event()

    def stop() -> bool:
        if not (ended.is_set() or main_thread().is_alive()):  # the interpreter shuts down, and waits for this thread
            at_the_end()
            ended.set()
        return ended.is_set()

    export(path, held, stop=stop)


def _forget() -> None:
    global _lock  # noqa: PLW0603  (a forked child must not inherit a lock held by a thread that it lacks)
    _lock = Lock()
    _Running.thread = None


os.register_at_fork(after_in_child=_forget)
