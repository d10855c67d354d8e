"""CPU time and memory of a service's processes: the master, its workers, and the exporters, no children of either."""

from contextlib import suppress

import psutil


class Exporters:
    """The exporters that a service has had, one after the other.

    Each is noted while it lives. `look` keeps what it has used until now, because an ended process that is no child of
    ours leaves no trace.
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
        """See what each has used, and which have ended."""
        for pid, process in list(self._running.items()):
            with suppress(psutil.NoSuchProcess):
                if process.is_running():  # a process id may be another's by now
                    self._seconds[pid] = sum(process.cpu_times()[:2])
                    if process.status() != psutil.STATUS_ZOMBIE:
                        continue
            del self._running[pid]

    @property
    def running(self) -> list[psutil.Process]:
        """Those that ran when they were last looked at."""
        return list(self._running.values())

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all of them, by the last look at each."""
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
    times = psutil.Process(master).cpu_times()
    past = sum(getattr(times, name, 0.0) for name in ("children_user", "children_system"))
    return past + times.user + times.system + sum(map(seconds_of, workers_of(master)))


def seconds_of(process: psutil.Process) -> float:
    """Return the CPU time of a process so far, without its children; 0 for one that has ended."""
    try:
        return float(sum(process.cpu_times()[:2]))
    except psutil.NoSuchProcess:
        return 0.0


def memory_of(process: psutil.Process) -> tuple[str, float]:
    """Return how memory is counted, and the bytes of a process. Raises psutil.NoSuchProcess.

    PSS where the system reports it (Linux): what several processes share is divided among them.
    """
    found = process.memory_full_info()
    kind = "pss" if hasattr(found, "pss") else "uss"
    return kind.upper(), float(getattr(found, kind))
