"""What is in the way of an exporter that follows a killed one, though the service has started with it."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic, sleep

from telemetry.exporting.start import _REST_SECONDS, FAILED
from telemetry.status import read_statuses
from telemetry.tools.console.server import Console
from tests.support.routes import Route, expect, scrape, scraped_requests, send
from tests.support.service import ROOT, Service, wait_until

StartService = Callable[..., Service]
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_BLRP_SCHEDULE_DELAY": "200"}


def kill_exporter(service: Service) -> None:
    status = wait_until(service.status, 60, "the exporter's status")
    assert status
    os.kill(status["pid"], signal.SIGKILL)


def spool_that_became_a_file(spool: Path, _: Path) -> None:
    spool.rename(spool.with_name("gone"))
    spool.write_text("")


def spool_that_cannot_be_reached(spool: Path, _: Path) -> None:
    spool.unlink()
    spool.symlink_to(spool)


def certificate_that_is_gone(spool: Path, certificate: Path) -> None:
    spool.unlink()
    certificate.unlink()


OBSTACLES = spool_that_became_a_file, spool_that_cannot_be_reached, certificate_that_is_gone


def test_part_that_is_missing_is_an_outage_of_that_part(
    console: Console, start_service: StartService, tmp_path: Path
) -> None:
    spool, certificate = tmp_path / "spool", tmp_path / "ca.pem"
    certificate.write_text("the backend is reached in plaintext")
    env = {"TELEMETRY_SPOOL_DIR": str(spool), "OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificate)}
    service = start_service("--workers=1", **Route("direct", "http/protobuf").env(console), **QUICK, **env)
    send(service, 6)
    expect(console, "direct", 6)
    for number, spoil in enumerate(OBSTACLES, 1):
        wait_until(lambda: service.has_delivered(everything=True), 60, "the end of all sending")
        kill_exporter(service)
        spoil(spool, certificate)
        scrape(service)  # of the next exporter
        send(service, 6)
        assert scraped_requests(service) >= 6, spoil  # with the disk, the counts of before are out of reach
        expect(console, "direct", 6 + 6 * number)
    assert "Traceback" not in service.output
    assert "did not start" not in service.output


FILE = """
file_format: "1.0"
tracer_provider:
  processors:
    - batch:
        exporter:
          otlp_http:
            endpoint: http://127.0.0.1:{port}/v1/traces
"""


def test_exporter_that_cannot_start_says_so_once_and_starts_when_it_can(
    console: Console, start_service: StartService, tmp_path: Path
) -> None:
    file, away = tmp_path / "otel.yaml", tmp_path / "away.yaml"
    file.write_text(FILE.format(port=console.http_port))
    service = start_service("--workers=2", OTEL_CONFIG_FILE=str(file), TELEMETRY_MODE="direct")
    send(service, 3)
    wait_until(service.status, 60, "an exporter that has read the file")
    file.rename(away)  # first: a worker may be just about to look whether there is an exporter
    kill_exporter(service)
    sent = 3

    def reason() -> str:
        nonlocal sent
        send(service, 3)  # each of them looks whether there is an exporter
        sent += 3
        errors = [status["error"] for status in read_statuses(2, service.process.pid) if "error" in status]
        return next((error for error in errors if "did not start" in error), "")

    found = wait_until(reason, 60, "the reason")
    assert "OTEL_CONFIG_FILE" in found
    assert "does not exist" in found
    for _ in range(6):
        reason()
        sleep(0.5)
    assert service.output.count("the exporter did not start, and tries again") == 1
    assert "Traceback" not in service.output
    away.rename(file)
    assert console.store.wait_for(lambda store: sum(s.kind == "server" for s in store.spans()) == sent, timeout=60)


# An exporter that imports this fails while a file is there, and writes its nice value to another.
FAILING = """
import os, pathlib, sys
if "telemetry.exporting" in sys.orig_argv:
    from telemetry.exporting.loop import Loop
    drain = Loop.drain
    def failing(loop):
        with open({file!r} + ".nice", "a") as nice:
            nice.write(str(os.nice(0)) + " ")
        if pathlib.Path({file!r}).exists():
            raise RuntimeError("a fault of the test")
        return drain(loop)
    Loop.drain = failing
"""


def test_exporter_that_fails_again_and_again_costs_a_start_now_and_then(
    console: Console, start_service: StartService, tmp_path: Path
) -> None:
    fault = tmp_path / "fault"
    (tmp_path / "sitecustomize.py").write_text(FAILING.format(file=str(fault)))
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    service = start_service("--workers=2", **Route("direct", "http/protobuf").env(console), PYTHONPATH=path)
    send(service, 3)
    wait_until(lambda: service.has_delivered(everything=True), 60, "the end of all sending")
    sent, began = 3, monotonic()
    fault.touch()

    def failures() -> int:
        nonlocal sent
        send(service, 3)  # each of them looks whether there is an exporter
        sent += 3
        return service.output.count(FAILED)

    def most() -> float:
        return 1 + (monotonic() - began) / _REST_SECONDS

    wait_until(failures, 60, "the failure")
    for _ in range(8):
        assert 1 <= failures() <= most()
        sleep(0.5)
    answers = partial(read_statuses, 2, service.process.pid)
    wait_until(lambda: any(status.get("error") == FAILED for status in answers()), 60, "the reason")
    fault.unlink()
    expect(console, "direct", sent)
    assert 1 <= failures() <= most()
    assert {*fault.with_suffix(".nice").read_text().split()} == {str(min(os.nice(0) + 5, 19))}
