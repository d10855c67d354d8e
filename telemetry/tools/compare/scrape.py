"""What a scrape costs: /metrics of a service beside prometheus_client's own multiprocess mode, on the same series.

    python -m telemetry.tools.compare.scrape --workers 8 --series 1000 --rounds 50

Real processes write the same series to both: records into their rings, and prometheus_client's files. Then one process
scrapes both by turns, first with the living workers alone, then after 40 more have come and gone. A scrape of ours is
what the exporter does for it: look for new rings, read what is new, render. Both answers must have the same sums, or
the comparison is void. Exit code 1 if a target is missed: a quarter of prometheus_client's p50 and p95, in each case.
With --json only the living workers are scraped, and what a comparison wants to know of both is printed as an object.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from telemetry import privacy
from telemetry.exporting.items.translation import Translator
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.views import Views
from telemetry.exporting.rings import Rings
from telemetry.exposition import Exposition
from telemetry.journal import ring
from telemetry.journal.directory import RunDirectory
from telemetry.journal.records import MEASUREMENT, Instrument, items_of

P50_TARGET, P95_TARGET = 0.25, 0.25
DEAD_WORKERS = 40
RING_BYTES = 4 << 20
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0)
LINES_OF_A_HISTOGRAM = len(BOUNDS) + 3
ATTRIBUTES = ("http.route", "http.request.method")


def shares(series: int) -> tuple[int, int, int]:
    """Return how many label sets of histograms, counters and gauges give so many lines: 60 %, 30 % and 10 % of them."""
    histograms = int(series * 0.6) // LINES_OF_A_HISTOGRAM
    gauges = series // 10
    return histograms, series - histograms * LINES_OF_A_HISTOGRAM - gauges, gauges


def write_ours(directory: RunDirectory, series: int) -> object:
    """Record every series once in a ring; return what must be kept alive as long as the worker."""
    _slot, descriptor = directory.take_slot()
    if os.fstat(descriptor).st_size == 0:
        ring.create(descriptor, RING_BYTES, time.time_ns())
    writer = ring.RingWriter(descriptor, time.time_ns(), items_of)

    def record(instrument: Instrument, value: float, count: int) -> None:
        for index in range(count):
            given = {"http.route": f"/users/{index}", "http.request.method": "GET"}
            writer.put((MEASUREMENT, instrument, value, given, time.time_ns(), None, None, False, os.getpid()))

    histograms, counters, gauges = shares(series)
    scope = ("benchmark", "", "")
    record(("histogram", "http.server.request.duration", "s", "Duration", *scope, BOUNDS), 0.03, histograms)
    record(("counter", "requests", "{request}", "Requests", *scope, None), 1, counters)
    record(("updowncounter", "depth", "", "Depth", *scope, None), 2, gauges)
    return writer


def write_theirs(series: int) -> object:
    """Record the same with prometheus_client, whose directory is set in the environment."""
    import prometheus_client

    labels = ["http_route", "http_request_method"]
    registry = prometheus_client.CollectorRegistry()
    histogram = prometheus_client.Histogram(
        "http_server_request_duration_seconds", "Duration", labels, registry=registry, buckets=BOUNDS
    )
    counter = prometheus_client.Counter("requests", "Requests", labels, registry=registry)
    gauge = prometheus_client.Gauge("depth", "Depth", labels, registry=registry, multiprocess_mode="livesum")
    histograms, counters, gauges = shares(series)
    for index in range(histograms):
        histogram.labels(f"/users/{index}", "GET").observe(0.03)
    for index in range(counters):
        counter.labels(f"/users/{index}", "GET").inc()
    for index in range(gauges):
        gauge.labels(f"/users/{index}", "GET").set(2)
    return registry


class Workers:
    """Forked processes that have written all series, for both sides, and wait until they are stopped."""

    def __init__(self, directory: RunDirectory, count: int, series: int) -> None:
        self._stop_read, self._stop_write = os.pipe()
        self._pids: list[int] = []
        for slot in range(count):
            ready_read, ready_write = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(self._stop_write)
                kept = write_ours(directory, series), write_theirs(series)
                os.write(ready_write, b"1")
                os.read(self._stop_read, 1)
                os._exit(0 if kept else 1)
            os.close(ready_write)
            if os.read(ready_read, 1) != b"1":
                raise RuntimeError(f"worker {slot} ended before it had written")
            os.close(ready_read)
            self._pids.append(pid)

    def stop(self) -> None:
        """End them, and do what prometheus_client's documentation requires after a worker's death."""
        from prometheus_client.multiprocess import mark_process_dead

        os.close(self._stop_write)
        for pid in self._pids:
            os.waitpid(pid, 0)
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
        os.close(self._stop_read)


class Scraped:
    """The exporter's part in a scrape."""

    def __init__(self, directory: RunDirectory, accept: str) -> None:
        self._accept = accept
        self._rings = Rings(directory.path, {})
        self._aggregation = Aggregation(Views({"requests": ATTRIBUTES, "depth": ATTRIBUTES}))
        self._exposition = Exposition(self._aggregation, {"service.name": "user-api"})
        self._translator = Translator(
            redactor=privacy.redactor(), aggregation=self._aggregation, spans=None, logs=None, methods=set()
        )

    def answer(self) -> bytes:
        """Return the answer to a scrape."""
        self._rings.refresh()
        unread = self._rings.unread()
        while unread:
            for writer, records in self._rings.read(unread):
                self._translator.translate(records, writer)
        self._rings.gone.clear()
        self._rings.release()
        self._aggregation.keep({source.writer.pid for source in self._rings.sources.values() if source.is_alive})
        return self._exposition.render(self._accept)[0]


