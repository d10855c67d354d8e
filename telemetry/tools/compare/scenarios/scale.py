"""Scale: the cost of a scrape by workers and series, against prometheus_client, and of exporting by rate."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from telemetry.tools.compare.figures.intervals import rounded
from telemetry.tools.compare.scenarios.context import Context, Scenario, Step
from telemetry.tools.compare.setups.route import OFF, Variant
from telemetry.tools.compare.setups.run import Run

_SCRAPE_SECONDS = 3.0
_AROUND = 8.0
_SCRAPES = 30
_SHARES = (0.5, 1.0, 1.5)
_QUICK_SHARES = (0.5, 1.5)
_SIZES = ((1, 100), (1, 1000), (2, 1000), (4, 1000), (8, 1000), (8, 4000))
_QUICK_SIZES = ((1, 1000), (4, 1000), (8, 1000))
_TIMEOUT = 120.0


class ScaleError(Exception):
    """The measurement of a scrape failed; one line."""


class Scale(Scenario):
    """Scrapes of synthetic workers, and set-ups under three rates."""

    key = "scale"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._scrapes: list[dict[str, float]] = []
        self._exports: list[dict[str, Any]] = []
        quick = context.options.quick
        self._sizes = _QUICK_SIZES if quick else _SIZES
        self._shares = _QUICK_SHARES if quick else _SHARES
        self._seconds = min(context.options.duration, 10.0)

    def steps(self) -> list[Step]:
        scrapes = [
            Step(
                f"scale, a scrape of {workers} x {series} series",
                _SCRAPE_SECONDS,
                partial(self._scrape, workers, series),
            )
            for workers, series in self._sizes
        ]
        exporting = self.context.ours[:1] + [v for v in self.context.ours if v.key == "direct"]
        variants = dict.fromkeys([v for v in self.context.variants if v is OFF] + exporting)
        estimate = len(self._shares) * (self._seconds + self.context.options.interval) + _AROUND
        if self.context.options.quick:
            return [
                *scrapes,
                Step("scale, set-ups at growing rates", estimate, partial(self._export_all, list(variants))),
            ]
        return scrapes + [
            Step(f"scale, {variant.title} at growing rates", estimate, partial(self._export, variant))
            for variant in variants
        ]

    def _export_all(self, variants: list[Variant]) -> None:
        """Measure them at once: CPU time is counted by process, and the rates are low."""

        def export(variant: Variant) -> None:
            with self.watched(f"scale, {variant.title}"):
                self._export(variant)

        with ThreadPoolExecutor(self.context.at_once) as threads:
            list(threads.map(export, variants))

    def _scrape(self, workers: int, series: int) -> None:
        arguments = ["-m", "telemetry.tools.compare.scrape", "--json", "--workers", str(workers)]
        arguments += ["--series", str(series), "--rounds", str(_SCRAPES)]
        child = self.context.processes.start("the scrape", f"scrape-{workers}-{series}.log", arguments, {})
        self.context.wait_for(lambda: child.code is not None, _TIMEOUT)
        if child.code != 0:
            raise ScaleError(f"the scrape of {workers} x {series} series failed: {' | '.join(child.last_lines()[-3:])}")
        self.context.processes.forget(child)
        found = json.loads(child.last_lines()[-1])
        self._scrapes.append({name: rounded(value) for name, value in found.items()})

    def _export(self, variant: Variant) -> None:
        with Run(self.context, variant) as run:
            run.seed(100)
            run.settle()
            for share in self._shares:
                rate = share * self.context.rate
                load = run.load("open", self._seconds, rate)
                load.ready()
                before = run.service.cpu_seconds()
                load.go()
                done = run.done(load)
                run.settle()  # queued items belong to these requests
                cpu = (run.service.cpu_seconds() - before) / max(done.responses, 1)
                row = {"key": variant.key, "title": variant.title, "rate": rate, "cpu": rounded(cpu)}
                self._exports.append(row)
            self.add_problems("scale", run.problems(run.finish()))

    def result(self) -> dict[str, Any]:
        if not self._scrapes and not self._exports:
            return {}
        return {"scrape": self._scrapes, "export": self._exports}
