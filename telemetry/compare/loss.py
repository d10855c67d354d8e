"""Loss: what was sent against what is stored, in calm and in faults, and which counter told what is missing."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import time
from typing import Any

from telemetry.compare.bench import Bench
from telemetry.compare.context import Context, Scenario, Step
from telemetry.compare.faults_proxy import PASS, Fault
from telemetry.compare.ledger import Account
from telemetry.compare.load import Done
from telemetry.compare.route import Variant
from telemetry.compare.shelf import ConsoleShelf
from telemetry.console.faults import Faults

_AROUND = 16.0
_LEAD = 2.0
_TAIL = 4.0
_WINDOW = 20.0
_SLOW_SECONDS = 3.0
_REFUSAL = 503
_CLOCK_MARGIN = 0.5
_RESTART_PAUSE = 3.0
_MOST_RATE = 20.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault. `play` lets it happen while the load runs, and returns what sets the bounds of its losses.

    `remote` is whether it can be played with real backends, `may_fail` whether requests may stay without an answer,
    `may_lose` whether anything may be lost, even for a reason.
    """

    key: str
    title: str
    seconds: float
    play: Callable[["_Playing"], None]
    fixed_workers: bool = True
    may_fail: bool = False
    may_lose: bool = True
    ends_service: bool = False
    remote: bool = True
    needs_collector: bool = False


@dataclass
class _Killed:
    """What the worker that was killed had told before, and when."""

    told: dict[str, Any]
    asked: float
    killed: float


class _Playing:
    """A bench under load, with what the faults need."""

    def __init__(self, bench: Bench, kind: Kind) -> None:
        self.bench = bench
        self.kind = kind
        self.killed: _Killed | None = None

    def wait(self, seconds: float) -> None:
        """Wait, and remember meanwhile what the workers tell: some may be gone soon."""
        while seconds > 0:
            step = min(0.5, seconds)
            self.bench.context.wait(step)
            self.bench.service.statuses()
            seconds -= step

    def with_fault(self, fault: Fault, seconds: float) -> None:
        """Let the way to the backend misbehave for a while."""
        for proxy in self.bench.backends:
            proxy.fault = fault
        self.wait(seconds)
        for proxy in self.bench.backends:
            proxy.fault = PASS

    def refuse(self, seconds: float) -> None:
        """Let the backend refuse for a while."""
        if not isinstance(self.bench.shelf, ConsoleShelf):
            raise TypeError("a refusal needs the embedded console")
        self.bench.shelf.console.receiver.faults = Faults(status=_REFUSAL)
        self.wait(seconds)
        self.bench.shelf.console.receiver.faults = Faults()

    def kill_worker(self) -> None:
        """Kill the worker that holds most, without a warning."""
        asked = time()
        statuses = self.bench.service.statuses()
        victim = max(statuses, key=lambda told: told["signals"]["traces"].get("queue", 0))
        with suppress(ProcessLookupError):
            os.kill(victim["pid"], signal.SIGKILL)
        self.killed = _Killed(victim, asked, time())
        self.wait(self.kind.seconds / 2)

    def deploy(self) -> None:
        """Let gunicorn replace its workers."""
        self.bench.service.signal(signal.SIGHUP)
        self.wait(self.kind.seconds / 2)

    def stop(self) -> None:
        """Stop the service in order, while requests come."""
        self.bench.service.stop()

    def restart_collector(self) -> None:
        """Stop the collector in order, and start it again after a pause."""
        if self.bench.collector is None:
            raise RuntimeError("there is no collector to restart")
        self.bench.collector.stop()
        self.wait(_RESTART_PAUSE)
        self.bench.collector.start()
        self.wait(self.kind.seconds / 2)

    def bounds(self, done: Done) -> dict[str, Counter[str]]:
        """Return what the fault itself may have cost at most.

        A stop: the counts since the last scrape. A kill: what the worker held, and what ended since it told.
        """
        if self.kind.ends_service and self.bench.variant.mode == "direct":
            scraped = self.bench.shelf.last_scrape if isinstance(self.bench.shelf, ConsoleShelf) else 0.0
            return {"counter": Counter({"ended after the last scrape": done.ended_after(scraped - _CLOCK_MARGIN)})}
        if self.killed is None:
            return {}
        told, reason = self.killed.told["signals"], "killed with its worker"
        until = done.ended_after(self.killed.killed + _CLOCK_MARGIN)
        since_told = done.ended_after(self.killed.asked - _CLOCK_MARGIN) - until
        found = {}
        for name, key in (("spans", "traces"), ("log records", "logs")):
            held = told[key].get("queue", 0) + told[key].get("in_flight", 0)
            found[name] = Counter({reason: held + since_told})
        if "last_success" in told["metrics"]:  # pushed, so what came since the last push is gone
            pushed = told["metrics"]["last_success"] or 0.0
            found["counter"] = Counter({reason: done.ended_after(pushed - _CLOCK_MARGIN) - until})
            if not pushed:
                found["counter"][reason] += self.bench.responses
        return found


