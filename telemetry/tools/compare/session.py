"""One comparison from the first check to the report, complete or partial."""

import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from telemetry.tools.compare import machine
from telemetry.tools.compare.figures.advice import advice, mark
from telemetry.tools.compare.figures.goals import goals
from telemetry.tools.compare.figures.intervals import rounded
from telemetry.tools.compare.options import Options
from telemetry.tools.compare.progress import Progress
from telemetry.tools.compare.scenarios.conditions import Conditions
from telemetry.tools.compare.scenarios.context import TROUBLE, Context, Scenario, Step, StoppedError
from telemetry.tools.compare.scenarios.contradictions import Contradictions
from telemetry.tools.compare.scenarios.cost import Cost
from telemetry.tools.compare.scenarios.freshness import Freshness
from telemetry.tools.compare.scenarios.loss import Loss
from telemetry.tools.compare.scenarios.profile import Profile, ProfileError
from telemetry.tools.compare.scenarios.scale import Scale, ScaleError
from telemetry.tools.compare.setups.database import DatabaseError
from telemetry.tools.compare.setups.project import Project
from telemetry.tools.compare.setups.run import Run
from telemetry.tools.demo.processes import Processes
from telemetry.tools.traffic.interruption import Interruption

SCHEMA = 3
"""The schema version of report.json; incremented when a reader of the previous version would be wrong."""
READABLE = (2, 3)
"""The schemas that can be drawn and merged: 3 only adds to 2."""

_KINDS: Mapping[str, type[Scenario]] = {
    "cost": Cost,
    "conditions": Conditions,
    "freshness": Freshness,
    "loss": Loss,
    "scrapes": Contradictions,
    "scale": Scale,
    "profile": Profile,
}
# Of all cores, before anything is started.
_BUSY = 0.2
_CALIBRATION_SECONDS = 3.0
_CALIBRATION_AROUND = 8.0
_RATE_BEFORE_CALIBRATION = 10.0
# Share of the throughput of a set-up that exports: far enough from saturation that queueing does not dominate latency.
_SHARE_OF_SATURATION = 0.4


# Errors that end one step but not the others.
_TROUBLE = (*TROUBLE, ScaleError, ProfileError)


_BUSY_BETWEEN_SECONDS = 0.5
# For a signal that has ended a child to be noted here, too.
_SIGNAL_SECONDS = 0.2


class BusyError(Exception):
    """Other processes use so much of the machine that the figures must not be published; one line."""


