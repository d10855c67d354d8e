"""What a scrape costs: /metrics across workers, compared with prometheus_client's multiprocess mode.

    python -m telemetry.compare.scrape --workers 8 --series 1000 --rounds 50

Real processes write the same series to both; then one process scrapes both by turns, first with the living workers
alone, then after 40 more have come and gone. Both answers must have the same sums, or the comparison is void.
Exit code 1 if a target is missed: half of prometheus_client's p50 and three quarters of its p95, in each case.
With --json only our side runs, with the living workers alone, and what a comparison wants to know is printed.
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

import psutil

P50_TARGET, P95_TARGET = 0.5, 0.75
DEAD_WORKERS = 40
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0)
LINES_OF_A_HISTOGRAM = len(BOUNDS) + 3


def shares(series: int) -> tuple[int, int, int]:
    """Label sets of histograms, counters and gauges that make so many lines: 60 %, 30 % and 10 % of them."""
    histograms = int(series * 0.6) // LINES_OF_A_HISTOGRAM
    gauges = series // 10
    return histograms, series - histograms * LINES_OF_A_HISTOGRAM - gauges, gauges


def write_ours(directory: Path, slot: int, series: int) -> object:
    """Count every series once in a slot file; returns what must live as long as the worker."""
    from opentelemetry.sdk.metrics import MeterProvider

    from telemetry.shared_metrics import SharedMemoryMetricReader
    from telemetry.shared_state import WorkerState

    provider = MeterProvider([SharedMemoryMetricReader(WorkerState(directory, slot))], shutdown_on_exit=False)
    meter = provider.get_meter("benchmark")
    histogram = meter.create_histogram(
        "http.server.request.duration", "s", "Duration", explicit_bucket_boundaries_advisory=BOUNDS
    )
    counter = meter.create_counter("requests", "{request}", "Requests")
    gauge = meter.create_gauge("depth", "", "Depth")
    histograms, counters, gauges = shares(series)
    for index in range(histograms):
        histogram.record(0.03, {"http_route": f"/users/{index}", "http_request_method": "GET"})
    for index in range(counters):
        counter.add(1, {"http_route": f"/users/{index}", "http_request_method": "GET"})
    for index in range(gauges):
        gauge.set(slot, {"http_route": f"/users/{index}", "http_request_method": "GET"})
    return provider


def write_theirs(series: int, value: int) -> object:
    """The same with prometheus_client, whose directory is in the environment."""
    import prometheus_client

    labels = ["http_route", "http_request_method"]
    registry = prometheus_client.CollectorRegistry()
    histogram = prometheus_client.Histogram(
        "http_server_request_duration_seconds", "Duration", labels, registry=registry, buckets=BOUNDS
    )
    counter = prometheus_client.Counter("requests", "Requests", labels, registry=registry)
    gauge = prometheus_client.Gauge("depth", "Depth", labels, registry=registry, multiprocess_mode="livemax")
    histograms, counters, gauges = shares(series)
    for index in range(histograms):
        histogram.labels(f"/users/{index}", "GET").observe(0.03)
    for index in range(counters):
        counter.labels(f"/users/{index}", "GET").inc()
    for index in range(gauges):
        gauge.labels(f"/users/{index}", "GET").set(value)
    return registry


class Workers:
    """Forked processes that have written all series, `theirs` too, and wait for the signal to end."""

    def __init__(self, directory: Path, count: int, series: int, *, theirs: bool = True) -> None:
        self._stop_read, self._stop_write = os.pipe()
        self._pids: list[int] = []
        self._theirs = theirs
        for slot in range(count):
            ready_read, ready_write = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(self._stop_write)
                kept = write_ours(directory, slot, series), write_theirs(series, slot) if theirs else None
                os.write(ready_write, b"1")
                os.read(self._stop_read, 1)
                os._exit(0 if kept else 1)
            os.close(ready_write)
            if os.read(ready_read, 1) != b"1":
                raise RuntimeError(f"worker {slot} ended before it had written")
            os.close(ready_read)
            self._pids.append(pid)

    def memory(self) -> float:
        """Return the mean bytes that belong to one worker alone."""
        return statistics.fmean(psutil.Process(pid).memory_full_info().uss for pid in self._pids)

    def stop(self) -> None:
        """End them and do for prometheus_client what its documentation asks for after a worker's death."""
        os.close(self._stop_write)
        for pid in self._pids:
            os.waitpid(pid, 0)
            if self._theirs:
                from prometheus_client.multiprocess import mark_process_dead

                mark_process_dead(pid)  # type: ignore[no-untyped-call]
        os.close(self._stop_read)


