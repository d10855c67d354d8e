"""Scrapes: whether successive scrapes count all requests made until then, with several workers."""

from functools import partial
from itertools import pairwise
from typing import Any

from telemetry.tools.compare.counts.scrapes import Answer, Scrapes
from telemetry.tools.compare.scenarios.context import Context, Scenario, Step
from telemetry.tools.compare.setups.route import Variant
from telemetry.tools.compare.setups.run import Run

_AROUND = 8.0
_SCRAPES = 20
_LEAST_WORKERS = 2
OWN_COUNTS = "http_server_request_duration_seconds_count"


class Contradictions(Scenario):
    """Each set-up that is scraped, under load. A counter must never decrease, nor miss earlier requests."""

    key = "scrapes"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._found: list[dict[str, Any]] = []
        self._seconds = max(4.0, min(context.options.duration, 10.0))

    def steps(self) -> list[Step]:
        if self.context.options.backends.given:
            return []
        return [
            Step(f"scrapes, {variant.title}", self._seconds + _AROUND, partial(self._measure, variant))
            for variant in self.context.exporting
            if variant.is_scraped and variant.sends_logs
        ]

    def _measure(self, variant: Variant) -> None:
        workers = max(self.context.options.workers, _LEAST_WORKERS)
        with Run(self.context, variant, workers) as run:
            run.seed(workers * 10)
            before = run.responses
            load = run.load("open", self._seconds, min(self.context.rate, 50.0))
            scrapes = self._scrapes(run)
            stop = scrapes.every(self._seconds / _SCRAPES)
            load.go()
            done = run.done(load)
            stop()
            self._found.append(
                {
                    "key": variant.key,
                    "title": variant.title,
                    "workers": workers,
                    "scrapes": [self._compared(one, before, done.ends) for one in scrapes.answers],
                }
            )
            self.add_problems("scrapes", run.problems(run.finish()))

    def _scrapes(self, run: Run) -> Scrapes:
        upstream, project = run.variant.upstream, self.context.project
        if upstream:
            return Scrapes(run.service.port, upstream.metrics_path, upstream.counts, upstream.ignored)
        return Scrapes(run.service.port, project.metrics_path, OWN_COUNTS)

    @staticmethod
    def _compared(answer: Answer, before: int, ends: Any) -> dict[str, Any]:
        """Return one scrape's row; `made` are the requests that had been answered when the scrape began."""
        return {
            "at": round(answer.begin - min(ends), 2),
            "made": before + sum(end <= answer.begin for end in ends),
            "made_at_its_end": before + sum(end <= answer.end for end in ends),
            "counted": answer.counted,
        }

    def result(self) -> dict[str, Any]:
        return {"variants": [{**one, **verdict(one["scrapes"])} for one in self._found]} if self._found else {}


def verdict(scrapes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how many scrapes counted too few requests, how many decreased, and the largest share missing."""
    short = [one for one in scrapes if one["counted"] < one["made"]]
    back = sum(b["counted"] < a["counted"] for a, b in pairwise(scrapes))
    worst = max(((one["made"] - one["counted"]) / one["made"] for one in short), default=0.0)
    return {"short": len(short), "went_back": back, "worst_missing": round(worst, 4)}
