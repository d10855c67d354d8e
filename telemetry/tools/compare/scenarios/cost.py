"""Cost: what each set-up costs the service, compared with no telemetry, in paired rounds."""

import json
import random
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from http.client import HTTPConnection
from typing import Any

from telemetry.tools.compare.counts.ledger import Account
from telemetry.tools.compare.figures.intervals import Ratio, paired_ratio, rounded
from telemetry.tools.compare.load.generator import Done
from telemetry.tools.compare.scenarios.condition import PLAIN, Condition
from telemetry.tools.compare.scenarios.context import Context, Scenario, Step
from telemetry.tools.compare.setups.route import CONTROL, OFF, Variant
from telemetry.tools.compare.setups.run import Run

# Estimates for the progress display, seconds: a start, seeding and a stop.
_AROUND = 5.0
_WARM_UP_SECONDS = 1.0
_MOST_LATE = 0.25
"""Seconds that the generator of the open loop may be late before its latencies say nothing."""

METRICS = {
    "cpu": "CPU seconds of all processes of the service per request",
    "throughput": "requests per second, closed loop",
    "p50": "median latency at the fixed rate, seconds",
    "p95": "95th percentile of the latency at the fixed rate, seconds",
    "p99": "99th percentile of the latency at the fixed rate, seconds",
    "memory": "bytes of memory per worker",
    "start": "seconds from the command to the first answer",
}
"""What is compared with `off`, as ratios."""


@dataclass(frozen=True, slots=True)
class CostFigures:
    """The figures of one run. Times in seconds, memory in bytes.

    `cpu` is that of all processes of the service per request, with the drain at the stop; `exporter_cpu` is the
    exporter's part of it. `memory` is a worker's, without `exporter_memory`; both of the exporter are None without one.
    """

    cpu: float
    throughput: float
    p50: float
    p95: float
    p99: float
    memory: float
    start: float
    stop: float
    exporter_cpu: float | None
    exporter_memory: float | None
    sent_bytes: float
    """Bytes that left the service per request: OTLP, and scrapes in direct mode."""
    collector_cpu: float | None
    """CPU seconds per request of the collector, None if there is none."""
    collector_memory: float | None
    total_cpu: float
    """CPU seconds per request of the service and the collector."""
    total_memory: float
    """Bytes of memory of all workers, the exporter and the collector."""
    total_bytes: float
    """Bytes per request on every hop: from the service, and from the collector to the backend."""
    requests: int
    late: float


