"""Cost: the cost of each set-up to the service, compared with no telemetry, in paired rounds."""

import json
import random
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from itertools import chain, repeat
from typing import Any

from telemetry.tools.compare.counts.ledger import Account
from telemetry.tools.compare.figures.intervals import Ratio, paired_ratio, rounded
from telemetry.tools.compare.scenarios.condition import PLAIN, Condition
from telemetry.tools.compare.scenarios.context import TROUBLE, Context, Scenario, Step
from telemetry.tools.compare.scenarios.turns import CostFigures, InTurns
from telemetry.tools.compare.setups.route import CONTROL, OFF, Variant
from telemetry.tools.compare.setups.run import Run

# Estimates for the progress display, seconds: a start, seeding and a stop; and the arrival of a turn's telemetry.
_AROUND = 6.0
_ARRIVAL = 1.0
_MOST_LATE = 0.25
"""Seconds that the generator of the open loop may be late before its latencies are meaningless."""

METRICS = {
    "cpu": "CPU seconds of all processes of the service per request",
    "throughput": "requests per second, closed loop",
    "p50": "median latency at the fixed rate, seconds",
    "p95": "95th percentile of the latency at the fixed rate, seconds",
    "p99": "99th percentile of the latency at the fixed rate, seconds",
    "memory": "bytes of memory per worker",
    "start": "seconds from the command to the first answer",
}
"""The metrics compared with `off` as ratios."""


class Cost(Scenario):
    """`off` and every other set-up in each round, in fresh processes, side by side: one has the load, the others wait.

    The turns of a round are short and in shuffled order, so that other activity on the machine affects all alike. `off`
    runs twice: the ratio of the two, the control, shows this machine's noise. If the service's port is given, the
    set-ups of a round run one after the other, because they cannot share it.
    """

    key = "cost"

    def __init__(
        self, context: Context, variants: Sequence[Variant] | None = None, condition: Condition = PLAIN
    ) -> None:
        """By default all set-ups are compared; `condition` is the variation to apply."""
        super().__init__(context)
        self._condition = condition
        self._variants = list(context.variants if variants is None else variants)
        if OFF in self._variants:
            self._variants.insert(self._variants.index(OFF) + 1, CONTROL)
        self._rounds: list[dict[str, CostFigures]] = [{} for _ in range(context.options.rounds)]
        self._accounts: dict[str, list[Account]] = {}
        self._memory = ""
        self._collectors: dict[str, str] = {}

    def steps(self) -> list[Step]:
        rounds = self.context.options.rounds
        return [
            Step(
                f"{self._name}, round {number + 1} of {rounds}" + (f", {group[0].title}" if len(group) == 1 else ""),
                len(group) * self._seconds,
                partial(self._measure, number, group),
            )
            for number in range(rounds)
            for group in self._groups()
        ]

    @property
    def _name(self) -> str:
        return f"cost, {self._condition.title}" if self._condition.title else "cost"

    @property
    def _seconds(self) -> float:
        """Estimate the time of a set-up in a round."""
        duration = self.context.options.duration
        turns = InTurns.turns_of(duration)
        return _AROUND + (2 * turns + 1) * (duration / turns + _ARRIVAL)

    def _groups(self) -> list[list[Variant]]:
        """Return the groups of set-ups that run side by side."""
        shuffled = random.sample(self._variants, len(self._variants))
        return [[variant] for variant in shuffled] if self.context.options.service_port else [shuffled]

    def _measure(self, number: int, variants: Sequence[Variant]) -> None:
        # A quick run starts and stops them at once, too: its figures of a start are rough.
        at_once = self.context.at_once if self.context.options.quick else 1
        measured: dict[str, InTurns] = {}
        with ExitStack() as stack, ThreadPoolExecutor(at_once) as threads:

            def start(variant: Variant) -> None:
                with self._watched(variant, measured):
                    run = stack.enter_context(Run(self.context, variant, condition=self._condition))
                    measured[variant.key] = InTurns(run)

            def stop(one: InTurns) -> None:
                with self._watched(one.run.variant, measured):
                    self._keep(number, one)

            list(threads.map(start, variants))
            turns = InTurns.turns_of(self.context.options.duration)
            for kind in chain(["warm-up"], repeat("closed", turns), repeat("open", turns)):
                for one in random.sample(list(measured.values()), len(measured)):
                    with self._watched(one.run.variant, measured):
                        one.turn(kind)
            list(threads.map(stop, list(measured.values())))

    @contextmanager
    def _watched(self, variant: Variant, measured: dict[str, InTurns]) -> Iterator[None]:
        """Record the failure of a set-up, and let the others of the round continue without it."""
        with self.watched(f"{self._name}, {variant.title}"):
            try:
                yield
            except TROUBLE:
                measured.pop(variant.key, None)
                raise

    def _keep(self, number: int, measured: InTurns) -> None:
        """Stop a set-up, and keep its results."""
        run, variant = measured.run, measured.run.variant
        found = measured.finish()
        self._memory = measured.memory_is
        self._collectors[variant.key] = run.collector_name
        self._accounts.setdefault(variant.key, []).extend(found)
        self.add_problems(self._name, run.problems(found))
        figures = self._rounds[number][variant.key] = measured.figures()
        if figures.late > _MOST_LATE:
            self.context.progress.say(
                f"{variant.title}: the generator was {figures.late:.2f} s late; {self.context.rate:g} requests/s "
                "are too many for this machine, or others use it"
            )
        if self.context.options.keep_data:
            name = "-".join(filter(None, ("latencies", self._condition.key, variant.key, str(number))))
            path = self.context.options.output / f"{name}.json"
            latencies = [rounded(latency) for turn in measured.latencies for latency in turn]
            path.write_text(json.dumps(latencies))

    def _runs(self, key: str) -> list[CostFigures]:
        """Return the figures of a set-up in each round that has them."""
        return [found[key] for found in self._rounds if key in found]

    def ratio(self, key: str, metric: str) -> Ratio | None:
        """Return the ratio to `off` over the rounds that have both, None if there are none.

        A round's `off` is the mean of its two runs, which have less noise than one; for the control, it is the first.
        """
        offs = [OFF.key] if key == CONTROL.key else [OFF.key, CONTROL.key]
        pairs = [
            (getattr(found[key], metric), statistics.geometric_mean(runs))
            for found in self._rounds
            if key in found and (runs := [getattr(found[off], metric) for off in offs if off in found])
        ]
        return paired_ratio(*zip(*pairs, strict=True)) if pairs else None

    def result(self) -> dict[str, Any]:
        measured = [variant for variant in self._variants if self._runs(variant.key)]
        return {
            "rounds": min((len(self._runs(variant.key)) for variant in measured), default=0),
            "seconds": self.context.options.duration,
            "memory_is": self._memory,
            "variants": [self._described(variant) for variant in measured],
        }

    def _described(self, variant: Variant) -> dict[str, Any]:
        runs = self._runs(variant.key)
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
            "runs": [
                {"round": number, **{name: rounded(value) for name, value in asdict(found[variant.key]).items()}}
                for number, found in enumerate(self._rounds, 1)
                if variant.key in found
            ],
            "counts": totals(self._accounts.get(variant.key, [])),
        }


def totals(found: list[Account]) -> dict[str, dict[str, int]]:
    """Return sent, stored and lost by signal over several runs."""
    sums: dict[str, dict[str, int]] = {}
    for account in found:
        entry = sums.setdefault(account.signal, {"sent": 0, "stored": 0, "lost": 0})
        for name, value in (("sent", account.sent), ("stored", account.stored), ("lost", account.lost)):
            entry[name] += value
    return sums
