"""Cost: what each set-up costs the service, compared with no telemetry, in paired rounds."""

import random
import statistics
from dataclasses import asdict, dataclass
from functools import partial
from http.client import HTTPConnection
from typing import Any

from telemetry.tools.compare.context import Context, Scenario, Step
from telemetry.tools.compare.intervals import Ratio, paired_ratio, rounded
from telemetry.tools.compare.ledger import Account
from telemetry.tools.compare.route import OFF, Variant
from telemetry.tools.compare.run import Run

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
    requests: int
    late: float


class Cost(Scenario):
    """`off` and every other set-up once per round, in shuffled order, in fresh processes."""

    key = "cost"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._runs: dict[str, list[CostFigures]] = {variant.key: [] for variant in context.variants}
        self._accounts: dict[str, list[Account]] = {}
        self._memory = ""
        self._collectors: dict[str, str] = {}

    def steps(self) -> list[Step]:
        rounds, seconds = self.context.options.rounds, 2 * self.context.options.duration + _AROUND
        return [
            Step(f"cost, round {number + 1} of {rounds}, {variant.title}", seconds, partial(self._measure, variant))
            for number in range(rounds)
            for variant in random.sample(self.context.variants, len(self.context.variants))
        ]

    def _measure(self, variant: Variant) -> None:
        options = self.context.options
        with Run(self.context, variant) as run:
            run.seed(0)
            warm_up = run.load("closed", _WARM_UP_SECONDS)
            closed = run.load("closed", options.duration)
            opened = run.load("open", options.duration, self.context.rate)
            warm_up.go()
            run.done(warm_up)
            sent, cpu, exporter_cpu = run.bytes_sent(0), run.service.cpu_seconds(), run.service.exporter_seconds()
            collector_cpu = run.collector.cpu_seconds() if run.collector else 0.0
            closed.go()
            fast = run.done(closed)
            opened.go()
            steady = run.done(opened)
            self._memory, memory = run.service.memory()
            exporter_memory = run.service.exporter_memory()
            scrape = _scrape_bytes(run)
            found = run.finish(settle=False)
            requests = fast.responses + steady.responses
            self._note(variant, run, found)
            if steady.late > _MOST_LATE:
                self.context.progress.say(
                    f"{variant.title}: the generator was {steady.late:.2f} s late; {self.context.rate:g} requests/s "
                    "are too many for this machine, or others use it"
                )
            self._runs[variant.key].append(
                CostFigures(
                    cpu=(run.service.cpu_seconds() - cpu) / requests,
                    throughput=fast.responses / fast.seconds,
                    p50=steady.percentile(50),
                    p95=steady.percentile(95),
                    p99=steady.percentile(99),
                    memory=memory,
                    start=run.service.start_seconds,
                    stop=run.stop_seconds,
                    exporter_cpu=self._of_exporter(run, exporter_cpu, requests),
                    exporter_memory=exporter_memory,
                    sent_bytes=(run.bytes_sent(scrape) - sent) / requests,
                    collector_cpu=(run.collector.cpu_seconds() - collector_cpu) / requests if run.collector else None,
                    requests=requests,
                    late=steady.late,
                )
            )

    @staticmethod
    def _of_exporter(run: Run, before: float, requests: int) -> float | None:
        return (run.service.exporter_seconds() - before) / requests if run.service.exports else None

    def _note(self, variant: Variant, run: Run, found: list[Account]) -> None:
        self._collectors[variant.key] = run.collector_name
        self._accounts.setdefault(variant.key, []).extend(found)
        for problem in run.problems(found):
            self.problems.append(f"cost, {problem}")
            self.context.progress.say(f"DOES NOT ADD UP: cost, {problem}")

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
            "variants": [self._described(variant) for variant in self.context.variants if self._runs[variant.key]],
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
    if run.variant.mode != "direct":
        return 0
    client = HTTPConnection("127.0.0.1", run.service.port, timeout=10)
    try:
        client.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text", "Connection": "close"})
        return len(client.getresponse().read())
    finally:
        client.close()