def scrapers(directory: RunDirectory, accept: str) -> tuple[Callable[[], bytes], Callable[[], bytes]]:
    """Return two functions that answer a scrape, ours and theirs."""
    import prometheus_client
    from prometheus_client.multiprocess import MultiProcessCollector

    def theirs() -> bytes:
        registry = prometheus_client.CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return prometheus_client.generate_latest(registry)

    return Scraped(directory, accept).answer, theirs


def sums(body: bytes) -> dict[str, float]:
    """Return the sum of all samples of each name that both answers have, buckets included."""
    totals: dict[str, float] = {}
    for line in body.decode().splitlines():
        name = line.partition("{")[0]
        if name.startswith(("requests_total", "http_server_request", "depth")) and "_created" not in name:
            totals[name] = totals.get(name, 0.0) + float(line.partition("}")[2].split()[0])
    return {name: round(total, 6) for name, total in totals.items()}


def percentile(times: list[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return statistics.quantiles(times, n=100, method="inclusive")[round(share * 100) - 1] * 1000


Scrapers = tuple[Callable[[], bytes], Callable[[], bytes]]


def measure(scrapers_: Scrapers, rounds: int) -> dict[str, float]:
    """Measure both in turn: milliseconds and bytes of an answer. Raises RuntimeError if the answers differ."""
    ours, theirs = scrapers_
    if sums(ours()) != sums(theirs()):
        raise RuntimeError(f"the answers differ: {sums(ours())} and {sums(theirs())}")
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for scrape, results in zip((ours, theirs), times, strict=True):
            start = time.perf_counter()
            scrape()
            results.append(time.perf_counter() - start)
    found = {"bytes": float(len(ours())), "their_bytes": float(len(theirs()))}
    for prefix, taken in zip(("", "their_"), times, strict=True):
        found |= {f"{prefix}p50_ms": percentile(taken, 0.5), f"{prefix}p95_ms": percentile(taken, 0.95)}
    return found


def report(title: str, found: dict[str, float]) -> bool:
    """Print a line for each side and return whether the targets are met."""
    p50, p95 = (found[f"{name}_ms"] / found[f"their_{name}_ms"] for name in ("p50", "p95"))
    met = p50 <= P50_TARGET and p95 <= P95_TARGET
    print(title)
    for name, prefix in (("one exporter", ""), ("prometheus_client", "their_")):
        of_both = "   ".join(f"{each} {found[f'{prefix}{each}_ms']:8.2f} ms" for each in ("p50", "p95"))
        print(f"  {name:18} {of_both}   {found[f'{prefix}bytes']:9.0f} bytes")
    verdict = f"{'met' if met else 'MISSED'} (at most {P50_TARGET} and {P95_TARGET})"
    print(f"  {'ratio':18} p50 {p50:8.3f}      p95 {p95:8.3f}      {verdict}")
    return met


def run(folder: Path, workers: int, series: int, rounds: int, accept: str) -> Iterator[bool]:
    """Run the comparisons one after the other."""
    directory = RunDirectory.join(folder, "benchmark", "scrape", "1")
    both = scrapers(directory, accept)
    alive = Workers(directory, workers, series)
    yield report(f"{workers} workers, {series} series each", measure(both, rounds))
    alive.stop()
    for batch in range(0, DEAD_WORKERS, workers):
        both[0]()
        Workers(directory, min(workers, DEAD_WORKERS - batch), series).stop()
    both[0]()
    alive = Workers(directory, workers, series)
    title = f"{workers} workers, {series} series each, {DEAD_WORKERS + workers} more came and went"
    yield report(title, measure(both, rounds))
    alive.stop()


def measure_living(folder: Path, workers: int, series: int, rounds: int, accept: str) -> dict[str, Any]:
    """Return the figures of both sides with living workers alone, and the size of the rings in bytes."""
    directory = RunDirectory.join(folder, "benchmark", "scrape", "1")
    alive = Workers(directory, workers, series)
    found = measure(scrapers(directory, accept), rounds)
    shared = sum(path.stat().st_blocks * 512 for path in directory.path.iterdir())
    alive.stop()
    return {"workers": workers, "series": series, **found, "shared_bytes": shared}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--series", type=int, default=1000, help="lines of each worker (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--accept", default="application/openmetrics-text", help="format to ask ours for")
    parser.add_argument("--json", action="store_true", help="with living workers alone, as an object")
    options = parser.parse_args()
    if options.workers < 1 or options.series < 100 or options.rounds < 2:
        parser.error("expected at least 1 worker, 100 series and 2 rounds")
    shared_memory = "/dev/shm"  # noqa: S108 - both sides on the same file system
    base = shared_memory if Path(shared_memory).is_dir() else None
    directory = tempfile.mkdtemp(prefix="benchmark-scrape-", dir=base)
    rings = Path(directory, "rings")
    rings.mkdir()
    given = options.workers, options.series, options.rounds, options.accept
    # prometheus_client selects its mode at import; hence the imports inside the functions.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
    try:
        if options.json:
            print(json.dumps(measure_living(rings, *given)))
            return 0
        return 0 if all([*run(rings, *given)]) else 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
