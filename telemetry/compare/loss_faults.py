"""The faults that the scenario loss plays, and what bounds their losses."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import time
from typing import Any

from telemetry.compare.faults_proxy import PASS, Fault
from telemetry.compare.load import Done
from telemetry.compare.run import Run
from telemetry.compare.sockets import wait_until
from telemetry.compare.store import ConsoleStore
from telemetry.console.faults import Faults

LEAD = 2.0
CLOCK_MARGIN = 0.5
_TAIL = 4.0
_WINDOW = 20.0
_SLOW_SECONDS = 3.0
_REFUSAL = 503
_RESTART_PAUSE = 3.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault. `play` lets it happen while the load runs, and returns what sets the bounds of its losses.

    `remote` is whether it can be played with real backends, `may_fail` whether requests may stay without an answer,
    `may_lose` whether anything may be lost, even for a reason.
    """

    key: str
    title: str
    seconds: float
    play: Callable[["Playing"], None]
    fixed_workers: bool = True
    may_fail: bool = False
    may_lose: bool = True
    ends_service: bool = False
    remote: bool = True
    needs_collector: bool = False


@dataclass
class _Killed:
    """The last report of the worker that was killed, and its time."""

    status: dict[str, Any]
    asked: float
    killed: float


class Playing:
    """A run under load, with what the faults need."""

    def __init__(self, run: Run, kind: Kind) -> None:
        self.run = run
        self.kind = kind
        self.killed: _Killed | None = None

    def wait(self, seconds: float) -> None:
        """Wait, and keep what the workers report meanwhile: some may be gone soon."""
        while seconds > 0:
            step = min(0.5, seconds)
            self.run.context.wait(step)
            self.run.service.statuses()
            seconds -= step

    def with_fault(self, fault: Fault, seconds: float) -> None:
        """Let the way to the backend misbehave for a while."""
        self._set_fault(fault)
        self.wait(seconds)
        self._set_fault(PASS)

    def _set_fault(self, fault: Fault) -> None:
        for proxy in self.run.backends:
            proxy.fault = fault

    def refuse(self, seconds: float) -> None:
        """Let the backend refuse for a while."""
        if not isinstance(self.run.store, ConsoleStore):
            raise TypeError("a refusal needs the embedded console")
        self.run.store.console.receiver.faults = Faults(status=_REFUSAL)
        self.wait(seconds)
        self.run.store.console.receiver.faults = Faults()

    def kill_worker(self) -> None:
        """Kill the worker that holds most, without a warning."""
        asked = time()
        statuses = wait_until(self.run.service.statuses, what="the workers' status")
        victim = max(statuses, key=lambda status: status["signals"]["traces"].get("queue", 0))
        with suppress(ProcessLookupError):
            os.kill(victim["pid"], signal.SIGKILL)
        self.killed = _Killed(victim, asked, time())
        self.wait(self.kind.seconds / 2)

    def deploy(self) -> None:
        """Let gunicorn replace its workers."""
        self.run.service.signal(signal.SIGHUP)
        self.wait(self.kind.seconds / 2)

    def stop(self) -> None:
        """Stop the service in order, while requests come."""
        self.run.service.stop()

    def restart_collector(self) -> None:
        """Stop the collector in order, and start it again after a pause.

        The backend is down meanwhile for one with a queue on disk, which is what such a queue is for.
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
        """Return what the fault itself may have cost at most.

        A stop: the counts since the last scrape. A kill: what the worker held, and what ended since its last report.
        """
        if self.kind.ends_service and self.run.variant.mode == "direct":
            scraped = self.run.store.last_scrape if isinstance(self.run.store, ConsoleStore) else 0.0
            return {"counter": Counter({"ended after the last scrape": done.ended_after(scraped - CLOCK_MARGIN)})}
        if self.killed is None:
            return {}
        reported, reason = self.killed.status["signals"], "killed with its worker"
        later = done.begun_after(self.killed.killed + CLOCK_MARGIN)
        since_told = done.ended_after(self.killed.asked - CLOCK_MARGIN) - later
        found = {}
        for name, key in (("spans", "traces"), ("log records", "logs")):
            held = reported[key].get("queue", 0) + reported[key].get("in_flight", 0)
            found[name] = Counter({reason: held + since_told})
        if "last_success" in reported["metrics"]:  # pushed, so what came since the last push is gone
            pushed = reported["metrics"]["last_success"] or 0.0
            found["counter"] = Counter({reason: done.ended_after(pushed - CLOCK_MARGIN) - later})
            if not pushed:
                found["counter"][reason] += self.run.responses
        return found


def kinds(outage: float, duration: float) -> list[Kind]:
    """Return all faults; `outage` is how long the backend is gone, `duration` the length of the others, seconds."""
    window = min(_WINDOW, max(outage / 3, 1.0))
    return [
        Kind("calm", "calm", duration, lambda playing: playing.wait(0), may_lose=False),
        Kind(
            "gone",
            f"backend gone for {outage:g} s",
            outage + LEAD + _TAIL,
            lambda playing: playing.with_fault(Fault("refuse"), outage),
            remote=False,
        ),
        Kind(
            "slow",
            f"backend answers {_SLOW_SECONDS:g} s late for {window:g} s",
            window + LEAD + _TAIL,
            lambda playing: playing.with_fault(Fault("delay", seconds=_SLOW_SECONDS), window),
            remote=False,
        ),
        Kind(
            "refusing",
            f"backend refuses ({_REFUSAL}) for {window:g} s",
            window + LEAD + _TAIL,
            lambda playing: playing.refuse(window),
            remote=False,
        ),
        Kind(
            "killed",
            "a worker is killed",
            duration,
            Playing.kill_worker,
            fixed_workers=False,
            may_fail=True,
            remote=False,
        ),
        Kind(
            "deploy",
            "a deploy (HUP) under load",
            duration,
            Playing.deploy,
            fixed_workers=False,
            # A sum of cumulative series does not survive the workers that made them.
            remote=False,
        ),
        Kind(
            "stop",
            "a stop under load",
            duration,
            Playing.stop,
            fixed_workers=False,
            may_fail=True,
            ends_service=True,
        ),
        Kind(
            "collector-restart",
            "the collector restarts (with a queue on disk: while the backend is down)",
            duration + 2 * _RESTART_PAUSE,
            Playing.restart_collector,
            needs_collector=True,
            remote=False,
        ),
    ]
