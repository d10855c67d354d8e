"""Whether memory stays flat: PSS of master, workers and exporter over 100,000 requests to two workers.

    python -m tests.benchmarks.memory [--requests N]

Paths, clients' ports and names differ from request to request; the console receives. Prints each
process's MiB after every tenth of the requests. Fails if a process grew by more than `--most-mib` after the second
tenth, or if spans, access records and counts are not as many as the requests.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from uuid import uuid4

import psutil

import tests.support.environment  # noqa: F401  (the service's settings need it)
from telemetry.tools.compare.setups.usage import memory_of
from telemetry.tools.console.server import Console
from tests.conftest import migrate
from tests.support.routes import Route, arrived
from tests.support.service import Service, wait_until

CLIENTS = 4
STEPS = 10
PER_CONNECTION = 50
MIB = 1 << 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--most-mib", type=float, default=3.0)
    parser.add_argument("--mode", choices=("collector", "direct"), default="collector")
    options = parser.parse_args()
    route = Route(options.mode, "http/protobuf")
    with (
        tempfile.TemporaryDirectory() as folder,
        Console(grpc_port=0, http_port=0, api_port=0) as console,
    ):
        database = f"sqlite:///{folder}/db.sqlite3"
        migrate(database)
        env = {**route.env(console), "USERAPI_OPEN_ACCESS": "true"}
        with Service(Path(folder), database, env, "--workers=2") as service:
            numbers, seen = count(), []
            for step in range(1, STEPS + 1):
                with ThreadPoolExecutor(CLIENTS) as clients:
                    each = options.requests // STEPS // CLIENTS
                    list(clients.map(lambda _: ask(service.port, each, numbers), range(CLIENTS)))  # noqa: B023
                seen.append(memory(service))
                shown = ", ".join(f"{name} {mib:.1f}" for name, mib in seen[-1].items())
                print(f"{step * each * CLIENTS:>8}: {shown}", flush=True)
            sent = STEPS * each * CLIENTS
            wait_until(lambda: arrived(console, route.mode).spans >= sent, 60, "all spans")
            service.stop()
        found = arrived(console, route.mode)
        print(f"sent {sent}, arrived {found}")
        grown = {name: seen[-1][name] - seen[1].get(name, 0.0) for name in seen[-1]}
        counted = route.mode == "direct" or found.requests == sent
        complete = found.spans == found.records == sent and counted
        return 0 if complete and max(grown.values()) <= options.most_mib else 1


def ask(port: int, requests: int, numbers: Iterator[int]) -> None:
    """Send requests of four kinds, each path once."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    for number in range(requests):
        kind = next(numbers) % 4
        path = (f"/users/{uuid4()}", f"/users?search={uuid4()}", "/users", f"/nowhere/{uuid4()}")[kind]
        connection.request("GET", path)
        connection.getresponse().read()
        if number % PER_CONNECTION == PER_CONNECTION - 1:
            connection.close()  # the next one has another port
    connection.close()


def memory(service: Service) -> dict[str, float]:
    """Return MiB by process."""
    status = wait_until(service.status, 60, "the exporter's status")
    assert status
    master = psutil.Process(service.process.pid)
    processes = {"master": master, "exporter": psutil.Process(status["pid"])}
    processes |= {f"worker {number}": worker for number, worker in enumerate(service.workers(), 1)}
    return {name: memory_of(process)[1] / MIB for name, process in processes.items()}


if __name__ == "__main__":
    sys.exit(main())
