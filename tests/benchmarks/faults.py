"""What a bad backend costs the requests: latency, CPU and memory beside the same load with a healthy one.

    python -m tests.benchmarks.faults --requests 3000

For each mode and fault two services run at once, one with a healthy backend and one whose backend turns bad, and the
same open-loop load alternates between them, so that whatever else the machine does befalls both. Requests start at a
fixed rate whatever became of those before, and their latency counts from the moment they were due. One worker each, so
that what telemetry does falls on all requests. The interval is a bootstrap over blocks of neighbouring requests.
The last line is the geometric mean of all ratios but the control's.

CPU and memory are those of the worker and of the exporter together.

Fails when a request failed, when they grew by more than 30 MiB, or when a ratio of p99 is above the target for certain:
its whole interval. A machine that is too busy makes the intervals wide.
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from itertools import product
from pathlib import Path
from time import perf_counter, sleep

import psutil

import tests.support.environment  # noqa: F401  (the service's settings need it)
from telemetry.tools.compare.setups.faults_proxy import FaultProxy
from telemetry.tools.compare.setups.faulty_connection import PASS, Fault
from telemetry.tools.console.server import Console
from tests.conftest import migrate
from tests.support.routes import Route
from tests.support.service import Service, wait_until

FAULTS = {
    "healthy": PASS,  # the control: both services alike
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
BLOCK = 50
RESAMPLES = 400

Pair = tuple[float | None, float | None]


@dataclass(frozen=True)
class Side:
    """One of the two services: latencies in seconds, CPU seconds per request, and by how many bytes it grew."""

    latencies: list[float]
    failed: int
    cpu: float
    growth: int

    def quantile(self, percent: int) -> float:
        return percentile(self.latencies, percent)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000, help="requests to each of the two services")
    parser.add_argument("--rate", type=float, default=50, help="requests per second to each; must be below saturation")
    parser.add_argument("--mode", action="append", choices=MODES, help="one mode; again for more (default: all)")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="one fault; again for more (default: all)")
    options = parser.parse_args()
    print(f"{'mode':16} {'backend':17} {'p50 ms':>13} {'p99 ms':>15} {'failed':>6} {'MiB':>6} {'CPU':>5}  p99/healthy")
    cells = list(product(options.mode or MODES, options.fault or FAULTS))
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template.sqlite3"
        migrate(f"sqlite:///{template}")
        outcomes = [compare(template, mode, kind, options.requests, options.rate) for mode, kind in cells]
    faulty = [outcome for outcome, (_, kind) in zip(outcomes, cells, strict=True) if FAULTS[kind] is not PASS]
    if faulty:
        mean = statistics.geometric_mean
        resampled = [mean(ratios) for ratios in zip(*(outcome.resampled for outcome in faulty), strict=True)]
        print(f"{'all together':77}{verdict_on(mean(outcome.ratio for outcome in faulty), resampled)}")
    return int(any(outcome.bad for outcome in outcomes))


@dataclass(frozen=True)
class Outcome:
    """The ratio of the p99, faulty to healthy, as measured and resampled, and whether anything was bad."""

    ratio: float
    resampled: Sequence[float]
    bad: bool


def compare(template: Path, mode: str, kind: str, requests: int, rate: float) -> Outcome:
    """Print the line of one mode and fault."""
    (healthy, faulty), pairs = measure(template, MODES[mode], kind, requests, rate)
    ratio, resampled = faulty.quantile(99) / healthy.quantile(99), resample(pairs)
    failed, growth = healthy.failed + faulty.failed, max(healthy.growth, faulty.growth)
    latencies = " ".join(f"{healthy.quantile(n) * 1e3:6.1f} {faulty.quantile(n) * 1e3:6.1f} " for n in (50, 99))
    print(
        f"{mode:16} {kind:17} {latencies} {failed:6} {growth / 2**20:6.1f} {faulty.cpu / healthy.cpu:5.2f}"
        f"  {verdict_on(ratio, resampled)}",
        flush=True,
    )
    bad = failed > 0 or growth > MOST_GROWTH or interval(resampled)[0] > TARGET
    return Outcome(ratio, resampled, bad)


def verdict_on(ratio: float, resampled: Sequence[float]) -> str:
    """Return a ratio with its interval, and what they say of the target."""
    low, high = interval(resampled)
    verdict = "met" if high <= TARGET else "NOT met" if low > TARGET else "open"
    return f"{ratio:.3f} [{low:.3f}-{high:.3f}], {TARGET} is {verdict}"


def measure(
    template: Path, route: Route, kind: str, requests: int, rate: float
) -> tuple[tuple[Side, Side], Sequence[Pair]]:
    """Drive a service with a healthy backend and one whose backend turns bad; return what each had."""
    with ExitStack() as stack:
        console = stack.enter_context(Console(grpc_port=0, http_port=0, api_port=0))
        port = console.grpc_port if route.protocol == "grpc" else console.http_port
        proxies = [stack.enter_context(FaultProxy(port)) for _ in range(2)]
        services = []
        for number, proxy in enumerate(proxies):
            database = template.with_name(f"db{number}.sqlite3")
            shutil.copy(template, database)
            env = {**ENVIRONMENT, **route.env_for(proxy.port, proxy.port)}
            env |= SMALL_QUEUE if kind == "full queue" else {}
            service = Service(template.parent, f"sqlite:///{database}", env, "--workers=1")
            services.append(stack.enter_context(service))
        drive(services, WARM_UP, rate)
        proxies[1].fault = FAULTS[kind]
        memory_before, cpu_before = [memory(s) for s in services], [cpu(s) for s in services]
        pairs = drive(services, requests, rate)
        growth = [memory(s) - before for s, before in zip(services, memory_before, strict=True)]
        used = [cpu(s) - before for s, before in zip(services, cpu_before, strict=True)]
    sides = []
    for number in range(2):
        answered = [latency for pair in pairs if (latency := pair[number]) is not None]
        sides.append(Side(answered, len(pairs) - len(answered), used[number] / requests, growth[number]))
    return (sides[0], sides[1]), pairs


def interval(ratios: Sequence[float]) -> tuple[float, float]:
    """Return the 95% interval of resampled ratios."""
    return percentile(ratios, 2.5), percentile(ratios, 97.5)


def resample(pairs: Sequence[Pair]) -> list[float]:
    """Return ratios of the p99, faulty to healthy, as other requests of the same kind might have given them."""
    blocks = [pairs[start : start + BLOCK] for start in range(0, len(pairs), BLOCK)]
    chance = random.Random(1)  # noqa: S311  (no secret)
    ratios = []
    for _ in range(RESAMPLES):
        drawn = [pair for block in chance.choices(blocks, k=len(blocks)) for pair in block]
        healthy, faulty = ([pair[side] for pair in drawn] for side in range(2))
        ratios.append(percentile(faulty, 99) / percentile(healthy, 99))
    return ratios


def percentile(values: Iterable[float | None], percent: float) -> float:
    return statistics.quantiles((v for v in values if v is not None), n=1000, method="inclusive")[int(percent * 10) - 1]


def processes(service: Service) -> list[psutil.Process]:
    """Return the worker and the exporter."""
    status = wait_until(service.status, 60, "the exporter's status")
    assert status
    return [*service.workers(), psutil.Process(status["pid"])]


def memory(service: Service) -> int:
    """Return their resident bytes together."""
    return sum(process.memory_info().rss for process in processes(service))


def cpu(service: Service) -> float:
    """Return their CPU seconds together."""
    return sum(sum(process.cpu_times()[:2]) for process in processes(service))


def drive(services: Sequence[Service], requests: int, rate: float) -> list[Pair]:
    """Send each `rate` requests per second; return latencies from when they were due, None where one failed."""
    start = perf_counter() + 0.1

    def one(number: int) -> float | None:
        pair, side = divmod(number, 2)
        due = start + number / rate / 2
        sleep(max(0.0, due - perf_counter()))
        path = "/users?page_size=10" if pair % 3 == 0 else "/users/00000000-0000-0000-0000-000000000000"
        client = HTTPConnection("127.0.0.1", services[side].port, timeout=30)
        try:
            client.request("GET", path, headers={"Connection": "close"})
            response = client.getresponse()
            response.read()
        except (OSError, HTTPException):
            return None
        finally:
            client.close()
        expected = HTTPStatus.OK if pair % 3 == 0 else HTTPStatus.NOT_FOUND
        return perf_counter() - due if response.status == expected else None

    with ThreadPoolExecutor(CLIENTS) as clients:
        latencies = list(clients.map(one, range(requests * 2)))
    return list(zip(latencies[::2], latencies[1::2], strict=True))


if __name__ == "__main__":
    sys.exit(main())
