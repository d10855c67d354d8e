"""A real receiver beside a real service."""

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

import pytest

from telemetry.console.server import Console
from tests.support.routes import Route
from tests.support.service import free_port, wait_until


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


ROUTES = [
    Route("collector", "grpc"),
    Route("collector", "http/protobuf"),
    Route("direct", "grpc"),
    Route("direct", "http/protobuf"),
]


@pytest.fixture(params=ROUTES, ids=str)
def route(request: pytest.FixtureRequest) -> Route:
    chosen: Route = request.param
    return chosen


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[str], Callable[[str], float | None]]]:
    """A function that starts a real Prometheus scraping a target, and returns one that asks it a query."""
    if which("prometheus") is None:
        pytest.skip("Prometheus is not installed (Debian: apt-get install prometheus)")
    servers: list[subprocess.Popen[bytes]] = []

    def start(target: str) -> Callable[[str], float | None]:
        port = free_port()
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "user-api", "static_configs": [{"targets": [target]}]}],
        }
        (tmp_path / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        with (tmp_path / "prometheus.log").open("wb") as log:
            servers.append(
                subprocess.Popen(
                    [
                        "prometheus",
                        f"--config.file={tmp_path}/prometheus.yml",
                        f"--storage.tsdb.path={tmp_path}/prometheus",
                        f"--web.listen-address=127.0.0.1:{port}",
                        "--enable-feature=exemplar-storage",
                    ],
                    stdout=log,
                    stderr=log,
                )
            )

        def query(expression: str) -> float | None:
            url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    result = json.load(answer)["data"]["result"]
            except OSError:
                return None
            return float(result[0]["value"][1]) if result else None

        wait_until(lambda: query("vector(1)") == 1.0, 20, "Prometheus' answer")
        return query

    yield start
    for server in servers:
        server.terminate()
        server.wait(20)
