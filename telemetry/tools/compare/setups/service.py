"""The service under test: a real gunicorn, its workers, its exporter, and their reports on their telemetry."""

import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil

from telemetry.status import read_statuses
from telemetry.tools.compare.setups.sockets import listens
from telemetry.tools.compare.setups.usage import Exporters, memory_of, seconds_of_server, workers_of
from telemetry.tools.demo.environment import ROOT
from telemetry.tools.demo.processes import Child, Processes
from telemetry.tools.traffic.client import call

_POLL = 0.02
_START_SECONDS = 60.0
_STOP_SECONDS = 45.0
_REPORT_SECONDS = 30.0
"""Under full load an exporter may be slow to answer, and a killed one must be replaced first."""
_PROBE_SECONDS = 30.0
_DROPPED = re.compile(r"telemetry dropped at stop: ([^;]*);")
_COUNTED = re.compile(r"(\d+) (spans|log records|data points)")
_SIGNALS = {"spans": "traces", "log records": "logs"}
_RECYCLED = re.compile(r"\[(\d+)\] \[INFO\] Autorestarting worker")
_ACCESS_RECORD = b'"logger": "userapi.access"'


class ServiceError(Exception):
    """The service did not start or stop properly; the message is one line."""


class Service:
    """`python -m gunicorn ARGUMENTS` on a port of the loopback address.

    It is started in `folder`, and may be restarted when it has ended; it is up when it answers `probe`. It is pinned to
    `cores`, empty for all. Its log has the access record of every request.
    """

    def __init__(  # noqa: PLR0917
        self,
        processes: Processes,
        log: str,
        port: int,
        arguments: Sequence[str],
        env: Mapping[str, str],
        cores: Sequence[int] = (),
        probe: str = "/livez",
        folder: Path = ROOT,
    ) -> None:
        self.port = port
        self._probe = probe
        self._folder = folder
        self.probes_answered = 0
        self._processes = processes
        self._log = Path(log)
        self._arguments = ["-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *arguments]
        self._env = env
        self._cores = cores
        self._children: list[Child] = []
        self._exporters = Exporters()
        self._status: dict[str, Any] | None = None
        self.start_seconds = 0.0
        """Seconds from the command to the first answer."""

    @property
    def child(self) -> Child:
        """The master of the last start; RuntimeError before the first."""
        if not self._children:
            raise RuntimeError("the service was not started")
        return self._children[-1]

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return bool(self._children) and self.child.code is None

    @property
    def exports(self) -> bool:
        """Whether it has an exporter."""
        return self._env.get("TELEMETRY_MODE") != "off"

    def start(self) -> None:
        """Start it and wait until it answers; raises ServiceError."""
        if listens(self.port):  # another process, which must not receive the load
            raise ServiceError(f"port {self.port} is in use; --service-port must be free")
        started = monotonic()
        log = f"{self._log.stem}-{len(self._children)}{self._log.suffix}"
        self._children.append(self._processes.start("the service", log, self._arguments, self._env, self._folder))
        if self._cores and sys.platform == "linux":
            with suppress(psutil.NoSuchProcess):
                psutil.Process(self.child.pid).cpu_affinity(list(self._cores))  # inherited by all its children
        while not self._answers():
            if self.child.code is not None or monotonic() - started > _START_SECONDS:
                raise ServiceError(f"the service does not answer: {' | '.join(self.child.last_lines()[-6:])}")
            sleep(_POLL)
        self.start_seconds = monotonic() - started

    def _answers(self) -> bool:
        try:
            call(self.port, "GET", self._probe, timeout=_PROBE_SECONDS)
        except OSError:
            return False
        self.probes_answered += 1
        return True

    def workers(self) -> list[psutil.Process]:
        """Return the living worker processes."""
        return workers_of(self.child.pid)

    def recycled(self) -> set[int]:
        """Return the ids of the workers that have reached their `max_requests`."""
        return {int(pid) for pid in _RECYCLED.findall(self.child.log.read_text(errors="replace"))}

    def exporter(self) -> psutil.Process | None:
        """Return the exporter, which is not a child of the master; None if none answers."""
        status = self.status()
        return psutil.Process(status["pid"]) if status else None

    def exporter_after_probe(self) -> psutil.Process | None:
        """Return the exporter, None if none answers; the worker that answers this probe starts a missing one."""
        self._answers()
        return self.exporter()

    def cpu_seconds(self) -> float:
        """Return the CPU time so far of all processes of the service: masters, workers, and the exporters."""
        return self.server_seconds() + self.exporter_seconds()

    def server_seconds(self) -> float:
        """Return the CPU time so far of masters and workers."""
        past = sum(child.cpu_seconds for child in self._children)
        if self.is_running:
            with suppress(psutil.NoSuchProcess):
                return past + seconds_of_server(self.child.pid)
        return past

    def exporter_seconds(self) -> float:
        """Return the CPU time so far of the exporters; looks for the current one if none is known."""
        self._exporters.look()
        if self.is_running and not self._exporters.running:
            self.status()
            self._exporters.look()
        return self._exporters.cpu_seconds

    def memory(self) -> tuple[str, float]:
        """Return how memory is counted, and the mean bytes per worker, without the exporter's."""
        found = [memory_of(worker) for worker in self.workers()]
        if not found:
            raise ServiceError(f"the service has no workers: {' | '.join(self.child.last_lines()[-4:])}")
        return found[0][0], sum(size for _, size in found) / len(found)

    def recorders(self) -> list[dict[str, Any]]:
        """Return the rings of the processes that record now, as the exporter describes them."""
        status = self.status()
        return [ring for ring in status["rings"] if ring["alive"]] if status else []

    def exporter_memory(self) -> float | None:
        """Return the exporter's memory in bytes, None if there is no exporter."""
        exporter = self.exporter()
        return memory_of(exporter)[1] if exporter else None

    def status(self) -> dict[str, Any] | None:
        """Return the exporter's report, None if none answers; the last report is kept."""
        if not self.exports:
            return None
        found = next((one for one in read_statuses(run=self.child.pid) if "signals" in one), None)
        if found:
            self._status = found
            self._exporters.note(found["pid"])
        return found

    def report(self) -> None:
        """Have the exporter report the counts of everything recorded; raises ServiceError if it does not.

        Nothing is in flight then, so that no answer of a backend makes the exporter log, and thus record, anything.
        """
        deadline = monotonic() + _REPORT_SECONDS
        while self.exports:
            status = self.status()
            if status and not any(one.get("in_flight", 0) for one in status["signals"].values()):
                self.status()
                return
            if monotonic() > deadline:
                raise ServiceError("the exporter does not report its numbers (manage.py telemetry --status)")
            sleep(_POLL)

    def losses(self, signal_name: str) -> Counter[str]:
        """Return dropped items by reason, from the last report and the log lines of stops.

        `signal_name` is "spans" or "log records".
        """
        found: Counter[str] = Counter()
        if self._status:
            found.update(self._status["signals"][_SIGNALS[signal_name]].get("losses", {}))
        if stopped := self.dropped_at_stops()[signal_name]:
            found["already_shutdown"] += stopped
        return +found

    def ended_items(self, signal_name: str) -> int:
        """Return the items that ended, according to the last report."""
        return _ended(self._status["signals"][_SIGNALS[signal_name]]) if self._status else 0

    def dropped_at_stops(self) -> Counter[str]:
        """Return how many spans, log records and data points the exporters logged as dropped at a stop."""
        dropped: Counter[str] = Counter()
        for child in self._children:
            for line in _DROPPED.findall(child.log.read_text(errors="replace")):
                for number, item in _COUNTED.findall(line):
                    dropped[item] += int(number)
        return dropped

    def access_records(self) -> int:
        """Return how many requests the service has written to its standard output."""
        return sum(child.log.read_bytes().count(_ACCESS_RECORD) for child in self._children)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the master."""
        with suppress(ProcessLookupError):
            os.kill(self.child.pid, number)

    def stop(self) -> float:
        """Stop it gracefully and return the seconds that this took; raises ServiceError if it had to be killed."""
        if self.child.code is not None:
            raise ServiceError(f"the service ended by itself: {' | '.join(self.child.last_lines()[-3:])}")
        self.status()
        started = monotonic()
        self.child.stop()
        seconds = self._watch_end(started)
        if trouble := self.child.wait(0, lambda: False):
            raise ServiceError(f"{trouble}: {' | '.join(self.child.last_lines()[-3:])}")
        self._processes.forget(self.child)
        return seconds

    def _watch_end(self, started: float) -> float:
        """Record the exporters' CPU time until all end; return the seconds from `started` to the master's end."""
        seconds = 0.0
        while (now := monotonic() - started) < _STOP_SECONDS:
            self._exporters.look()
            if not seconds and self.child.code is not None:
                seconds = now
            if seconds and not self._exporters.running:
                break
            sleep(_POLL)
        return seconds

    def kill_all(self) -> None:
        """Kill exporter, master and workers at once; it may be started again."""
        self.status()
        self._exporters.look()
        killed = [*self._exporters.running, *self.workers()]
        for process in killed:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.child.kill()  # including workers that have just been started
        self._processes.forget(self.child)
        psutil.wait_procs(killed, _STOP_SECONDS)  # until then they hold the port
        self._exporters.look()


def _ended(reported: Mapping[str, Any]) -> int:
    """Return how many items of a signal have ended: ended = accepted + each kind of loss + queued and in flight."""
    losses = sum(reported.get("losses", {}).values())
    return int(reported.get("accepted", 0) + losses + reported.get("queue", 0) + reported.get("in_flight", 0))
