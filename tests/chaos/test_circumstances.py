"""A host that is short of shared memory, a clock that steps, a backend that comes and goes, very many workers."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import Any

import pytest

from telemetry.tools.compare.setups.faults_proxy import FaultProxy
from telemetry.tools.compare.setups.faulty_connection import PASS, Fault
from telemetry.tools.console.server import Console
from tests.chaos.test_harmless import arrived
from tests.support.routes import Route, scraped_requests, send
from tests.support.service import Service, free_port, wait_until

StartService = Callable[..., Service]

QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_BLRP_SCHEDULE_DELAY": "200", "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
HASTY = QUICK | {"TELEMETRY_FLUSH_TIMEOUT": "1"}
SILENT = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "console"}
FAULTS = Fault("refuse"), Fault("close_mid_answer"), Fault("garbage")
STEPPING = """
import time
_time, _time_ns, _monotonic = time.time, time.time_ns, time.monotonic
_step = lambda: (0, -3600, 7200)[int(_monotonic() * 2) % 3]
time.time = lambda: _time() + _step()
time.time_ns = lambda: _time_ns() + _step() * 10**9
"""


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


class Confined(Service):
    """A service whose /dev/shm has `SIZE`."""

    SIZE = "9m"

    def __init__(self, folder: Path, database: str, env: dict[str, str], *args: str) -> None:
        super().__init__(folder, database, env, *args)
        mount = f'mount -t tmpfs -o size={self.SIZE} tmpfs /dev/shm && exec "$@"'
        self._command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh", *self._command]

    @property
    def shared_memory(self) -> Path:
        return Path(f"/proc/{self.process.pid}/root/dev/shm")


@pytest.fixture(scope="module")
def confined(disk_folder: Path, migrated_sqlite: Path) -> Iterator[Confined]:
    probe = subprocess.run(["unshare", "--map-root-user", "--mount", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("no mount namespaces here (unshare --map-root-user --mount)")
    env = Route("direct", "http/protobuf").env_for(1, 1) | SILENT | {"USERAPI_OPEN_ACCESS": "true"}
    database = shutil.copy(migrated_sqlite, disk_folder)
    with Confined(disk_folder, f"sqlite:///{database}", env, "--workers=4") as service:
        yield service


def fill(path: Path) -> None:
    """Write to `path` until its file system is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_workers_meet_in_shared_memory_that_has_room_for_one(confined: Confined) -> None:
    """Rings are smaller then; a scrape covers all workers all the same, whichever answers."""
    before = scraped_requests(confined)
    send(confined, 40)
    assert {scraped_requests(confined) - before for _ in range(12)} == {40}
    assert "there is room for" in confined.output
    assert "Traceback" not in confined.output


def test_shared_memory_that_fills_up_costs_records_of_new_workers_alone(confined: Confined) -> None:
    before = scraped_requests(confined)
    send(confined, 20)
    assert scraped_requests(confined) - before == 20
    filling = confined.shared_memory / "filling"
    fill(filling)
    for worker in confined.workers():
        worker.kill()  # a successor continues the ring
    wait_until(lambda: len(confined.workers()) == 4, 60, "new workers")
    wait_until(confined.answers, 60, "an answer")
    send(confined, 20)
    wait_until(lambda: scraped_requests(confined) - before == 40, 60, "all counts")
    filling.unlink()
    send(confined, 20)
    assert scraped_requests(confined) - before == 60


def test_clock_that_steps_costs_nothing(console: Console, start_service: StartService, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(STEPPING)
    route = Route("collector", "http/protobuf")
    service = start_service("--workers=2", **route.env(console), **QUICK, PYTHONPATH=str(tmp_path))
    sent = 0

    def use() -> dict[str, Any] | None:
        """A worker looks after the exporter once a second, when it has answered a request."""
        nonlocal sent
        send(service, 6)
        sent += 6
        return service.status(timeout=2)

    for _ in range(4):
        status = wait_until(use, 60, "the exporter's status")
        assert status
        os.kill(status["pid"], 9)  # it is replaced, wherever the clock is
        sleep(0.3)
    wait_until(use, 60, "the exporter's status")
    wait_until(lambda: arrived(console) == (sent, sent), 60, "everything")
    service.stop()
    durations = [span.end_ns - span.start_ns for span in console.store.spans()]
    assert 0 <= min(durations) <= max(durations) < 60e9
    series = console.store.series("http.server.request.duration", points=1)
    assert sum(points[0].decode().data["count"] for _, points in series) == sent


@pytest.mark.parametrize("route", [Route("collector", "grpc"), Route("direct", "http/protobuf")], ids=str)
def test_backend_that_comes_and_goes_gets_everything(
    console: Console, start_service: StartService, route: Route
) -> None:
    port = console.grpc_port if route.protocol == "grpc" else console.http_port
    ended, answered = Event(), 0

    def ask(service: Service) -> None:
        nonlocal answered
        while not ended.is_set():
            try:
                assert service.get("/users")[0] == 200
                answered += 1
                sleep(0.1)
            except (OSError, HTTPException):
                return

    with FaultProxy(port, port=free_port()) as proxy:
        service = start_service("--workers=2", **route.env_for(proxy.port, proxy.port), **HASTY)
        client = Thread(target=ask, args=(service,))
        client.start()
        for number in range(16):
            proxy.fault = FAULTS[number // 2 % 3] if number % 2 == 0 else PASS
            sleep(0.5)
        wait_until(lambda: answered > 20, 60, "answers")
        ended.set()
        client.join()
        proxy.fault = PASS
        wait_until(lambda: arrived(console) == (answered, answered), 90, "everything")
        status = wait_until(service.status, 60, "the exporter's status")
        assert status
        assert {name: signal.get("losses", {}) for name, signal in status["signals"].items()} == {
            "traces": {},
            "metrics": {},
            "logs": {},
        }
        assert "Traceback" not in service.output


def test_many_workers_are_counted_as_one(start_service: StartService) -> None:
    route = Route("direct", "http/protobuf")
    service = start_service("--workers=64", "--threads=1", "--preload", **route.env_for(1, 1), **SILENT)
    wait_until(lambda: len(service.workers()) == 64, 60, "all workers")
    send(service, 100)
    assert {scraped_requests(service) for _ in range(5)} == {100}
    wait_until(lambda: len((service.status() or {"rings": []})["rings"]) == 64, 60, "the journals of all workers")
    service.stop()