def kinds(outage: float, duration: float) -> list[Kind]:
    """Return all faults; `outage` is how long the backend is gone, `duration` the length of the others, seconds."""
    window = min(_WINDOW, max(outage / 3, 1.0))
    return [
        Kind("calm", "calm", duration, lambda playing: playing.wait(0), may_lose=False),
        Kind(
            "gone",
            f"backend gone for {outage:g} s",
            outage + _LEAD + _TAIL,
            lambda playing: playing.with_fault(Fault("refuse"), outage),
            remote=False,
        ),
        Kind(
            "slow",
            f"backend answers {_SLOW_SECONDS:g} s late for {window:g} s",
            window + _LEAD + _TAIL,
            lambda playing: playing.with_fault(Fault("delay", seconds=_SLOW_SECONDS), window),
            remote=False,
        ),
        Kind(
            "refusing",
            f"backend refuses ({_REFUSAL}) for {window:g} s",
            window + _LEAD + _TAIL,
            lambda playing: playing.refuse(window),
            remote=False,
        ),
        Kind(
            "killed",
            "a worker is killed",
            duration,
            _Playing.kill_worker,
            fixed_workers=False,
            may_fail=True,
            remote=False,
        ),
        Kind(
            "deploy",
            "a deploy (HUP) under load",
            duration,
            _Playing.deploy,
            fixed_workers=False,
            # A sum of cumulative series does not survive the workers that made them.
            remote=False,
        ),
        Kind(
            "stop",
            "a stop under load",
            duration,
            _Playing.stop,
            fixed_workers=False,
            may_fail=True,
            ends_service=True,
        ),
        Kind(
            "collector-restart",
            "the collector restarts",
            duration + _RESTART_PAUSE,
            _Playing.restart_collector,
            needs_collector=True,
            remote=False,
        ),
    ]


class Loss(Scenario):
    """Every fault in every set-up; set-ups run at once, at a rate that leaves the machine idle most of the time."""

    key = "loss"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        options = context.options
        remote = options.backends.given
        self._kinds = [
            kind
            for kind in kinds(options.outage, options.duration)
            if kind.key in options.faults and (kind.remote or not remote)
        ]
        self._found: list[dict[str, Any]] = []

    @property
    def _rate(self) -> float:
        """Requests per second in each set-up; the calibration has been by now."""
        return min(self.context.rate / 2, _MOST_RATE)

    def steps(self) -> list[Step]:
        """Return a step for every fault, or for several that fit together."""
        wanted = [kind for kind in self._kinds if self._variants(kind)]
        together = max(1, self.context.at_once // max(len(self._set_ups), 1))
        groups = [wanted[start : start + together] for start in range(0, len(wanted), together)]
        return [
            Step(f"loss, {', '.join(kind.title for kind in group)}", seconds + _AROUND, partial(self._run, group))
            for group in groups
            for seconds in [max(kind.seconds for kind in group)]
        ]

    @property
    def _set_ups(self) -> list[Variant]:
        """In a quick run one of each mode."""
        found = self.context.exporting
        if self.context.options.quick:
            return list({variant.mode: variant for variant in reversed(found) if variant.sends_logs}.values())
        return found

    def _variants(self, kind: Kind) -> list[Variant]:
        with_collector = self.context.options.collector != "none"
        return [
            variant
            for variant in self._set_ups
            if not kind.needs_collector or (variant.mode == "collector" and with_collector)
        ]

    def _run(self, group: list[Kind]) -> None:
        runs = [(kind, variant) for kind in group for variant in self._variants(kind)]
        with ThreadPoolExecutor(self.context.at_once) as threads:
            self._found += threads.map(lambda run: self._play(*run), runs)

    def _play(self, kind: Kind, variant: Variant) -> dict[str, Any]:
        with Bench(self.context, variant) as bench:
            bench.seed(0)
            bench.fixed_workers = kind.fixed_workers
            if bench.shelf is not None:
                bench.shelf.scrape()  # as a backend would have done long before
            load = bench.load("open", kind.seconds, self._rate)
            playing = _Playing(bench, kind)
            load.go()
            playing.wait(kind.seconds / 2 if kind.seconds <= self.context.options.duration else _LEAD)
            kind.play(playing)
            done = bench.done(load, self._watching(bench, kind))
            bench.bounds = playing.bounds(done)
            found = bench.account() if kind.ends_service else bench.finish()
            for problem in bench.problems(found, may_fail=kind.may_fail, may_lose=kind.may_lose):
                self.problems.append(f"loss, {kind.title}, {problem}")
                self.context.progress.say(f"DOES NOT ADD UP: loss, {kind.title}, {problem}")
            return self._told(kind, bench, found)

    def _watching(self, bench: Bench, kind: Kind) -> Callable[[float], object]:
        """Wait, and from time to time remember what the workers tell."""
        waited = 0.0

        def wait(seconds: float) -> None:
            nonlocal waited
            self.context.wait(seconds)
            waited += seconds
            if waited > _CLOCK_MARGIN and not kind.ends_service:
                waited = 0.0
                bench.service.statuses()

        return wait

    def _told(self, kind: Kind, bench: Bench, found: list[Account]) -> dict[str, Any]:
        collector = bench.collector
        return {
            "fault": kind.key,
            "title": kind.title,
            "key": bench.variant.key,
            "variant": bench.variant.title,
            "collector": bench.collector_name,
            "queue_on_disk": bool(collector and collector.queue_on_disk),
            "requests": bench.responses,
            "unanswered": bench.failed,
            "duplicates": bench.stored.duplicates,
            "accounts": [account.as_json() for account in found],
        }

    def result(self) -> dict[str, Any]:
        return {"rate": self._rate, "runs": self._found} if self._found else {}