class Session:
    """Runs once, with one project.

    `save` gets the partial report after each step.
    """

    def __init__(
        self,
        options: Options,
        progress: Progress,
        project: Project,
        save: Callable[[dict[str, Any]], object],
    ) -> None:
        self._options = options
        self._save = save
        self._progress = progress
        self._project = project
        self._scenarios: list[Scenario] = []
        self._unfinished = ""
        self._failed_steps: list[str] = []
        self._busy: list[float] = []

    def run(self) -> dict[str, Any]:
        """Return the report, partial after Ctrl-C; leave nothing running.

        Before anything is measured: raises BusyError, DatabaseError, or StoppedError where Ctrl-C has ended what makes
        the database.
        """
        facts = machine.facts()
        if self._options.publish and (reason := machine.unfit_to_publish(facts["busy"], facts["load_average"][0])):
            raise BusyError(reason)
        if facts["busy"] > _BUSY:
            load = ", ".join(f"{value:g}" for value in facts["load_average"])
            self._progress.say(
                f"this machine is busy: other processes use {facts['busy']:.0%} of its CPU time (load average {load}); "
                "expect wide intervals, or wait until it is idle"
            )
        started = datetime.now(UTC)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="compare-")))
            interruption = stack.enter_context(Interruption())
            stack.enter_context(_stopped_by_signal(interruption))
            processes = stack.enter_context(Processes(folder))
            place = stack.enter_context(self._project.database(self._options.database, folder))
            cores = self._divide(stack)
            context = Context(
                self._options, processes, folder, interruption, self._progress, place, self._project, stack, cores
            )
            context.rate = self._options.rate or _RATE_BEFORE_CALIBRATION
            self._work(context, lambda: self._save(self._report(context, started, facts)))
            facts["load_average_after"] = machine.load_average()
            if self._busy:
                facts["busy_between_steps"] = rounded(statistics.median(self._busy))
            return self._report(context, started, facts)

    def _divide(self, stack: ExitStack) -> list[int]:
        """Keep this process and its children off the service's cores; return the latter."""
        divided = machine.divided_cores()
        if divided is None:
            return []
        before = os.sched_getaffinity(0)  # type: ignore[attr-defined,unused-ignore]
        os.sched_setaffinity(0, divided[1])  # type: ignore[attr-defined,unused-ignore]
        stack.callback(os.sched_setaffinity, 0, before)  # type: ignore[attr-defined,unused-ignore]
        return divided[0]

    def _work(self, context: Context, save: Callable[[], object]) -> None:
        steps = [] if self._options.rate else [self._calibration(context)]
        self._scenarios = [_KINDS[key](context) for key in self._options.scenarios]
        steps += [step for scenario in self._scenarios for step in scenario.steps()]
        self._progress.plan([(step.name, step.seconds) for step in steps])
        following = [*(step.name for step in steps[1:]), ""]
        for step, name_of_next in zip(steps, following, strict=False):
            self._unfinished = step.name
            self._progress.begin(step.name)
            try:
                context.check()
                if self._options.publish:  # nothing of ours runs between two steps
                    self._busy.append(machine.busy(_BUSY_BETWEEN_SECONDS))
                step.run()
            except StoppedError:
                self._progress.say(f"stopped during: {step.name}; the report has what was measured before")
                return
            except _TROUBLE as error:
                self._failed_steps.append(f"{step.name}: {error}")
                self._progress.say(f"FAILED: {step.name}: {error}")
            self._progress.end()
            self._unfinished = name_of_next
            save()

    def _calibration(self, context: Context) -> Step:
        def calibrate() -> None:
            variant = (context.ours or context.variants)[0]
            with Run(context, variant) as run:
                run.seed(100)
                load = run.load("closed", _CALIBRATION_SECONDS)
                load.go()
                done = run.done(load)
                context.rate = float(max(1, int(_SHARE_OF_SATURATION * done.responses / done.seconds)))
            self._progress.say(f"the fixed rate is {context.rate:g} requests/s")

        return Step("calibration of the fixed rate", _CALIBRATION_SECONDS + _CALIBRATION_AROUND, calibrate)

    def _report(self, context: Context, started: datetime, facts: dict[str, Any]) -> dict[str, Any]:
        options = self._options
        problems = [*self._failed_steps]
        problems += [problem for scenario in self._scenarios for problem in scenario.found_problems()]
        report: dict[str, Any] = {
            "schema": SCHEMA,
            "made": started.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(UTC) - started).total_seconds()),
            "commit": _commit(),
            "command": options.command,
            "complete": not self._unfinished,
            "stopped_during": self._unfinished,
            "ok": not problems,
            "problems": problems,
            "machine": facts,
            "setup": {
                "database": context.database.description,
                "collector": collector_title(context),
                "backend": _backend_title(options),
                "service_cores": len(context.cores),
                "other_cores": facts["usable_cores"] - len(context.cores),
                "workers": options.workers,
                "clients": options.clients,
                "rate": rounded(context.rate),
                "duration": options.duration,
                "rounds": options.rounds,
                "outage": options.outage,
                "metric_interval": options.interval,
                "mix": self._project.mix,
                "service_environment": sorted(options.service_env),
                "sources": [
                    {"variant": variant.title, "sentence": source.sentence, "url": source.url}
                    for variant in context.variants
                    if variant.upstream
                    for source in variant.upstream.sources
                ],
            },
        }
        for scenario in self._scenarios:
            if found := scenario.result():
                report[scenario.key] = found
        mark(report)
        report["goals"] = goals(report)
        report["advice"] = advice(report)
        return report


@contextmanager
def _stopped_by_signal(interruption: Interruption) -> Iterator[None]:
    """Raise StoppedError instead of DatabaseError after Ctrl-C, which ends the programs that make a database, too."""
    try:
        yield
    except DatabaseError:
        if interruption.wait(_SIGNAL_SECONDS):
            raise StoppedError from None
        raise


def _backend_title(options: Options) -> str:
    given = options.backends
    if not given.given:
        return "embedded console"
    names = [name.title() for name in ("prometheus", "tempo", "jaeger", "loki") if getattr(given, name)]
    return f"real ones: {', '.join(names)}"


def collector_title(context: Context) -> str:
    """Return the name of the collector that actually ran."""
    options = context.options
    if context.collector_name:
        return context.collector_name
    if options.backends.given:
        return f"the one at {options.backends.otlp or 'localhost:4317'}"
    return "none" if options.collector == "none" else ""


def _commit() -> str:
    """Return the commit of the code; empty if it is not a checkout."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            cwd=Path(__file__).parent,
        )
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
