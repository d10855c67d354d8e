"""Profile: where each set-up spends its CPU time, per request, as py-spy samples it.

Each sample belongs to the innermost frame that is either telemetry's or the application's; frames of the standard
library and of helpers in between count for their caller.
"""

import linecache
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from telemetry.compare.context import Context, Scenario, Step
from telemetry.compare.intervals import rounded
from telemetry.compare.route import Variant
from telemetry.compare.run import Run
from telemetry.demo.environment import ROOT

APPLICATION = "the service itself"
# Of the export thread. On a busy core it waits for its turn after that, which the sampler takes for work.
RESTING = "breaks"
_AROUND = 12.0
_SAMPLES_PER_SECOND = 250
_LARGEST = 3
_PY_SPY_SECONDS = 30.0

# The first part of a path that is found decides.
AREAS = (
    ("telemetry/privacy/", "redaction"),
    ("telemetry/request_middleware", "request span and duration"),
    ("telemetry/incoming", "request span and duration"),
    ("telemetry/routes", "request span and duration"),
    ("telemetry/query_spans", "query spans"),
    ("opentelemetry/instrumentation/", "request span and duration"),
    ("telemetry/spans", "making spans"),
    ("opentelemetry/sdk/trace/", "making spans"),
    ("telemetry/bound_metrics", "metrics"),
    ("telemetry/exemplars", "metrics"),
    ("opentelemetry/sdk/metrics/", "metrics"),
    ("telemetry/shared_", "metrics"),
    ("telemetry/series_key", "metrics"),
    ("telemetry/slot_", "metrics"),
    ("opentelemetry/metrics", "metrics"),
    ("telemetry/exposition", "scrapes"),
    ("telemetry/prometheus_names", "scrapes"),
    ("telemetry/observed", "scrapes"),
    ("telemetry/views", "scrapes"),
    ("opentelemetry/sdk/_logs/", "log records"),
    ("opentelemetry/_logs/", "log records"),
    ("telemetry/log", "log records"),
    ("telemetry/encoding/", "encoding"),
    ("telemetry/breaks", RESTING),
    ("opentelemetry/exporter/otlp/proto/common/", "encoding"),
    ("opentelemetry/proto/", "encoding"),
    ("opentelemetry/exporter/", "sending"),
    ("telemetry/transport_", "sending"),
    ("telemetry/delivery", "sending"),
    ("telemetry/counted_", "sending"),
    ("telemetry/otlp", "sending"),
    ("opentelemetry/sdk/_shared_internal/", "sending"),
    ("opentelemetry/", "context and attributes"),
    ("telemetry/", "other telemetry"),
    ("/django/", APPLICATION),
    ("/rest_framework/", APPLICATION),
    ("/gunicorn/", APPLICATION),
    ("/psycopg", APPLICATION),
    ("userapi/", APPLICATION),
)


_QUERY = "telemetry/query_spans.py"


class ProfileError(Exception):
    """py-spy could not look into the service; one line with what to do."""


def area_of(stack: str) -> str:
    """Return the area of a stack in py-spy's raw format: frames from the outermost to the innermost, between `;`."""
    for frame in reversed(stack.split(";")):
        # The query itself, which `off` has as well: a C function, of which the sampler sees the caller.
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
    """Return samples by area, but for those of a thread that rests."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, samples = line.rpartition(" ")
        if samples.isdigit():
            found[area_of(stack)] += int(samples)
    del found[RESTING]
    return found


class Profile(Scenario):
    """One worker of each set-up under the closed loop, with py-spy looking."""

    key = "profile"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._seconds = max(5.0, min(context.options.duration, 15.0))
        self._found: list[dict[str, Any]] = []

    def steps(self) -> list[Step]:
        return [
            Step(f"profile, {v.title}", self._seconds + _AROUND, partial(self._profile, v))
            for v in self.context.variants
        ]

    def _profile(self, variant: Variant) -> None:
        with Run(self.context, variant, workers=1) as run:
            run.seed(200)
            load = run.load("closed", self._seconds + 1.0)
            before = run.service.cpu_seconds()
            load.go()
            samples = self._sample(run.service.workers()[0].pid, run.folder / "profile.txt")
            done = run.done(load)
            cpu = (run.service.cpu_seconds() - before) / max(done.responses, 1)
            for problem in run.problems(run.finish()):
                self.problems.append(f"profile, {problem}")
        total = samples.total()
        if not total:
            raise ProfileError(f"py-spy has no sample of {variant.title}")
        costs = {area: rounded(cpu * count / total) for area, count in samples.most_common()}
        largest = [area for area in costs if area != APPLICATION][:_LARGEST]
        self._found.append(
            {
                "key": variant.key,
                "title": variant.title,
                "cpu": rounded(cpu),
                "samples": total,
                "areas": costs,
                "largest": largest,
            }
        )

    def _sample(self, pid: int, output: Path) -> Counter[str]:
        program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
        if program is None:
            raise ProfileError("py-spy is not installed; `make dev` installs it")
        command = [program, "record", "--pid", str(pid), "--format", "raw", "--output", str(output), "--nonblocking"]
        command += ["--rate", str(_SAMPLES_PER_SECOND), "--duration", str(round(self._seconds)), "--full-filenames"]
        child = self.context.processes.execute("py-spy", f"py-spy-{pid}.log", command, {})
        self.context.wait_for(lambda: child.code is not None, self._seconds + _PY_SPY_SECONDS)
        if child.code != 0:
            reason = " | ".join(child.last_lines()[-2:])
            raise ProfileError(f"py-spy cannot look into the service ({reason}); it needs the right to trace processes")
        self.context.processes.forget(child)
        return areas(output.read_text(errors="replace").splitlines())

    def result(self) -> dict[str, Any]:
        return {"seconds": self._seconds, "variants": self._found} if self._found else {}
