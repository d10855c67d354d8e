"""What a bad backend costs the requests: latency and memory beside the same load with a healthy one.

    python -m tests.benchmarks.faults --rounds 4 --requests 1500

Every round runs the healthy backend and each fault in each mode, in alternating order, in fresh processes, with the
same open-loop load: requests start at a fixed rate whatever became of those before, and their latency counts from the
moment they were due. Fails when a request failed, or a run's workers grew by more than 30 MiB. The target for p99 is
told, not enforced: it is for quiet machines.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import perf_counter, sleep

import tests.support.environment  # noqa: F401  (the service's settings need it)
from telemetry.compare.faults_proxy import PASS, Fault, FaultProxy
from telemetry.console.server import Console
from tests.conftest import migrate
from tests.support.routes import Route
from tests.support.service import Service

HEALTHY = "healthy"
FAULTS = {
    HEALTHY: PASS,
    "refusing": Fault("refuse"),
    "black hole": Fault("black_hole"),
    "answer in 5 s": Fault("delay", seconds=5),
    "garbage": Fault("garbage"),
    "close mid-answer": Fault("close_mid_answer"),
    "full queue": Fault("black_hole"),
}
SMALL_QUEUE = {
    f"OTEL_{queue}_{name}": "50" for queue in ("BSP", "BLRP") for name in ("MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE")
}
MODES = {
    "collector, gRPC": Route("collector", "grpc"),
    "collector, HTTP": Route("collector", "http/protobuf"),
    "direct, gRPC": Route("direct", "grpc"),
    "direct, HTTP": Route("direct", "http/protobuf"),
}
ENVIRONMENT = {
    "USERAPI_OPEN_ACCESS": "true",
    "TELEMETRY_FLUSH_TIMEOUT": "1",
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_BLRP_SCHEDULE_DELAY": "500",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "2000",
}
WARM_UP = 200
CLIENTS = 16
TARGET = 1.05
MOST_GROWTH = 30 * 2**20


@dataclass(frozen=True)
class Run:
    """One run: latencies in seconds, failed requests, and by how many bytes the workers grew together."""

    p50: float
    p99: float
    failed: int
    growth: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--requests", type=int, default=1500, help="requests per run")
    parser.add_argument("--rate", type=float, default=100, help="requests per second; must be below saturation")
    parser.add_argument("--mode", action="append", choices=MODES, help="one mode; again for more (default: all)")
    parser.add_argument("--fault", action="append", choices=[name for name in FAULTS if name != HEALTHY])
    options = parser.parse_args()
    modes: list[str] = options.mode or list(MODES)
    kinds = [HEALTHY, *(options.fault or [name for name in FAULTS if name != HEALTHY])]
    runs: dict[tuple[str, str], list[Run]] = {(mode, kind): [] for mode in modes for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template.sqlite3"
        migrate(f"sqlite:///{template}")
        for number in range(options.rounds):
            order = list(runs)
            for mode, kind in order if number % 2 == 0 else reversed(order):
                run = measure(Path(folder), template, MODES[mode], kind, (options.requests, options.rate))
                runs[mode, kind].append(run)
                print(f"round {number + 1} {mode:16} {kind:17} p99 {run.p99 * 1e3:6.1f} ms", file=sys.stderr)
    return report(runs)


def report(runs: dict[tuple[str, str], list[Run]]) -> int:
    """Print a line for each mode and fault; return the exit status."""
    print(
        f"{'mode':16} {'backend':17} {'p50 ms':>7} {'p99 ms':>7} {'failed':>6} {'MiB':>6}  p99/healthy: median [spread]"
    )
    bad = False
    for (mode, kind), of_kind in runs.items():
        p50, p99 = (statistics.median(getattr(run, name) for run in of_kind) * 1e3 for name in ("p50", "p99"))
        failed, growth = sum(run.failed for run in of_kind), max(run.growth for run in of_kind)
        bad |= failed > 0 or growth > MOST_GROWTH
        line = f"{mode:16} {kind:17} {p50:7.1f} {p99:7.1f} {failed:6} {growth / 2**20:6.1f}  "
        if kind != HEALTHY:
            ratios = [run.p99 / healthy.p99 for run, healthy in zip(of_kind, runs[mode, HEALTHY], strict=True)]
            median = statistics.median(ratios)
            met = "met" if median <= TARGET else "NOT met"
            line += f"{median:.3f} [{min(ratios):.3f}-{max(ratios):.3f}], {TARGET} is {met}"
        print(line.rstrip())
    if bad:
        print(f"FAILED: a request failed, or workers grew by more than {MOST_GROWTH >> 20} MiB")
    return int(bad)


def measure(folder: Path, template: Path, route: Route, kind: str, load: tuple[int, float]) -> Run:
    """Start a service behind a healthy proxy, let the fault begin, and drive it."""
    database = folder / "db.sqlite3"
    shutil.copy(template, database)
    requests, rate = load
    with backend(route) as proxy:
        env = {**ENVIRONMENT, **route.env_for(proxy.port, proxy.port)} | (SMALL_QUEUE if kind == "full queue" else {})
        with Service(folder, f"sqlite:///{database}", env, "--workers=2") as service:
            drive(service.port, WARM_UP, rate)
            proxy.fault = FAULTS[kind]
            before = memory(service)
            latencies = drive(service.port, requests, rate)
            growth = memory(service) - before
    answered = [latency for latency in latencies if latency is not None]
    cuts = statistics.quantiles(answered, n=100, method="inclusive")
    return Run(cuts[49], cuts[98], len(latencies) - len(answered), growth)


@contextmanager
def backend(route: Route) -> Iterator[FaultProxy]:
    """A console behind a proxy."""
    with (
        Console(grpc_port=0, http_port=0, api_port=0) as console,
        FaultProxy(console.grpc_port if route.protocol == "grpc" else console.http_port) as proxy,
    ):
        yield proxy


def memory(service: Service) -> int:
    """Return the resident bytes of the workers together."""
    return sum(worker.memory_info().rss for worker in service.workers())


def drive(port: int, requests: int, rate: float) -> list[float | None]:
    """Send `rate` requests per second; return their latencies from when they were due, None for those that failed."""
    start = perf_counter() + 0.1

    def one(number: int) -> float | None:
        due = start + number / rate
        sleep(max(0.0, due - perf_counter()))
        path = "/users?page_size=10" if number % 3 == 0 else "/users/00000000-0000-0000-0000-000000000000"
        client = HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            client.request("GET", path, headers={"Connection": "close"})
            response = client.getresponse()
            response.read()
        except (OSError, HTTPException):
            return None
        finally:
            client.close()
        expected = HTTPStatus.OK if number % 3 == 0 else HTTPStatus.NOT_FOUND
        return perf_counter() - due if response.status == expected else None

    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(one, range(requests)))


if __name__ == "__main__":
    sys.exit(main())
