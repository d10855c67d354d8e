"""CPU time and memory of a service's processes: the master, its workers, and the unrelated exporters."""

import ctypes
from contextlib import suppress
from time import clock_gettime

import psutil

# POSIX's clock of a process; macOS has none. /proc, which psutil reads, counts in hundredths of a second.
_GET_CLOCK = getattr(ctypes.CDLL(None), "clock_getcpuclockid", None)


class Exporters:
    """The successive exporters of a service.

    Each is noted while it lives. `look` keeps its CPU time so far, because a process that is not our child leaves no
    trace when it has ended.
    """

    def __init__(self) -> None:
        self._running: dict[int, psutil.Process] = {}
        self._seconds: dict[int, float] = {}

    def note(self, pid: int) -> None:
        """Watch a process from now on."""
        if pid not in self._running:
            with suppress(psutil.NoSuchProcess):
                self._running[pid] = psutil.Process(pid)

    def look(self) -> None:
        """Update the CPU time of each, and find which have ended."""
        for pid, process in list(self._running.items()):
            with suppress(psutil.NoSuchProcess):
                if process.is_running():  # its process id may have been reused
                    self._seconds[pid] = _seconds(process)
                    if process.status() != psutil.STATUS_ZOMBIE:
                        continue
            del self._running[pid]

    @property
    def running(self) -> list[psutil.Process]:
        """The exporters that were running at the last look."""
        return list(self._running.values())

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all exporters, at the last look at each."""
        return sum(self._seconds.values())


def workers_of(master: int) -> list[psutil.Process]:
    """Return the living children of a server's first process."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(master).children():
            with suppress(psutil.NoSuchProcess):  # it has ended just now
                if child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child)
    return found


def seconds_of_server(master: int) -> float:
    """Return the CPU time of a living server so far, past workers included. Raises psutil.NoSuchProcess."""
    server = psutil.Process(master)
    times = server.cpu_times()
    past = sum(getattr(times, name, 0.0) for name in ("children_user", "children_system"))
    return past + _seconds(server) + sum(map(seconds_of, workers_of(master)))


def seconds_of(process: psutil.Process) -> float:
    """Return the CPU time of a process so far, without its children; 0 for one that has ended."""
    try:
        return _seconds(process)
    except psutil.NoSuchProcess:
        return 0.0


def _seconds(process: psutil.Process) -> float:
    clock = ctypes.c_int()
    if _GET_CLOCK is not None and _GET_CLOCK(process.pid, ctypes.byref(clock)) == 0:
        with suppress(OSError):  # it has ended just now
            return clock_gettime(clock.value)
    return float(sum(process.cpu_times()[:2]))


def memory_of(process: psutil.Process) -> tuple[str, float]:
    """Return how memory is counted, and the bytes of a process. Raises psutil.NoSuchProcess.

    PSS where the system reports it (Linux): what several processes share is divided among them.
    """
    found = process.memory_full_info()
    kind = "pss" if hasattr(found, "pss") else "uss"
    return kind.upper(), float(getattr(found, kind))
