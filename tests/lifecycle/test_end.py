"""The end of a service, whatever else happens to its exporter and to the children of its processes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import psutil

from telemetry.tools.console.server import Console
from tests.support.routes import LAZY, Route, expect, send
from tests.support.service import Service, wait_until

StartService = Callable[..., Service]

FAULTS = {"DJANGO_SETTINGS_MODULE": "tests.support.settings_with_faults"}
LIFE = 60
"""Seconds that a child of a view lives: longer than anything here takes."""


@contextmanager
def child_of_a_view(service: Service) -> Iterator[psutil.Process]:
    status, _, body = service.get(f"/faults/leave-child/{LIFE}")
    assert status == 200
    child = psutil.Process(int(body))
    try:
        yield child
        assert child.is_running()
    finally:
        child.kill()


def directory_of(service: Service) -> Path:
    status = wait_until(service.status, 60, "the exporter's status")
    assert status
    return Path(status["directory"])


def test_child_of_a_view_does_not_hold_up_the_stop(console: Console, start_service: StartService) -> None:
    service = start_service("--workers=1", **Route("collector", "http/protobuf").env(console), **LAZY, **FAULTS)
    send(service, 11)
    run = directory_of(service)
    with child_of_a_view(service):
        began = monotonic()
        service.stop()
        assert monotonic() - began < 10  # TELEMETRY_FLUSH_TIMEOUT is 15
        expect(console, "collector", 12, wait=1)
        wait_until(lambda: not run.exists(), 10, "the end of the directory")


def test_child_of_a_view_keeps_nothing_of_an_exporter_that_is_a_thread(
    console: Console, start_service: StartService, tmp_path: Path
) -> None:
    service = start_service(
        "--workers=1",
        **Route("direct", "http/protobuf").env(console),
        **FAULTS,
        TELEMETRY_EXPORTER="thread",
        TELEMETRY_SPOOL_DIR=str(tmp_path / "spool"),
    )
    send(service, 12)
    run = directory_of(service)
    with child_of_a_view(service) as child:
        links = [str(file.readlink()) for file in Path(f"/proc/{child.pid}/fd").iterdir()]
        locks = [str(run / "exporter.lock"), str(run / "server.lock"), str(run / "lock")]
        assert not [link for link in links if link in locks or link.startswith(str(tmp_path / "spool"))]
        assert str(run / "socket") not in {str(each.laddr) for each in child.net_connections("unix")}
        before = service.workers()[0]
        before.kill()
        wait_until(lambda: before not in service.workers() and service.answers(), 60, "another worker")
        wait_until(lambda: service.get("/metrics")[0] == 200, 20, "another exporter")
