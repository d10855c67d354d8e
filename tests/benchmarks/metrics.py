"""What the exporter's metrics cost: a measurement, an observation, a snapshot, a push and a scrape.

    python -m tests.benchmarks.metrics --rounds 15

Times are CPU time of this thread, the median of the rounds. A measurement is one of a request's duration by the series
that the translation keeps; `record` finds the series by its attributes first, as for instruments of the service's own.
Exemplars are those of sampled spans: in every second bucket that counts. Fails when a snapshot of 1,000 series takes
longer than the aim. `python -m telemetry.tools.compare.scrape` holds a scrape against prometheus_client.
"""

import argparse
import marshal
import statistics
import sys
from collections.abc import Callable
from time import thread_time, time_ns

from telemetry.exporting.items.scopes import REQUEST_DURATION
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.otlp_metrics import encode
from telemetry.exporting.metrics.views import Views
from telemetry.exposition import Exposition
from telemetry.journal.records import Instrument

SNAPSHOT_AIM = 0.010
REPEATS = 20_000
TRACE, SPAN = bytes(range(16)), bytes(range(8))
REQUEST = {"http.request.method": "GET", "http.response.status_code": 200, "http.route": "/users/{id}"}
RESOURCE = {"service.name": "user-api", "export.mode": "direct"}
ORDERS: Instrument = ("counter", "orders", "{order}", "Orders.", "shop", "", "", None)
MEMORY: Instrument = ("observable_updowncounter", "process.memory.usage", "By", "Memory.", "shop", "", "", None)
SECONDS = (0.003, 0.007, 0.03, 0.3, 2.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    measure_one(rounds)
    return 0 if measure_all(1000, rounds) < SNAPSHOT_AIM and measure_all(10_000, rounds) else 1


def median(action: Callable[[], object], rounds: int) -> float:
    """Return the CPU seconds that an action takes."""
    seconds = []
    for _ in range(rounds):
        before = thread_time()
        action()
        seconds.append(thread_time() - before)
    return statistics.median(seconds)


def measure_one(rounds: int) -> None:
    """Print what single measurements cost."""
    aggregation = Aggregation(Views({"orders": ["kind"]}))
    series, counted = aggregation.series(REQUEST_DURATION, REQUEST), aggregation.series(ORDERS, {"kind": "book"})
    now = time_ns()

    def repeat(action: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(REPEATS):
                action()

        return run

    nothing = median(repeat(lambda: None), rounds)
    for what, action in {
        "Series.record, histogram": lambda: series.record(0.003, now, TRACE, SPAN, True),
        "Series.record, no exemplar": lambda: series.record(0.003, now, TRACE, SPAN, False),
        "Series.record, counter": lambda: counted.record(1, now, TRACE, SPAN, True),
        "Aggregation.record": lambda: aggregation.record(ORDERS, 1, {"kind": "book"}, now, TRACE, SPAN, True),
        "Aggregation.series": lambda: aggregation.series(REQUEST_DURATION, REQUEST),
        "Aggregation.observe": lambda: aggregation.observe(MEMORY, 1, [(1.0, {})]),
        "Aggregation.emit": lambda: aggregation.emit(ORDERS, 1, {"kind": "book"}),
    }.items():
        seconds = (median(repeat(action), rounds) - nothing) / REPEATS
        aggregation.settle()
        print(f"{what:28} {seconds * 1e9:8.0f} ns")


def measure_all(count: int, rounds: int) -> float:
    """Print what `count` histograms cost; return the seconds of a snapshot."""
    for exemplars in ("always_off", "trace_based"):
        aggregation = Aggregation(Views({}), exemplars=exemplars, limit=count + 1)
        for index in range(count):
            series = aggregation.series(REQUEST_DURATION, {**REQUEST, "http.route": f"/users/{index}"})
            for place, seconds in enumerate(SECONDS):
                series.record(seconds, time_ns(), TRACE, SPAN, place % 2 == 0)
        exposition = Exposition(aggregation, RESOURCE)
        snapshot = marshal.dumps(aggregation.state(), 2)

        def restore(aggregation_: Aggregation = aggregation, data: bytes = snapshot) -> None:
            Aggregation(Views({}), limit=len(aggregation_.state()[0][1]) + 1).restore(marshal.loads(data))  # noqa: S302

        taken = median(lambda: marshal.dumps(aggregation.state(), 2), rounds)  # noqa: B023
        print(f"{count} histograms, exemplars {exemplars}:")
        print(f"  {'snapshot':24} {taken * 1e3:8.2f} ms, {len(snapshot)} bytes")
        print(f"  {'restored':24} {median(restore, rounds) * 1e3:8.2f} ms")
        for accept in ("text/plain", "application/openmetrics-text"):
            seconds = median(lambda: exposition.render(accept), rounds)  # noqa: B023
            print(f"  {'scrape, ' + accept[:16]:24} {seconds * 1e3:8.2f} ms, {len(exposition.render(accept)[0])} bytes")
        seconds = median(lambda: encode(aggregation, RESOURCE), 3)  # noqa: B023
        print(f"  {'push':24} {seconds * 1e3:8.2f} ms, {len(encode(aggregation, RESOURCE)[0])} bytes")
    return taken


if __name__ == "__main__":
    sys.exit(main())
