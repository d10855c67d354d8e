"""Loss: items sent against items stored, with and without faults, and the counters that explain what is missing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import ceil
from typing import Any

from telemetry.tools.compare.counts.ledger import Account
from telemetry.tools.compare.scenarios.context import Context, Scenario, Step
from telemetry.tools.compare.scenarios.loss_faults import CLOCK_MARGIN, LEAD, Kind, Playing, kinds
from telemetry.tools.compare.scenarios.timeline import latencies, timeline
from telemetry.tools.compare.setups.route import Variant
from telemetry.tools.compare.setups.run import Run

_AROUND = 16.0
_MOST_RATE = 20.0
# The lifetime of a worker in the fault that recycles workers: starting the next must not take longer.
_RECYCLE_SECONDS = 2.5


class Loss(Scenario):
    """Every fault in every set-up; set-ups run in parallel, at a rate that leaves the machine mostly idle."""

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
        """Requests per second in each set-up; valid only after the calibration."""
        return min(self.context.rate / 2, _MOST_RATE)

    def steps(self) -> list[Step]:
        """Return a step for each group of faults that can run at once."""
        wanted = [kind for kind in self._kinds if self._variants(kind)]
        together = max(1, self.context.at_once // max(len(self._set_ups), 1))
        groups = [wanted[start : start + together] for start in range(0, len(wanted), together)]
        return [
            Step(f"loss, {', '.join(kind.title for kind in group)}", self._seconds(group), partial(self._run, group))
            for group in groups
        ]

    def _seconds(self, group: list[Kind]) -> float:
        """Estimate the time of several faults: as many runs at once as allowed, batch after batch."""
        runs = sum(len(self._variants(kind)) for kind in group)
        return ceil(runs / self.context.at_once) * (max(kind.seconds for kind in group) + _AROUND)

    @property
    def _set_ups(self) -> list[Variant]:
        """The set-ups to run; in a quick run one of each mode."""
        found = self.context.exporting
        if self.context.options.quick:
            wanted = (variant for variant in reversed(found) if variant.sends_logs or variant.upstream)
            return list({variant.key if variant.upstream else variant.mode: variant for variant in wanted}.values())[
                ::-1
            ]
        return found

    def _variants(self, kind: Kind) -> list[Variant]:
        with_collector = self.context.options.collector != "none"
        return [
            variant
            for variant in self._set_ups
            if (not kind.needs_collector or (variant.uses_collector and with_collector))
            and not (kind.needs_exporter and variant.upstream)
        ]

    def _run(self, group: list[Kind]) -> None:
        runs = [(kind, variant) for kind in group for variant in self._variants(kind)]
        found: dict[int, dict[str, Any]] = {}

        def play(number: int) -> None:
            kind, variant = runs[number]
            with self.watched(f"loss, {kind.title}, {variant.title}"):
                found[number] = self._play(kind, variant)

        try:
            with ThreadPoolExecutor(self.context.at_once) as threads:
                list(threads.map(play, range(len(runs))))
        finally:  # after Ctrl-C, too
            self._found += [found[number] for number in sorted(found)]

    def _play(self, kind: Kind, variant: Variant) -> dict[str, Any]:
        served = self._rate * min(_RECYCLE_SECONDS, kind.seconds) / self.context.options.workers
        max_requests = max(1, round(served)) if kind.recycles else 0
        with Run(self.context, variant, spool_on_disk=kind.spool_on_disk, max_requests=max_requests) as run:
            run.seed(0)
            run.exporter_survives = kind.exporter_survives
            if run.store is not None:
                run.store.scrape()  # a backend would have done so long before
            before = run.responses
            load = run.load("open", kind.seconds, self._rate)
            playing = Playing(run, kind)
            load.go()
            playing.wait(kind.seconds / 2 if kind.seconds <= self.context.options.duration else LEAD)
            playing.play()
            done = run.done(load, self._watching(run, kind))
            run.bounds = playing.bounds(done)
            if kind.recycles:
                playing.end_recycling()
            found = run.account() if kind.ends_service else run.finish()
            problems = run.problems(found, may_fail=kind.may_fail, may_lose=kind.may_lose)
            self.add_problems(f"loss, {kind.title}", problems)
            run.sample()
            start = min(done.begins)
            return {
                **self._result(kind, run, found),
                "fault_at": [round(moment - start, 1) for moment in (playing.began, playing.ended)],
                "timeline": timeline(done, before, run.samples, run.exported),
                "latency": latencies(done),
            }

    def _watching(self, run: Run, kind: Kind) -> Callable[[float], object]:
        """Wait, and keep the service's reports from time to time."""
        waited = 0.0

        def wait(seconds: float) -> None:
            nonlocal waited
            self.context.wait(seconds)
            waited += seconds
            if waited > CLOCK_MARGIN and not kind.ends_service:
                waited = 0.0
                run.sample()
                run.service.status()

        return wait

    def _result(self, kind: Kind, run: Run, found: list[Account]) -> dict[str, Any]:
        collector = run.collector
        return {
            "fault": kind.key,
            "title": kind.title,
            "key": run.variant.key,
            "variant": run.variant.title,
            "collector": run.collector_name,
            "queue_on_disk": bool(collector and collector.queue_on_disk),
            "spool_on_disk": kind.spool_on_disk,
            "requests": run.responses,
            "unanswered": run.failed,
            "duplicates": run.stored.duplicates,
            "accounts": [account.as_json() for account in found],
        }

    def result(self) -> dict[str, Any]:
        return {"rate": self._rate, "runs": self._found} if self._found else {}
