"""What kept database connections save: CPU of a request with other ways to connect, against the service's own.

    python -m tests.benchmarks.connections --database sqlite --mode off

One gunicorn for each variant, each with one worker of 4 threads. All of them run all the time; bursts of requests go to
one after the other, in an order that is shuffled in each round. `control` is the service's own way once more: how far
it is from 1 is the noise. A ratio above 1 means that the variant serves more with the same CPU.
"""

import argparse
import http.client
import random
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

import tests.support.environment  # noqa: F401  (the service's settings need it)
from telemetry.tools.compare.figures.intervals import paired_ratio
from telemetry.tools.compare.load.mix import Mix
from tests.conftest import migrate
from tests.support.postgres import postgres_server
from tests.support.routes import LAZY
from tests.support.service import Service

CLIENTS = 4
LOST = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9"}
VARIANTS = {
    "sqlite": {"anew": "opened anew for each request"},
    "postgres": {"unchecked": "pool without health checks", "per thread": "one for each thread, checked, no pool"},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=VARIANTS, default="sqlite")
    parser.add_argument("--mode", choices=("off", "collector", "direct"), default="off")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--requests", type=int, default=600, help="in one burst (default: 600)")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(_database(given.database, folder))
        names = {"kept": "the service's own way", "control": "the same once more", **VARIANTS[given.database]}
        runs = {name: stack.enter_context(_service(folder, url, given.mode, name)) for name in names}
        users = [_create(runs["kept"], n) for n in range(20)]
        costs: dict[str, list[float]] = {name: [] for name in names}
        for service in runs.values():
            _cost(service, users, given.requests // 2)  # connections, caches
        for _ in range(given.rounds):
            for name in random.sample(list(runs), len(runs)):
                costs[name].append(_cost(runs[name], users, given.requests))
    print(f"{given.database}, mode {given.mode}, {given.rounds} rounds of {given.requests} requests, {CLIENTS} clients")
    for name, meaning in names.items():
        ratio = paired_ratio(costs["kept"], costs[name])
        low, high = (f"{edge:.3f}" if edge else "-" for edge in (ratio.low, ratio.high))
        mean = sum(costs[name]) / len(costs[name])
        print(f"{name:11} {mean:7.0f} us a request, ratio {ratio.value:.3f} [{low}, {high}]  {meaning}")
    return 0


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
    with ExitStack() as stack:
        url = f"sqlite:///{folder}/db.sqlite3" if kind == "sqlite" else stack.enter_context(postgres_server())
        migrate(url)
        yield url


def _service(folder: Path, url: str, mode: str, variant: str) -> Service:
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings_of_variant",
        "BENCHMARK_VARIANT": variant,
        "USERAPI_OPEN_ACCESS": "true",
        "TELEMETRY_MODE": mode,
        **LAZY,
        **(LOST if mode != "off" else {}),
    }
    return Service(folder, url, env, "--workers=1")


def _create(service: Service, number: int) -> str:
    status, headers, _ = service.request("POST", "/users", {"name": "Test", "email": f"user{number}@example.com"})
    assert status == 201, status
    return headers["location"].partition(f":{service.port}")[2]


def _cost(service: Service, users: list[str], requests: int) -> float:
    """Return the CPU that one request of a burst costs master and workers, in microseconds; each is answered well."""
    mix = Mix(users)
    before = _cpu(service)
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda number: _ask(service.port, mix, number), range(requests)))
    return (_cpu(service) - before) / requests * 1e6


def _ask(port: int, mix: Mix, number: int) -> None:
    request = mix.request(number)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"} if request.body else {}
    connection.request(request.method, request.path, request.body or None, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.status == request.expected, (response.status, request)


def _cpu(service: Service) -> float:
    processes = [psutil.Process(service.process.pid), *service.workers()]
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


if __name__ == "__main__":
    sys.exit(main())
