"""A console on free ports for each test; a browser, and a console with both modes, for each module that asks."""

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from telemetry.tools.console.receiving.scraper import ScrapeTarget
from telemetry.tools.console.server import Console
from tests.support.service import Service, free_port, wait_until
from tests.tools.console.browser import Chromium, chromium, chromium_is_missing

USER = {"name": "Ada Lovelace", "email": "ada@example.com"}
#: What `visit` sends.
VISITS = 6


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """One browser; not for the whole session, because Django takes its event loop for an asynchronous view's."""
    if chromium_is_missing():
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium-headless-shell)")
    with chromium() as running:
        yield running


@dataclass
class BothModes:
    """A console, and the service in both modes sending to it."""

    console: Console
    services: dict[str, Service]

    def visit(self, mode: str) -> None:
        """Send six requests: one user made twice, looked at, deleted and looked for; and the list."""
        service = self.services[mode]
        before = self.console.store.mode(mode)
        _, _, body = service.request("POST", "/users", USER)
        path = f"/users/{json.loads(body)['id']}"
        statuses = [
            service.request("POST", "/users", USER)[0],
            service.get(path)[0],
            service.get("/users")[0],
            service.request("DELETE", path)[0],
            service.get(path)[0],
        ]
        assert statuses == [409, 200, 200, 204, 404]
        wait_until(lambda: self._arrived(mode, before.requests + VISITS), 60, f"the requests of {mode}")

    def _arrived(self, mode: str, requests: int) -> bool:
        totals = self.console.store.mode(mode)
        return {totals.server_spans, totals.access_records, totals.requests} == {requests}


@pytest.fixture(scope="module")
def both_modes(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[BothModes]:
    """A console that has seen six requests of each mode, with the services that sent them."""
    folder = tmp_path_factory.mktemp("both-modes")
    http_port = free_port()
    common = {
        "USERAPI_OPEN_ACCESS": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{http_port}",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"http://127.0.0.1:{http_port}/v1/logs",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_BLRP_SCHEDULE_DELAY": "200",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }
    services = {}
    for mode in ("collector", "direct"):
        database = folder / f"{mode}.sqlite3"
        shutil.copy(migrated_sqlite, database)
        env = {**common, "TELEMETRY_MODE": mode}
        services[mode] = Service(folder, f"sqlite:///{database}", env, "--workers=1")
    target = ScrapeTarget("direct", f"http://127.0.0.1:{services['direct'].port}/metrics")
    with ExitStack() as stack:
        console = Console(
            grpc_port=0, http_port=http_port, api_port=0, scrape_targets=[target], scrape_interval=0.5
        )  # fmt: skip
        stack.enter_context(console)
        for service in services.values():
            stack.enter_context(service)
        found = BothModes(console, services)
        for mode in services:
            found.visit(mode)
        yield found
        for service in services.values():
            service.send_signal(signal.SIGTERM)  # together, which takes half the time
