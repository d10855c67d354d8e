"""A real receiver beside a real service, and a run of both that is over."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from telemetry.tools.console.server import Console
from tests.support.routes import LAZY, Route, send
from tests.support.service import NO_PRELOAD, Service, services, wait_until


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


class Ordinary(NamedTuple):
    """A run that is over, with its receiver, its exporter and its folder, and what `/metrics` answered.

    `nice` are the exporter's nice value and that of its group, None where the system groups no sessions.
    """

    service: Service
    console: Console
    exporter: psutil.Process
    folder: Path
    metrics: tuple[int, dict[str, str], bytes]
    nice: tuple[int, int | None]


REQUESTS = 30


@pytest.fixture(scope="session")
def ordinary(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Ordinary]:
    """Two workers in collector mode: probes, a search and further requests; all is sent at SIGTERM."""
    with (
        Console(grpc_port=0, http_port=0, api_port=0) as console,
        services(tmp_path_factory.mktemp("ordinary"), migrated_sqlite) as start,
    ):
        service = start("--workers=2", NO_PRELOAD, **Route("collector", "grpc").env(console), **LAZY)
        for path in ("/livez", "/readyz"):
            service.get(path)
        service.get("/livez", Host="10.1.2.3")  # a probe comes with the address of the pod
        metrics = service.get("/metrics")
        service.get("/users?search=someone")
        send(service, REQUESTS - 1)
        wait_until(lambda: service.output.count("Starting user-api server") == 2, what="both workers")
        status = wait_until(service.status, 60, "the exporter's status")
        assert status
        exporter = psutil.Process(status["pid"])
        group = Path(f"/proc/{exporter.pid}/autogroup")
        nice = exporter.nice(), int(group.read_text().split()[-1]) if group.exists() else None
        service.stop()
        yield Ordinary(service, console, exporter, Path(status["directory"]), metrics, nice)
