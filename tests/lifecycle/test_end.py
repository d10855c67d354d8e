"""The end of a service, whatever else happens to its exporter and to the children of its processes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from telemetry.config import TelemetryConfig
from telemetry.journal import directory
from telemetry.servers.hold import hold
from telemetry.tools.console.server import Console
from tests.support.routes import LAZY, Route, expect, scrape, send
from tests.support.service import ROOT, Service, free_port, wait_until

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


def open_files(process: psutil.Process) -> dict[str, bool]:
    """Return what a process has open, and whether it locks that by `flock`."""
    found: dict[str, bool] = {}
    for file in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            name = str(file.readlink())
            found[name] = (
                found.get(name, False) or "lock:" in Path(f"/proc/{process.pid}/fdinfo/{file.name}").read_text()
            )
    return found


def listening_at(address: Path) -> set[str]:
    """Return the sockets that wait for connections at `address`, as `open_files` names them."""
    sockets = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    accepting = "00010000"  # SO_ACCEPTCON, among the flags
    return {f"socket:[{each[6]}]" for each in sockets if each[3] == accepting and each[-1] == str(address)}


@pytest.mark.parametrize("where", ["process", "thread"])
def test_exporter_that_is_killed_just_before_the_stop_is_replaced_for_it(
    console: Console, start_service: StartService, where: str
) -> None:
    service = start_service(
        "--workers=1", **Route("collector", "http/protobuf").env(console), **LAZY, TELEMETRY_EXPORTER=where
    )
    send(service, 1)
    run = directory_of(service)
    # The first request to the backend does not wait; killed within it, the next exporter would have to repeat it.
    wait_until(service.has_delivered, 60, "the first delivery")
    send(service, 11)
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
    wait_until(lambda: not run.exists(), 10, "the end of the directory")


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


def application_that_fails(port: int) -> dict[str, str]:
    return {"DATABASE_URL": f"nothing://127.0.0.1:{port}"}


def address_that_is_taken(_: int) -> dict[str, str]:
    return {}


@pytest.mark.parametrize("problem", [application_that_fails, address_that_is_taken])
def test_server_that_never_serves_leaves_nothing(tmp_path: Path, problem: Callable[[int], dict[str, str]]) -> None:
    name = f"shop{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] if problem is address_that_is_taken else free_port()
        env = {
            "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
            "TELEMETRY_MODE": "direct",
            "OTEL_SERVICE_NAME": name,
        }
        command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "-b", f"127.0.0.1:{port}"]
        ended = subprocess.run(
            [*command, "userapi.wsgi"], cwd=ROOT, env={**os.environ, **env, **problem(port)}, check=False, timeout=60
        )
    assert ended.returncode
    place = str(("127.0.0.1", port))
    assert not directory.service_directory(directory.bases(name, place, "")[0], name, place).exists()


def test_children_of_views_repeat_nothing_and_do_not_hold_up_the_stop(
    console: Console, start_service: StartService
) -> None:
    env = {**Route("collector", "http/protobuf").env(console), **FAULTS, "OTEL_METRIC_EXPORT_INTERVAL": "300"}
    service = start_service("--workers=1", **env)
    send(service, 10)
    run = directory_of(service)
    assert service.get("/faults/fork")[0] == 200
    with child_of_a_view(service):
        service.stop()
        assert "has not ended" not in service.output
        expect(console, "collector", 12, wait=1)
        wait_until(lambda: not run.exists(), 10, "the end of the directory")
    assert len({span.resource.instance for span in console.store.spans()}) == 1


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
    wait_until(lambda: service.has_delivered(everything=True), 60, "the end of all reading and sending")
    (worker,) = service.workers()
    with child_of_a_view(service) as child:
        # A child may have what is open for a moment, as long as that keeps nobody else out.
        wait_until(lambda: not any(open_files(child).values()), 10, "a child without locks")
        of_worker, of_child = open_files(worker), open_files(child)
        assert of_worker[str(run / "exporter.lock")]
        assert listening_at(run / "socket") & of_worker.keys()
        assert not listening_at(run / "socket") & of_child.keys()
        worker.kill()
        wait_until(lambda: worker not in service.workers() and service.answers(), 60, "another worker")
        scrape(service)  # of another exporter
