"""The faults of the scenario loss, and the bounds of their losses."""

import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from time import time

from telemetry.tools.compare.counts.store import ConsoleStore
from telemetry.tools.compare.load.generator import Done
from telemetry.tools.compare.setups.faulty_connection import PASS, Fault
from telemetry.tools.compare.setups.run import Run
from telemetry.tools.compare.setups.sockets import wait_until
from telemetry.tools.compare.setups.usage import seconds_of

LEAD = 2.0
CLOCK_MARGIN = 0.5
_TAIL = 4.0
_WINDOW = 20.0
_SLOW_SECONDS = 3.0
_REFUSAL = 503
_RESTART_PAUSE = 3.0
_REPLACED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault. `play` causes it while the load runs, and returns the data that bounds its losses.

    `remote` is whether it is possible with real backends, `may_fail` whether requests may remain unanswered,
    `may_lose` whether items may be lost, with a counted reason. `ends_service` is whether nothing runs afterwards,
    `needs_collector` and `needs_exporter` whether it applies only to set-ups that have one.
    """

    key: str
    title: str
    seconds: float
    play: Callable[["Playing"], None]
    exporter_survives: bool = True
    spool_on_disk: bool = False
    may_fail: bool = False
    may_lose: bool = False
    ends_service: bool = False
    remote: bool = True
    needs_collector: bool = False
    needs_exporter: bool = False
    recycles: bool = False
    """Whether gunicorn repeatedly replaces each worker during the fault, after its `max_requests`."""


class Playing:
    """A run under load, with what the faults need."""

    def __init__(self, run: Run, kind: Kind) -> None:
        self.run = run
        self.kind = kind
        self.began = self.ended = 0.0
        """When the fault began and ended, since the epoch."""

    def play(self) -> None:
        """Cause the fault."""
        self.began = time()
        self.kind.play(self)
        self.ended = time()

    def wait(self, seconds: float) -> None:
        """Wait, and keep the service's reports meanwhile: it may end soon."""
        while seconds > 0:
            step = min(0.5, seconds)
            self.run.context.wait(step)
            self.run.sample()
            self.run.service.status()
            seconds -= step

    def with_fault(self, fault: Fault, seconds: float) -> None:
        """Apply a fault to the connection to the backend for a while."""
        self._set_fault(fault)
        self.wait(seconds)
        self._set_fault(PASS)

    def _set_fault(self, fault: Fault) -> None:
        for proxy in self.run.backends:
            proxy.fault = fault

    def refuse(self, seconds: float) -> None:
        """Have the backend refuse requests for a while."""
        if not isinstance(self.run.store, ConsoleStore):
            raise TypeError("a refusal needs the embedded console")
        self.run.store.refuse(_REFUSAL)
        self.wait(seconds)
        self.run.store.refuse(None)

    def kill_worker(self) -> None:
        """Kill the busiest worker without warning; gunicorn starts a replacement.

        At a low rate the kernel may give nearly all requests to one worker, and an idle one has nothing to lose.
        """
        worker = max(wait_until(self.run.service.workers, what="a worker"), key=seconds_of)
        worker.kill()
        self._await_workers_without({worker.pid})

    def kill_exporter(self) -> None:
        """Kill the exporter without warning; a worker starts a replacement after answering a request."""
        if exporter := wait_until(self.run.service.exporter, what="the exporter"):
            exporter.kill()
        # The load may be over before a worker has checked.
        wait_until(self.run.service.exporter_after_probe, what="another exporter")
        self.wait(self.kind.seconds / 2)

    def kill_everything(self) -> None:
        """Kill master, workers and exporter at once, and start the service again."""
        self.run.service.kill_all()
        self.run.service.start()
        self.wait(self.kind.seconds / 4)

    def deploy(self) -> None:
        """Have gunicorn replace its workers."""
        before = {worker.pid for worker in self.run.service.workers()}
        self.run.service.signal(signal.SIGHUP)
        self._await_workers_without(before)

    def recycle(self) -> None:
        """Wait until gunicorn has replaced a worker after its `max_requests`; at least one receives that many."""
        self._await_workers_without(wait_until(self.run.service.recycled, _REPLACED_SECONDS, "a recycled worker"))

    def end_recycling(self) -> None:
        """Wait, after the last request, for the last recycled worker's replacement, which logs at its start."""
        self._await_workers_without(self.run.service.recycled())

    def _await_workers_without(self, ended: set[int]) -> None:
        """Wait until other workers record in place of `ended`."""
        service, workers = self.run.service, self.run.workers

        def replaced() -> bool:
            found = service.recorders() if service.exports else [{"pid": worker.pid} for worker in service.workers()]
            return len(found) == workers and ended.isdisjoint(each["pid"] for each in found)

        wait_until(replaced, _REPLACED_SECONDS, "workers in place of those that have ended")

    def stop(self) -> None:
        """Stop the service gracefully under load."""
        self.run.service.stop()

    def stop_and_start(self) -> None:
        """Stop the service gracefully under load, and start it again: its counters continue."""
        self.run.service.stop()
        self.run.service.start()
        self.wait(self.kind.seconds / 4)

    def restart_collector(self) -> None:
        """Stop the collector gracefully, and start it again after a pause.

        If its queue is on disk, the backend is down meanwhile: such a queue is meant for that case.
        """
        collector = self.run.collector
        if collector is None:
            raise RuntimeError("there is no collector to restart")
        if collector.queue_on_disk:
            self._set_fault(Fault("refuse"))
            self.wait(_RESTART_PAUSE)
        collector.stop()
        self.wait(_RESTART_PAUSE)
        collector.start()
        self._set_fault(PASS)
        self.wait(self.kind.seconds / 2)

    def bounds(self, done: Done) -> dict[str, Counter[str]]:
        """Return the most that the fault itself may have lost: at a stop, the counts since the last scrape."""
        if self.kind.ends_service and self.run.variant.is_scraped:
            scraped = self.run.store.last_scrape if isinstance(self.run.store, ConsoleStore) else 0.0
            return {"counter": Counter({"ended after the last scrape": done.ended_after(scraped - CLOCK_MARGIN)})}
        return {}


