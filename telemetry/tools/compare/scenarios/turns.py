"""One set-up in one round of the scenario cost: its turns of load alternate with those of the others."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from http.client import HTTPConnection

from telemetry.tools.compare.counts.ledger import Account
from telemetry.tools.compare.load.generator import Done, LoadError, percentile
from telemetry.tools.compare.load.mix import ANSWER_SECONDS
from telemetry.tools.compare.setups.run import Run

_TURN_SECONDS = 1.7
"""The approximate length of a turn: shorter than changes on the machine, and longer than the delay of a batch."""
_FIRST_SECONDS, _FIRST_SHARE = 0.5, 0.25
"""The start of an open-loop turn whose latencies are left out: after a pause a process's caches are cold."""


@dataclass(frozen=True, slots=True)
class CostFigures:
    """The figures of one set-up in one round. Times in seconds, memory in bytes.

    A percentile is the median over the turns.
    `cpu` is that of all processes of the service per request, until all spans and log records have arrived, without
    start and stop; `exporter_cpu` is the exporter's part of it. `memory` is a worker's, without `exporter_memory`; both
    of the exporter are None without one.
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


class InTurns:
    """A running set-up and its generators: each `turn` is one load, until all of its telemetry has arrived."""

    def __init__(self, run: Run) -> None:
        self.run = run
        run.seed(0)
        duration = run.context.options.duration
        turns = self.turns_of(duration)
        closed = run.load("closed", duration / turns, turns=turns + 1)
        opened = run.load("open", duration / turns, run.context.rate, turns=turns)
        self._first = round(min(_FIRST_SECONDS, _FIRST_SHARE * duration / turns) * run.context.rate)
        self._loads = {"warm-up": closed, "closed": closed, "open": opened}
        self._done: dict[str, list[Done]] = {kind: [] for kind in self._loads}
        self._used: defaultdict[str, float] = defaultdict(float)
        self._memory: dict[str, float | None] = {}
        self.memory_is = ""
        """The measure of memory: PSS or USS."""
        self._scrape = 0

    @staticmethod
    def turns_of(duration: float) -> int:
        """Return how many turns each of the two loads takes, of so many seconds in all."""
        return max(1, round(duration / _TURN_SECONDS))

    def turn(self, kind: str) -> None:
        """Run a turn of the closed or the open loop; for the warm-up, only the requests are counted."""
        before = self._usage()
        with self.run.store.deferred() if self.run.store else nullcontext():
            self._loads[kind].go()
            self._done[kind].append(self.run.done(self._loads[kind]))
        self.run.settle()
        if kind == "warm-up":
            self._scrape = _scrape_bytes(self.run)
            return
        for name, used in self._usage().items():
            self._used[name] += used - before[name]

    def _usage(self) -> dict[str, float]:
        """Return what the run has used so far: CPU in seconds, and bytes."""
        run = self.run
        return {
            "service": run.service.cpu_seconds(),
            "exporter": run.service.exporter_seconds(),
            "collector": run.collector_seconds,
            "sent": run.bytes_sent(self._scrape),
            "forwarded": run.collector_bytes,
        }

    def finish(self) -> list[Account]:
        """Record the memory, stop everything without waiting for queued items, and return the accounts."""
        service = self.run.service
        self.memory_is, worker = service.memory()
        self._memory = {
            "worker": worker, "exporter": service.exporter_memory(), "collector": self.run.collector_memory
        }  # fmt: skip
        return self.run.finish(settle=False)

    @property
    def latencies(self) -> list[Sequence[float]]:
        """The open loop's latencies by turn, without the first ones, in seconds from each request's due time."""
        return [latencies for done in self._done["open"] if (latencies := done.latencies[self._first :])]

    def figures(self) -> CostFigures:
        """Return the figures; call after `finish`. Raises LoadError if no request of the open loop was answered."""
        run, memory, latencies, fast = self.run, self._memory, self.latencies, self._done["closed"]
        if not latencies:
            raise LoadError("no request of the open loop got the status that it must get")
        requests = sum(done.responses for done in [*fast, *self._done["open"]])
        each = {name: used / requests for name, used in self._used.items()}
        worker = memory["worker"] or 0.0
        return CostFigures(
            cpu=each["service"],
            throughput=sum(done.responses for done in fast) / sum(done.seconds for done in fast),
            p50=usual(latencies, 50),
            p95=usual(latencies, 95),
            p99=usual(latencies, 99),
            memory=worker,
            start=run.service.start_seconds,
            stop=run.stop_seconds,
            exporter_cpu=each["exporter"] if run.service.exports else None,
            exporter_memory=memory["exporter"],
            sent_bytes=each["sent"],
            collector_cpu=each["collector"] if run.collector else None,
            collector_memory=memory["collector"],
            total_cpu=each["service"] + each["collector"],
            total_memory=worker * run.workers + (memory["exporter"] or 0) + (memory["collector"] or 0),
            total_bytes=each["sent"] + each["forwarded"],
            requests=requests,
            late=max(done.late for done in self._done["open"]),
        )


def usual(turns: Sequence[Sequence[float]], percent: int) -> float:
    """Return the median over the turns of a percentile, which a short stall of the machine does not dominate."""
    return statistics.median(percentile(turn, percent) for turn in turns)


def _scrape_bytes(run: Run) -> int:
    """Return the size in bytes of the answer to a scrape, 0 if nothing scrapes."""
    upstream = run.variant.upstream
    if not run.variant.is_scraped:
        return 0
    path = upstream.metrics_path if upstream else run.context.project.metrics_path
    client = HTTPConnection("127.0.0.1", run.service.port, timeout=ANSWER_SECONDS)
    try:
        client.request("GET", path, headers={"Accept": "application/openmetrics-text", "Connection": "close"})
        return len(client.getresponse().read())
    finally:
        client.close()
