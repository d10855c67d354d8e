"""How long a stop takes: seconds from SIGTERM to the end of gunicorn, after 200 requests, with 2 workers.

    python -m tests.benchmarks.stop --rounds 3

The backend is healthy, absent (nothing listens) or silent (takes connections and never answers).
"""

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import tests.support.environment  # noqa: F401  (the service's settings need it)
from telemetry.tools.console.server import Console
from tests.conftest import migrate
from tests.support.routes import LAZY, ROUTES, Route, black_hole, send
from tests.support.service import Service, free_port

BACKENDS = ("healthy", "absent", "silent")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/db.sqlite3"
        migrate(database)
        print(f"{'mode and protocol':24} {'backend':8} {'median':>7} {'longest':>8}  (seconds, budget 5)")
        for route in ROUTES:
            for backend in BACKENDS:
                times = [measure(Path(folder), database, route, backend) for _ in range(rounds)]
                print(f"{route!s:24} {backend:8} {statistics.median(times):7.2f} {max(times):8.2f}", flush=True)
    return 0


def measure(folder: Path, database: str, route: Route, backend: str) -> float:
    """Return the seconds that one stop takes."""
    with ExitStack() as stack:
        if backend == "healthy":
            env = route.env(stack.enter_context(Console(grpc_port=0, http_port=0, api_port=0)))
        else:
            port = free_port() if backend == "absent" else stack.enter_context(black_hole())
            env = route.env_for(port, port)
        env |= {"USERAPI_OPEN_ACCESS": "true", **LAZY}
        service = stack.enter_context(Service(folder, database, env, "--workers=2"))
        send(service, 200)
        return service.stop()


if __name__ == "__main__":
    sys.exit(main())
