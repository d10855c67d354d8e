"""What each mode costs: CPU time per request of the service's processes, beside the same without telemetry.

    python -m tests.benchmarks.cost --rounds 6 --requests 2000

Every round runs each mode once, in shuffled order, in fresh processes with one worker and one client, and fails unless
every request arrived as a span, a log record and a count. The CPU time covers all threads and the drain at the stop.
"""

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
from http.client import HTTPConnection
from pathlib import Path

import psutil

import tests.support.environment  # noqa: F401  (the service's settings need it)
from telemetry.console.server import Console
from tests.conftest import migrate
from tests.support.routes import Route, expect, scraped_requests
from tests.support.service import Service

VARIANTS = {
    "off": None,
    "collector, gRPC": Route("collector", "grpc"),
    "collector, HTTP": Route("collector", "http/protobuf"),
    "direct, HTTP": Route("direct", "http/protobuf"),
    "direct, no OTLP logs": Route("direct", "http/protobuf"),
}
WARM_UP = 200


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--requests", type=int, default=2000, help="requests per run")
    options = parser.parse_args()
    cost: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template.sqlite3"
        migrate(f"sqlite:///{template}")
        for number in range(options.rounds):
            for name in random.sample(list(VARIANTS), len(VARIANTS)):
                cost[name].append(measure(Path(folder), template, name, options.requests))
                print(f"round {number + 1} {name:20} {cost[name][-1] * 1e6:7.0f} us/request", file=sys.stderr)
    print(f"{'mode':20} {'us/request':>10}  off/mode: median [lowest-highest of {options.rounds} paired rounds]")
    for name, values in cost.items():
        ratios = [off / value for off, value in zip(cost["off"], values, strict=True)]
        spread = f"{statistics.median(ratios):.3f} [{min(ratios):.3f}-{max(ratios):.3f}]"
        print(f"{name:20} {statistics.median(values) * 1e6:10.0f}  {spread}")
    return 0


def measure(folder: Path, template: Path, variant: str, requests: int) -> float:
    """Return the CPU seconds per request of one run."""
    route, sends_logs = VARIANTS[variant], "no OTLP logs" not in variant
    database = folder / "db.sqlite3"
    shutil.copy(template, database)
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        env = {"USERAPI_OPEN_ACCESS": "true", **(route.env(console) if route else {"TELEMETRY_MODE": "off"})}
        if not sends_logs:
            env["OTEL_LOGS_EXPORTER"] = "console"
        with Service(
            folder,
            f"sqlite:///{database}",
            env,
            "--workers=1",
            "--threads=1",
        ) as service:
            client = HTTPConnection("127.0.0.1", service.port)
            drive(client, WARM_UP)
            before = sum(
                sum(process.cpu_times()[:2]) for process in [psutil.Process(service.process.pid), *service.workers()]
            )
            drive(client, requests)
            client.close()
            if route and route.mode == "direct":
                assert scraped_requests(service) == requests + WARM_UP
            service.process.terminate()
            _, _, usage = os.wait4(service.process.pid, 0)
            service.process.returncode = 0
            written = service.output.count('"logger": "userapi.access"')
        if route and sends_logs:
            expect(console, route.mode, requests + WARM_UP)
        elif route:
            console.store.wait_for(lambda store: store.mode(route.mode).server_spans == requests + WARM_UP)
            assert console.store.mode(route.mode).server_spans == requests + WARM_UP
        assert written == requests + WARM_UP
    return (usage.ru_utime + usage.ru_stime - before) / requests


def drive(client: HTTPConnection, requests: int) -> None:
    """Send a mix of lists, reads of a missing user, creates and bad input."""
    body = '{"name": "Test User", "email": "user%d@example.com"}'
    for number in range(requests):
        match number % 10:
            case 0:
                client.request("POST", "/users", body % random.getrandbits(64), {"Content-Type": "application/json"})
            case 1:
                client.request("POST", "/users", '{"name": ""}', {"Content-Type": "application/json"})
            case 2 | 3:
                client.request("GET", "/users?page_size=10")
            case _:
                client.request("GET", "/users/00000000-0000-0000-0000-000000000000")
        response = client.getresponse()
        response.read()
        assert response.status < 500, response.status


if __name__ == "__main__":
    sys.exit(main())
