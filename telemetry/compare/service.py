"""The service under test: a real gunicorn, its workers, what they use, and what they report of their telemetry."""

import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import psutil

from telemetry.compare.sockets import listens
from telemetry.demo.client import call
from telemetry.demo.processes import Child, Processes
from telemetry.status import read_statuses

_POLL = 0.02
_START_SECONDS = 60.0
_STOP_SECONDS = 45.0
_OK = 200
_DROPPED = re.compile(r"telemetry dropped at stop: ([^;]*);")
_COUNTED = re.compile(r"(\d+) (spans|log records|data points)")
_SIGNALS = {"spans": "traces", "log records": "logs"}
_ACCESS_RECORD = b'"logger": "userapi.access"'


# Under full load a worker may be slow to answer.
_TELL_SECONDS = 30.0
_READINGS = 4
_READING_PAUSE = 0.1


class ServiceError(Exception):
    """The service did not start or stop as it should; one line."""


class Service:
    """`python -m gunicorn -c deploy/gunicorn.conf.py APPLICATION` on a port of the loopback address.

    `cores` are those that it is held to, none for all. Its log has the access record of every request.
    """

    def __init__(
        self, processes: Processes, log: str, port: int, arguments: Sequence[str], env: Mapping[str, str]
    ) -> None:
        self.port = port
        self._processes = processes
        self._log = log
        self._arguments = ["-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}", *arguments]
        self._env = env
        self._child: Child | None = None
        self._ended_statuses: dict[int, dict[str, Any]] = {}
        self._ended: dict[tuple[int, str], int] = {}
        self.start_seconds = 0.0
        """From the command to the first answer."""

    @property
    def child(self) -> Child:
        """The master; RuntimeError before `start`."""
        if self._child is None:
            raise RuntimeError("the service was not started")
        return self._child

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._child is not None

    def start(self, cores: Sequence[int] = ()) -> None:
        """Start it and wait until it answers; raises ServiceError."""
        if listens(self.port):  # another process, which must not get the load
            raise ServiceError(f"port {self.port} is in use; --service-port must be free")
        started = monotonic()
        self._child = self._processes.start("the service", self._log, self._arguments, self._env)
        if cores and sys.platform == "linux":
            with suppress(psutil.NoSuchProcess):
                psutil.Process(self._child.pid).cpu_affinity(list(cores))  # its workers inherit it
        while not self._answers():
            if self._child.code is not None or monotonic() - started > _START_SECONDS:
                raise ServiceError(f"the service does not answer: {' | '.join(self._child.last_lines()[-4:])}")
            sleep(_POLL)
        self.start_seconds = monotonic() - started

    def _answers(self) -> bool:
        try:
            return call(self.port, "GET", "/livez", timeout=2.0).status == _OK
        except OSError:
            return False

    def workers(self) -> list[psutil.Process]:
        """Return the living worker processes."""
        try:
            children = psutil.Process(self.child.pid).children()
            return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        except psutil.NoSuchProcess:
            return []

    def cpu_seconds(self) -> float:
        """Return the CPU time so far: of the master, its present workers and those that it has waited for."""
        if self.child.code is not None:
            return self.child.cpu_seconds
        with suppress(psutil.NoSuchProcess):
            times = [psutil.Process(self.child.pid).cpu_times(), *(worker.cpu_times() for worker in self.workers())]
            past = sum(getattr(times[0], name, 0.0) for name in ("children_user", "children_system"))
            return past + sum(one.user + one.system for one in times)
        return self.child.cpu_seconds

    def memory(self) -> tuple[str, float]:
        """Return how memory is counted, and the mean bytes per worker.

        PSS where the system reports it (Linux): what workers share with the master is divided among them.
        """
        found = [worker.memory_full_info() for worker in self.workers()]
        if not found:
            raise ServiceError(f"the service has no workers: {' | '.join(self.child.last_lines()[-4:])}")
        kind = "pss" if hasattr(found[0], "pss") else "uss"
        return kind.upper(), sum(getattr(one, kind) for one in found) / len(found)

    def statuses(self) -> list[dict[str, Any]]:
        """Return what each living worker reports of its telemetry; those that have ended are remembered."""
        statuses = [one for one in read_statuses() if one["run"] == self.child.pid and "signals" in one]
        for one in statuses:
            self._ended_statuses[one["pid"]] = one
            for name, key in _SIGNALS.items():
                # Items between queue and exporter are in neither for a moment: the highest count reported is right.
                place = one["pid"], name
                self._ended[place] = max(self._ended.get(place, 0), _ended(one["signals"][key]))
        return statuses

    def losses(self, signal_name: str) -> Counter[str]:
        """Return items that the service gave up, by reason: of all workers ever seen, and of stops as logged.

        `signal_name` is "spans" or "log records".
        """
        found: Counter[str] = Counter()
        for status in self._ended_statuses.values():
            found.update(status["signals"][_SIGNALS[signal_name]].get("losses", {}))
        if stopped := self.dropped_at_stops()[signal_name]:
            found["already_shutdown"] += stopped
        return +found

    def ended_items(self, signal_name: str) -> int:
        """Return the items that ended in all workers ever seen, by their last report."""
        return sum(ended for (_, name), ended in self._ended.items() if name == signal_name)

    def ask_all(self) -> None:
        """Ask until every worker has reported its numbers, several times; raises ServiceError where one does not."""
        if self._env.get("TELEMETRY_MODE") == "off":
            return
        complete, deadline = 0, monotonic() + _TELL_SECONDS
        while complete < _READINGS:
            complete += len(self.statuses()) == len(self.workers())
            if monotonic() > deadline:
                raise ServiceError("a worker does not report its numbers (manage.py telemetry --status)")
            sleep(_READING_PAUSE)

    def dropped_at_stops(self) -> Counter[str]:
        """Return how many spans and log records the workers said they dropped at their stop."""
        dropped: Counter[str] = Counter()
        for line in _DROPPED.findall(self.child.log.read_text(errors="replace")):
            for number, item in _COUNTED.findall(line):
                dropped[item] += int(number)
        return dropped

    def access_records(self) -> int:
        """Return how many requests the service has written to its standard output."""
        return self.child.log.read_bytes().count(_ACCESS_RECORD)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the master."""
        with suppress(ProcessLookupError):
            os.kill(self.child.pid, number)

    def stop(self) -> float:
        """Stop it in order and return the seconds that this took; raises ServiceError where it had to be killed."""
        if self.child.code is not None:
            raise ServiceError(f"the service ended by itself: {' | '.join(self.child.last_lines()[-3:])}")
        self.statuses()
        started = monotonic()
        self.child.stop()
        trouble = self.child.wait(_STOP_SECONDS, lambda: False)
        if trouble:
            raise ServiceError(f"{trouble}: {' | '.join(self.child.last_lines()[-3:])}")
        self._processes.forget(self.child)
        return monotonic() - started


def _ended(reported: Mapping[str, Any]) -> int:
    """Return how many items of a signal have ended: ended = accepted + each kind of loss + queued and in flight."""
    losses = sum(reported.get("losses", {}).values())
    return int(reported.get("accepted", 0) + losses + reported.get("queue", 0) + reported.get("in_flight", 0))
