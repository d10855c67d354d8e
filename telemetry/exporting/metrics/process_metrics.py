"""CPU, memory and age of the recording processes, measured from outside at no cost to them."""

from collections.abc import Iterable
from contextlib import suppress
from time import monotonic, time

import psutil

from telemetry.exporting.metrics.aggregation import HERE, Aggregation
from telemetry.exporting.rings import Writer
from telemetry.journal.records import Instrument

_SCOPE = ("telemetry", "", "", None)


def _instrument(kind: str, name: str, unit: str, description: str) -> Instrument:
    return (kind, name, unit, description, *_SCOPE)


_CPU = _instrument("observable_counter", "process.cpu.time", "s", "Total CPU seconds broken down by different states.")
_MEMORY = _instrument("observable_updowncounter", "process.memory.usage", "By", "The amount of physical memory in use.")
_VIRTUAL = _instrument(
    "observable_updowncounter", "process.memory.virtual", "By", "The amount of committed virtual memory."
)
_THREADS = _instrument("observable_updowncounter", "process.thread.count", "{thread}", "Process threads count.")
_FILES = _instrument(
    "observable_updowncounter",
    "process.open_file_descriptor.count",
    "{file_descriptor}",
    "Number of file descriptors in use by the process.",
)
_UPTIME = _instrument("observable_gauge", "process.uptime", "s", "The time the process has been running.")
_WORKERS = _instrument(
    "observable_updowncounter", "telemetry.worker.count", "{worker}", "Processes that record, such as workers."
)
_STARTS = _instrument("counter", "telemetry.worker.starts", "{start}", "How often a process has begun to record.")


# Measuring costs about 0.1 ms per process.
_LOOK_SECONDS = 5.0


class ProcessMetrics:
    """Updates the metrics of processes; `former` is what a former exporter has `counted`."""

    def __init__(self, aggregation: Aggregation, former: Iterable[tuple[int, int]] = ()) -> None:
        self._aggregation = aggregation
        self.counted = {*former}
        """The ids of the rings' processes, and when they joined, as of the last `count`."""
        self._processes: dict[Writer, psutil.Process] = {}
        self._next_look = 0.0

    def count(self, writers: Iterable[tuple[int, int]]) -> None:
        """Count those of `writers`, living or ended, that have joined since the last call."""
        joined = {*writers}
        if new := len(joined - self.counted):
            self._aggregation.emit(_STARTS, new, {})
        self.counted = joined

    def observe(self, writers: Iterable[Writer], *, fresh: bool) -> None:
        """Measure the living `writers` every few seconds, when they change, or if `fresh`."""
        living = list(writers)
        self._aggregation.observe(_WORKERS, HERE, [(len(living), {})])
        if not fresh and monotonic() < self._next_look and self._processes.keys() == {*living}:
            return
        self._next_look = monotonic() + _LOOK_SECONDS
        for gone in self._processes.keys() - living:
            del self._processes[gone]
        for writer in living:
            with suppress(psutil.Error):
                self._observe(writer, self._processes.get(writer))

    def _observe(self, writer: Writer, process: psutil.Process | None) -> None:
        if process is None:
            process = self._processes[writer] = psutil.Process(writer.pid)
        observe, pid = self._aggregation.observe, writer.pid
        with process.oneshot():
            cpu, memory = process.cpu_times(), process.memory_info()
            observe(_CPU, pid, [(cpu.user, {"type": "user"}), (cpu.system, {"type": "system"})])
            observe(_MEMORY, pid, [(memory.rss, {})])
            observe(_VIRTUAL, pid, [(memory.vms, {})])
            observe(_THREADS, pid, [(process.num_threads(), {})])
            observe(_FILES, pid, [(process.num_fds(), {})])
            observe(_UPTIME, pid, [(time() - process.create_time(), {})])
