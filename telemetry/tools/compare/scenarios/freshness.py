"""Freshness: from the end of a request until its span, log record and count can be read at the backend."""

import random
import statistics
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

from telemetry.tools.compare.figures.intervals import rounded
from telemetry.tools.compare.load.generator import percentile
from telemetry.tools.compare.scenarios.context import Context, Scenario, Step
from telemetry.tools.compare.setups.route import Variant
from telemetry.tools.compare.setups.run import Run

_AROUND = 15.0
_POLL = 0.02
# Not a divisor of any interval, so that the requests arrive at all phases of the timers.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.15, 0.65
_SIGNALS = {"spans": "server_spans", "log records": "access_records", "counter": "requests"}


class Freshness(Scenario):
    """Single requests to one worker of each set-up, all set-ups at once: the machine is nearly idle."""

    key = "freshness"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._seconds = max(2 * context.options.interval, 2 * context.options.duration)
        self._ages: dict[str, dict[str, list[float]]] = {}

    def steps(self) -> list[Step]:
        return [Step("freshness, all set-ups", self._seconds + _AROUND, self._measure)]

    def _measure(self) -> None:
        with ThreadPoolExecutor(self.context.at_once) as threads:
            list(threads.map(self._probe, self.context.exporting))

    def _probe(self, variant: Variant) -> None:
        with self.watched(f"freshness, {variant.title}"), Run(self.context, variant, workers=1) as run:
            run.seed(0)
            watch = _Watch(run)
            self.context.wait_for(lambda: watch.look() or watch.seen_all(), 4 * self.context.options.interval + 10)
            watch.ages = {signal: [] for signal in _SIGNALS}
            deadline, due = monotonic() + self._seconds, monotonic()
            while monotonic() < deadline:
                if monotonic() >= due:
                    run.ask_once()
                    watch.asked()
                    due = monotonic() + random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE)  # noqa: S311
                watch.look()
                self.context.wait(_POLL)
            self.context.wait_for(lambda: watch.look() or watch.seen_all(), 4 * self.context.options.interval + 10)
            self._ages[variant.key] = watch.ages
            self.add_problems("freshness", run.problems(run.finish()))

    def result(self) -> dict[str, Any]:
        if not self._ages:
            return {}
        return {
            "seconds": self._seconds,
            "metric_interval": self.context.options.interval,
            "variants": [
                {
                    "key": variant.key,
                    "title": variant.title,
                    "signals": {
                        signal: {
                            "median": rounded(statistics.median(ages)),
                            "p95": rounded(percentile(ages, 95)),
                            "requests": len(ages),
                            "ages": [rounded(age) for age in ages],
                        }
                        for signal, ages in self._ages[variant.key].items()
                        if ages
                    },
                }
                for variant in self.context.exporting
                if variant.key in self._ages
            ],
        }


class _Watch:
    """Records when each request's items are stored. One worker and one client: the n-th item is the n-th request's."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._count = run.responses
        self._waiting: dict[str, deque[tuple[int, float]]] = {
            name: deque() for name in _SIGNALS if name in run.exported
        }
        self.ages: dict[str, list[float]] = {name: [] for name in _SIGNALS}
        for name in self._waiting:
            self._waiting[name].append((self._count, monotonic()))

    def asked(self) -> None:
        """Note that a request has just ended."""
        self._count += 1
        for waiting in self._waiting.values():
            waiting.append((self._count, monotonic()))

    def look(self) -> bool:
        """Read what is stored; return False."""
        stored = self._run.read()
        now = monotonic()
        for name, waiting in self._waiting.items():
            while waiting and getattr(stored, _SIGNALS[name]) >= waiting[0][0]:
                self.ages[name].append(now - waiting.popleft()[1])
        return False

    def seen_all(self) -> bool:
        """Whether every item has been seen."""
        return not any(self._waiting.values())
