"""Profile: where each set-up spends its CPU time, per request, as py-spy samples it.

Each sample belongs to the innermost frame that is either telemetry's or the application's; frames of the standard
library and of helpers in between count for their caller.
"""

import linecache
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from telemetry.tools.compare.figures.intervals import rounded
from telemetry.tools.compare.scenarios.context import Context, Scenario, Step
from telemetry.tools.compare.setups.route import Variant
from telemetry.tools.compare.setups.run import Run
from telemetry.tools.demo.environment import ROOT
from telemetry.tools.demo.processes import Child

APPLICATION = "the service itself"
_AROUND = 12.0
_SAMPLES_PER_SECOND = 250
_LARGEST = 3
_PY_SPY_SECONDS = 30.0

# The first matching part of a path decides.
AREAS = (
    ("telemetry/privacy/", "redaction"),
    ("telemetry/recording/queries", "recording queries"),
    ("telemetry/recording/logs", "recording log records"),
    ("telemetry/logs", "recording log records"),
    ("telemetry/recording/meters", "recording measurements"),
    ("telemetry/recording/", "recording requests"),
    ("telemetry/routes", "recording requests"),
    ("telemetry/journal/spool", "spool and snapshot"),
    ("telemetry/journal/batch_file", "spool and snapshot"),
    ("telemetry/journal/snapshot", "spool and snapshot"),
    ("telemetry/exporting/state", "spool and snapshot"),
    ("telemetry/journal/", "journal"),
    ("telemetry/exporting/encoding/", "encoding"),
    ("telemetry/exporting/transports/", "sending"),
    ("telemetry/exporting/sending/", "sending"),
    ("telemetry/exposition/", "scrapes"),
    ("telemetry/exporting/", "other work of the exporter"),
    ("opentelemetry/", "context and attributes"),
    ("telemetry/", "other telemetry"),
    ("/django/", APPLICATION),
    ("/rest_framework/", APPLICATION),
    ("/gunicorn/", APPLICATION),
    ("/psycopg", APPLICATION),
    ("userapi/", APPLICATION),
)


_QUERY = "telemetry/recording/queries.py"


class ProfileError(Exception):
    """py-spy could not sample the service; one line that says what to do."""


def area_of(stack: str) -> str:
    """Return the area of a stack in py-spy's raw format: frames from the outermost to the innermost, between `;`."""
    for frame in reversed(stack.split(";")):
        # The query itself, which `off` has as well: a C function, so the sampler sees its caller.
        if _QUERY in frame and _source_line(frame).strip().startswith("return execute("):
            return APPLICATION
        place = frame.replace(f"{ROOT}/", "")
        for part, area in AREAS:
            if part in place:
                return area
    return APPLICATION


def _source_line(frame: str) -> str:
    """Return the line that `function (path:line)` names."""
    path, _, line = frame.rpartition("(")[2].rstrip(")").rpartition(":")
    return linecache.getline(path, int(line)) if line.isdigit() else ""


def areas(lines: Iterable[str]) -> Counter[str]:
    """Return samples by area."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, samples = line.rpartition(" ")
        if samples.isdigit():
            found[area_of(stack)] += int(samples)
    return found


def costs_of(samples: Mapping[str, Counter[str]], cpu: Mapping[str, float]) -> dict[str, float]:
    """Return the CPU seconds of each area, the largest first.

    `samples` are those of several processes by area, `cpu` the CPU seconds of each process.
    """
    costs: Counter[str] = Counter()
    for process, found in samples.items():
        for area, count in found.items():
            costs[area] += cpu[process] * count / found.total()  # type: ignore[assignment]
    return {area: rounded(cost) for area, cost in costs.most_common()}


def _has_ended(child: Child) -> bool:
    return child.code is not None


class Profile(Scenario):
    """One worker of each set-up under the closed loop, and its exporter, both sampled by py-spy."""

    key = "profile"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._seconds = max(5.0, min(context.options.duration, 15.0))
        self._found: list[dict[str, Any]] = []

    def steps(self) -> list[Step]:
        return [
            Step(f"profile, {v.title}", self._seconds + _AROUND, partial(self._profile, v))
            for v in self.context.variants
            if not v.upstream
        ]

    def _profile(self, variant: Variant) -> None:
        with Run(self.context, variant, workers=1) as run:
            run.seed(200)
            load = run.load("closed", self._seconds + 1.0)
            load.ready()
            exporter = run.service.exporter()
            before = self._used(run)
            load.go()
            pids = {"server": run.service.workers()[0].pid} | ({"exporter": exporter.pid} if exporter else {})
            samples = self._sample(pids, run.folder)
            done = run.done(load)
            cpu = {name: (used - before[name]) / max(done.responses, 1) for name, used in self._used(run).items()}
            for problem in run.problems(run.finish()):
                self.problems.append(f"profile, {problem}")
        if not samples["server"]:
            raise ProfileError(f"py-spy has no sample of {variant.title}")
        costs = costs_of(samples, cpu)
        largest = [area for area in costs if area != APPLICATION][:_LARGEST]
        self._found.append(
            {
                "key": variant.key,
                "title": variant.title,
                "cpu": rounded(sum(cpu.values())),
                "samples": sum(found.total() for found in samples.values()),
                "areas": costs,
                "largest": largest,
            }
        )

    @staticmethod
    def _used(run: Run) -> dict[str, float]:
        return {"server": run.service.server_seconds(), "exporter": run.service.exporter_seconds()}

    def _sample(self, pids: dict[str, int], folder: Path) -> dict[str, Counter[str]]:
        """Return the samples of several processes at once, by area."""
        program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
        if program is None:
            raise ProfileError("py-spy is not installed; `make dev` installs it")
        children = []
        for name, pid in pids.items():
            command = [program, "record", "--pid", str(pid), "--format", "raw", "--output", str(folder / name)]
            command += ["--nonblocking", "--rate", str(_SAMPLES_PER_SECOND), "--duration", str(round(self._seconds))]
            log = f"py-spy-{pid}.log"
            children.append(self.context.processes.execute("py-spy", log, [*command, "--full-filenames"], {}))
        for child in children:
            self.context.wait_for(partial(_has_ended, child), self._seconds + _PY_SPY_SECONDS)
            if child.code != 0:
                reason = " | ".join(child.last_lines()[-2:])
                needed = "it needs the right to trace processes"
                raise ProfileError(f"py-spy cannot look into the service ({reason}); {needed}")
            self.context.processes.forget(child)
        return {name: areas((folder / name).read_text(errors="replace").splitlines()) for name in pids}

    def result(self) -> dict[str, Any]:
        return {"seconds": self._seconds, "variants": self._found} if self._found else {}