class Cost(Scenario):
    """`off` and every other set-up once per round, in shuffled order, in fresh processes.

    `off` runs twice in each round: the ratio of the two, the control, is what this machine makes of no difference.
    """

    key = "cost"

    def __init__(
        self, context: Context, variants: Sequence[Variant] | None = None, condition: Condition = PLAIN
    ) -> None:
        """By default all set-ups are compared; `condition` is what is different from other comparisons."""
        super().__init__(context)
        self._condition = condition
        self._variants = list(context.variants if variants is None else variants)
        if OFF in self._variants:
            self._variants.insert(self._variants.index(OFF) + 1, CONTROL)
        self._runs: dict[str, list[CostFigures]] = {variant.key: [] for variant in self._variants}
        self._accounts: dict[str, list[Account]] = {}
        self._memory = ""
        self._collectors: dict[str, str] = {}

    def steps(self) -> list[Step]:
        rounds, seconds = self.context.options.rounds, 2 * self.context.options.duration + _AROUND
        return [
            Step(
                f"{self._name}, round {number + 1} of {rounds}, {variant.title}",
                seconds,
                partial(self._measure, variant),
            )
            for number in range(rounds)
            for variant in random.sample(self._variants, len(self._variants))
        ]

    @property
    def _name(self) -> str:
        return f"cost, {self._condition.title}" if self._condition.title else "cost"

    def _measure(self, variant: Variant) -> None:
        options = self.context.options
        with Run(self.context, variant, condition=self._condition) as run:
            run.seed(0)
            warm_up = run.load("closed", min(_WARM_UP_SECONDS, options.duration))
            closed = run.load("closed", options.duration)
            opened = run.load("open", options.duration, self.context.rate)
            warm_up.go()
            run.done(warm_up)
            sent, cpu, exporter_cpu = run.bytes_sent(0), run.service.cpu_seconds(), run.service.exporter_seconds()
            collector_cpu, second_hop = run.collector_seconds, run.collector_bytes
            closed.go()
            fast = run.done(closed)
            opened.go()
            steady = run.done(opened)
            self._memory, memory = run.service.memory()
            exporter_memory = run.service.exporter_memory()
            collector_memory = run.collector_memory
            scrape = _scrape_bytes(run)
            found = run.finish(settle=False)
            requests = fast.responses + steady.responses
            self._note(variant, run, found)
            self._keep(variant, steady)
            if steady.late > _MOST_LATE:
                self.context.progress.say(
                    f"{variant.title}: the generator was {steady.late:.2f} s late; {self.context.rate:g} requests/s "
                    "are too many for this machine, or others use it"
                )
            cpu = (run.service.cpu_seconds() - cpu) / requests
            collector_cpu = (run.collector_seconds - collector_cpu) / requests
            sent_bytes = (run.bytes_sent(scrape) - sent) / requests
            self._runs[variant.key].append(
                CostFigures(
                    cpu=cpu,
                    throughput=fast.responses / fast.seconds,
                    p50=steady.percentile(50),
                    p95=steady.percentile(95),
                    p99=steady.percentile(99),
                    memory=memory,
                    start=run.service.start_seconds,
                    stop=run.stop_seconds,
                    exporter_cpu=self._of_exporter(run, exporter_cpu, requests),
                    exporter_memory=exporter_memory,
                    sent_bytes=sent_bytes,
                    collector_cpu=collector_cpu if run.collector else None,
                    collector_memory=collector_memory,
                    total_cpu=cpu + collector_cpu,
                    total_memory=memory * run.workers + (exporter_memory or 0) + (collector_memory or 0),
                    total_bytes=sent_bytes + (run.collector_bytes - second_hop) / requests,
                    requests=requests,
                    late=steady.late,
                )
            )

    def _keep(self, variant: Variant, steady: Done) -> None:
        """Write the latencies of the open loop beside the report, if they are asked for; seconds."""
        if self.context.options.keep_data:
            name = "-".join(
                filter(None, ("latencies", self._condition.key, variant.key, str(len(self._runs[variant.key]))))
            )
            path = self.context.options.output / f"{name}.json"
            path.write_text(json.dumps([rounded(latency) for latency in steady.latencies]))

    @staticmethod
    def _of_exporter(run: Run, before: float, requests: int) -> float | None:
        return (run.service.exporter_seconds() - before) / requests if run.service.exports else None

    def _note(self, variant: Variant, run: Run, found: list[Account]) -> None:
        self._collectors[variant.key] = run.collector_name
        self._accounts.setdefault(variant.key, []).extend(found)
        for problem in run.problems(found):
            self.problems.append(f"{self._name}, {problem}")
            self.context.progress.say(f"DOES NOT ADD UP: {self._name}, {problem}")

    def ratio(self, key: str, metric: str) -> Ratio | None:
        """Return the ratio to `off` of complete rounds, None if there are none."""
        values, baseline = self._runs[key], self._runs.get(OFF.key, [])
        pairs = min(len(values), len(baseline))
        if not pairs:
            return None
        return paired_ratio(
            [getattr(run, metric) for run in values[:pairs]], [getattr(run, metric) for run in baseline[:pairs]]
        )

    def result(self) -> dict[str, Any]:
        return {
            "rounds": min(map(len, self._runs.values())),
            "seconds": self.context.options.duration,
            "memory_is": self._memory,
            "variants": [self._described(variant) for variant in self._variants if self._runs[variant.key]],
        }

    def _described(self, variant: Variant) -> dict[str, Any]:
        runs = self._runs[variant.key]
        found = self._accounts.get(variant.key, [])
        medians = {
            name: rounded(statistics.median(values))
            for name in CostFigures.__slots__
            if (values := [value for run in runs if (value := getattr(run, name)) is not None])
        }
        ratios = (
            {} if variant is OFF else {name: r.as_json() for name in METRICS if (r := self.ratio(variant.key, name))}
        )
        return {
            "key": variant.key,
            "title": variant.title,
            "collector": self._collectors.get(variant.key, ""),
            "median": medians,
            "ratio": ratios,
            "runs": [{name: rounded(value) for name, value in asdict(run).items()} for run in runs],
            "counts": totals(found),
        }


def totals(found: list[Account]) -> dict[str, dict[str, int]]:
    """Return sent, stored and lost by signal over several runs."""
    sums: dict[str, dict[str, int]] = {}
    for account in found:
        entry = sums.setdefault(account.signal, {"sent": 0, "stored": 0, "lost": 0})
        for name, value in (("sent", account.sent), ("stored", account.stored), ("lost", account.lost)):
            entry[name] += value
    return sums


def _scrape_bytes(run: Run) -> int:
    """Return the length of the answer to a scrape, 0 where nothing scrapes."""
    upstream = run.variant.upstream
    if not run.variant.is_scraped:
        return 0
    path = upstream.metrics_path if upstream else run.context.project.metrics_path
    client = HTTPConnection("127.0.0.1", run.service.port, timeout=10)
    try:
        client.request("GET", path, headers={"Accept": "application/openmetrics-text", "Connection": "close"})
        return len(client.getresponse().read())
    finally:
        client.close()
