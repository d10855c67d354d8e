"""The end of a service, whatever else happens to its exporter and to the children of its processes."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import psutil
import pytest

from telemetry.config import TelemetryConfig
from telemetry.journal import directory
from telemetry.servers.hold import hold
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


@pytest.mark.parametrize("where", ["process", "thread"])
def test_exporter_that_is_killed_just_before_the_stop_is_replaced_for_it(
    console: Console, start_service: StartService, where: str
) -> None:
    service = start_service(
        "--workers=1", **Route("collector", "http/protobuf").env(console), **LAZY, TELEMETRY_EXPORTER=where
    )
    send(service, 12)
    run = directory_of(service)
    status = service.status()
    assert status
    service.send_signal(signal.SIGSTOP)  # so that nobody else begins to replace it, or to deliver
    for worker in service.workers():
        worker.suspend()
    os.kill(status["pid"], signal.SIGKILL)
    service.send_signal(signal.SIGTERM)
    for worker in service.workers():
        worker.kill()
    service.send_signal(signal.SIGCONT)
    service.process.wait(60)
    # What was to be delivered is: nothing is left that could.
    expect(console, "collector", 12, wait=1)
    assert not run.exists()


def test_server_says_what_it_could_not_deliver(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An exporter with other settings than the workers' would send it somewhere else."""
    place = str(tmp_path)
    config = TelemetryConfig.from_env({"OTEL_SERVICE_NAME": "shop", "TELEMETRY_FLUSH_TIMEOUT": "1"})
    held = hold(config, place)
    assert held
    (run,) = directory.service_directory(directory.bases("shop", place, "")[0], "shop", place).glob("run-*")
    (run / "service").write_text('{"environment": "of others"}')
    assert not held.release()
    assert "the settings of the workers are not those of the server" in caplog.text
    assert directory.remove(run)


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