def scrapers(directory: Path, accept: str) -> tuple[Callable[[], bytes], Callable[[], bytes]]:
    """One call each that answers a scrape, ours and theirs."""
    import prometheus_client
    from prometheus_client.multiprocess import MultiProcessCollector

    from telemetry.exposition import Exposition

    exposition = Exposition(directory, {"service.name": "user-api"})

    def ours() -> bytes:
        return exposition.render(accept)[0]

    def theirs() -> bytes:
        registry = prometheus_client.CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return prometheus_client.generate_latest(registry)

    return ours, theirs


def sums(body: bytes) -> dict[str, float]:
    """The sum of all samples of each name that both answers have, buckets included."""
    totals: dict[str, float] = {}
    for line in body.decode().splitlines():
        name = line.partition("{")[0]
        if name.startswith(("requests_total", "http_server_request", "depth")) and "_created" not in name:
            totals[name] = totals.get(name, 0.0) + float(line.partition("}")[2].split()[0])
    return {name: round(total, 6) for name, total in totals.items()}


def percentile(times: list[float], share: float) -> float:
    """In milliseconds."""
    return statistics.quantiles(times, n=100, method="inclusive")[round(share * 100) - 1] * 1000


def compare(title: str, directory: Path, rounds: int, accept: str) -> bool:
    """Measure both by turns; prints a line for each and returns whether the targets are met."""
    ours, theirs = scrapers(directory, accept)
    if sums(ours()) != sums(theirs()):
        raise RuntimeError(f"the answers differ: {sums(ours())} and {sums(theirs())}")
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for scrape, results in zip((ours, theirs), times, strict=True):
            start = time.perf_counter()
            scrape()
            results.append(time.perf_counter() - start)
    (p50, p95), (their_p50, their_p95) = ((percentile(r, 0.5), percentile(r, 0.95)) for r in times)
    met = p50 <= their_p50 * P50_TARGET and p95 <= their_p95 * P95_TARGET
    print(f"{title}")
    print(f"  shared state       p50 {p50:8.2f} ms   p95 {p95:8.2f} ms   {len(ours()):9d} bytes")
    print(f"  prometheus_client  p50 {their_p50:8.2f} ms   p95 {their_p95:8.2f} ms   {len(theirs()):9d} bytes")
    print(
        f"  ratio              p50 {p50 / their_p50:8.3f}      p95 {p95 / their_p95:8.3f}      "
        f"{'met' if met else 'MISSED'} (at most {P50_TARGET} and {P95_TARGET})"
    )
    return met


def run(workers: int, series: int, rounds: int, accept: str) -> Iterator[bool]:
    """The comparisons, one after the other."""
    from telemetry.state_directory import create_state_directory

    state = create_state_directory()
    try:
        alive = Workers(state.path, workers, series)
        yield compare(f"{workers} workers, {series} series each", state.path, rounds, accept)
        alive.stop()
        for batch in range(0, DEAD_WORKERS, workers):
            Workers(state.path, min(workers, DEAD_WORKERS - batch), series).stop()
        alive = Workers(state.path, workers, series)
        title = f"{workers} workers, {series} series each, {DEAD_WORKERS + workers} more came and went"
        yield compare(title, state.path, rounds, accept)
        alive.stop()
    finally:
        state.close()


def measure(workers: int, series: int, rounds: int, accept: str) -> dict[str, float]:
    """Return what our side takes: milliseconds per scrape, bytes of the answer, of the shared state and per worker."""
    from telemetry.state_directory import create_state_directory

    state = create_state_directory()
    try:
        alive = Workers(state.path, workers, series, theirs=False)
        ours, _ = scrapers(state.path, accept)
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            body = ours()
            times.append(time.perf_counter() - start)
        shared = sum(path.stat().st_blocks * 512 for path in state.path.iterdir())
        found = {
            "workers": workers,
            "series": series,
            "p50_ms": percentile(times, 0.5),
            "p95_ms": percentile(times, 0.95),
            "bytes": len(body),
            "shared_bytes": shared,
            "worker_bytes": alive.memory(),
        }
        alive.stop()
        return found
    finally:
        state.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--series", type=int, default=1000, help="lines of each worker (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--accept", default="application/openmetrics-text", help="format to ask ours for")
    parser.add_argument("--json", action="store_true", help="measure our side alone and print an object")
    options = parser.parse_args()
    if options.workers < 1 or options.series < 100 or options.rounds < 2:
        parser.error("accepted: at least 1 worker, 100 series and 2 rounds")
    if options.json:
        print(json.dumps(measure(options.workers, options.series, options.rounds, options.accept)))
        return 0
    shared_memory = "/dev/shm"  # noqa: S108 - both sides on the same file system
    base = shared_memory if Path(shared_memory).is_dir() else None
    directory = tempfile.mkdtemp(prefix="benchmark-scrape-", dir=base)
    # prometheus_client decides when it is imported; hence the imports inside the functions.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
    try:
        return 0 if all([*run(options.workers, options.series, options.rounds, options.accept)]) else 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