def kinds(outage: float, duration: float) -> list[Kind]:
    """Return all faults; `outage` is how long the backend is down, `duration` the length of the others, in seconds."""
    window = min(_WINDOW, max(outage / 3, 1.0))
    calm = Kind("calm", "calm", duration, lambda playing: playing.wait(0))
    return [calm, *_backend_faults(outage, window), *_kills(duration), *_stops(duration)]


def _backend_faults(outage: float, window: float) -> list[Kind]:
    around = LEAD + _TAIL
    return [
        Kind(
            "gone",
            f"backend down for {outage:g} s",
            outage + around,
            lambda playing: playing.with_fault(Fault("refuse"), outage),
            may_lose=True,
            remote=False,
        ),
        Kind(
            "slow",
            f"backend answers {_SLOW_SECONDS:g} s late for {window:g} s",
            window + around,
            lambda playing: playing.with_fault(Fault("delay", seconds=_SLOW_SECONDS), window),
            may_lose=True,
            remote=False,
        ),
        Kind(
            "refusing",
            f"backend refuses ({_REFUSAL}) for {window:g} s",
            window + around,
            lambda playing: playing.refuse(window),
            may_lose=True,
            remote=False,
        ),
    ]


def _kills(duration: float) -> list[Kind]:
    return [
        Kind("killed", "a worker is killed", duration, Playing.kill_worker, may_fail=True, remote=False),
        Kind(
            "exporter-killed",
            "the exporter is killed",
            duration,
            Playing.kill_exporter,
            exporter_survives=False,
            needs_exporter=True,
            remote=False,
        ),
        Kind(
            "everything-killed",
            "everything is killed at once (spool on disk), and the next start",
            duration,
            Playing.kill_everything,
            exporter_survives=False,
            spool_on_disk=True,
            may_fail=True,
            remote=False,
        ),
    ]


def _stops(duration: float) -> list[Kind]:
    return [
        Kind("deploy", "a deploy (HUP) under load", duration, Playing.deploy, remote=False),
        Kind(
            "recycled",
            "workers are recycled (max_requests)",
            duration,
            Playing.recycle,
            remote=False,
            recycles=True,
        ),
        Kind(
            "stop",
            "a stop under load",
            duration,
            Playing.stop,
            may_fail=True,
            may_lose=True,
            exporter_survives=False,
            ends_service=True,
        ),
        Kind(
            "stop-and-start",
            "a stop under load (spool on disk), and the next start",
            duration,
            Playing.stop_and_start,
            spool_on_disk=True,
            may_fail=True,
        ),
        Kind(
            "collector-restart",
            "the collector restarts (with a queue on disk: while the backend is down)",
            duration + 2 * _RESTART_PAUSE,
            Playing.restart_collector,
            may_lose=True,
            needs_collector=True,
            remote=False,
        ),
    ]
