"""A real service before a bad backend: what its log, its metrics and `manage.py telemetry --status` report."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from time import sleep, time
from typing import Any

import psutil
import pytest

from telemetry.status import read_statuses
from telemetry.status_report import as_text
from telemetry.tools.compare.setups.faults_proxy import FaultProxy
from telemetry.tools.compare.setups.faulty_connection import Fault
from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from tests.support.routes import PAIRS, Route, scrape, send
from tests.support.service import ROOT, Service, free_port, wait_until

StartService = Callable[..., Service]

QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_BLRP_SCHEDULE_DELAY": "200", "OTEL_METRIC_EXPORT_INTERVAL": "500"}


@pytest.fixture(params=PAIRS, ids=str)
def route(request: pytest.FixtureRequest) -> Route:
    chosen: Route = request.param
    return chosen


def answers(service: Service) -> list[dict[str, Any]]:
    """Return what is reported of the service, an exporter that does not answer included."""
    return read_statuses(run=service.process.pid)


def manage(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *args],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def exported(service: Service, console: Console, mode: str, signal_: str) -> dict[str, float]:
    """Return the numbers of `otel.sdk.exporter.{signal}.exported` by error.type, from where the mode has them."""
    values: dict[str, float] = {}
    if mode == "direct":
        text = scrape(service)
        pattern = rf"^otel_sdk_exporter_{signal_}_exported_total{{(.*)}} (\S+)$"
        for labels, value in re.findall(pattern, text, re.MULTILINE):
            kind = re.search(r'error_type="([^"]*)"', labels)
            key = kind[1] if kind else ""
            values[key] = values.get(key, 0) + float(value)
        return values
    for series, points in console.store.series(f"otel.sdk.exporter.{signal_}.exported"):
        key = str(series.attributes.get("error.type", ""))
        values[key] = values.get(key, 0) + float(points[-1].decode().data["value"])
    return values


def test_service_logs_an_outage_once(console: Console, start_service: StartService, route: Route) -> None:
    port = console.grpc_port if route.protocol == "grpc" else console.http_port
    with FaultProxy(port, port=free_port(), fault=Fault("refuse")) as proxy:
        env = {**route.env_for(proxy.port, proxy.port), **QUICK, "OTEL_EXPORTER_OTLP_TIMEOUT": "5000"}
        service = start_service("--workers=1", **env)
        signals = {"traces", "logs", "metrics"} if route.mode == "collector" else {"traces", "logs"}
        for _ in range(6):
            send(service, 3)
            sleep(1)
        wait_until(lambda: all(_logged(service, signal) for signal in signals))
        proxy.fault = Fault()

        def over() -> bool:
            send(service, 1)
            return all(len(_logged(service, signal)) == 2 for signal in signals)

        wait_until(over, 60, "the end of the outage")
        service.stop()
    for signal_ in signals:
        gone, back = _logged(service, signal_)
        assert gone["severity"] == "WARN"
        assert f"127.0.0.1:{proxy.port}" in gone["body"]
        assert re.search(r"(unavailable|timeout): ", gone["body"])  # gRPC may take its time to connect again
        assert re.search(r"delivered again after \d+ s, (0|no) .* dropped|delivered again after \d+ s", back["body"])
    output = service.output
    assert "Traceback" not in output
    assert "Transient error" not in output
    assert "Failed to export" not in output
    assert "opentelemetry.exporter" not in output


def _logged(service: Service, signal_: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in service.output.splitlines() if '"telemetry.exporting.sending.outage"' in line]
    return [line for line in lines if line["body"].startswith(signal_)]


def test_service_logs_each_export_on_debug(console: Console, start_service: StartService) -> None:
    console.receiver.faults = Faults(status=400, signals=("traces",))
    service = start_service(
        "--workers=1",
        **Route("collector", "http/protobuf").env(console),
        **QUICK,
        OTEL_LOG_LEVEL="debug",
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer very-secret",
    )
    send(service, 3)
    wait_until(lambda: "export traces: " in service.output)
    service.stop()
    lines = [json.loads(line)["body"] for line in service.output.splitlines() if '"body": "export ' in line]
    assert {line.split()[1].rstrip(":") for line in lines} == {"traces", "metrics", "logs"}
    for line in lines:
        assert "bytes to http://127.0.0.1" in line
        assert ("refused, HTTP 400 Bad Request" if "traces" in line else "accepted in") in line
    assert "very-secret" not in service.output


def test_service_counts_each_fate(console: Console, start_service: StartService, route: Route) -> None:
    """The same names and words in both modes; a refusal is never a success, and a failure in the status."""
    console.receiver.faults = Faults(status=403, signals=("traces",))
    service = start_service("--workers=1", **route.env(console), **QUICK)
    send(service, 9)
    wait_until(lambda: exported(service, console, route.mode, "span").get("refused", 0) >= 9, what="refused spans")
    assert "" not in exported(service, console, route.mode, "span")
    assert_status_is_failing(service, route)
    console.receiver.faults = Faults(partial_reject=1, signals=("traces", "logs"))
    send(service, 9)
    for name in ("span", "log"):
        wait_until(lambda name=name: exported(service, console, route.mode, name).get("rejected", 0) >= 1)  # type: ignore[misc]
    wait_until(lambda: exported(service, console, route.mode, "log").get("", 0) >= 9)
    service.stop()
    assert answers(service) == []


def assert_status_is_failing(service: Service, route: Route) -> None:
    status = wait_until(service.status)
    assert status
    traces = status["signals"]["traces"]
    assert traces["failing"]
    assert traces["losses"]["refused"] >= 9
    assert traces["last_success"] is None
    assert traces["last_error"]["reason"] == "refused"
    assert ("PERMISSION_DENIED" if route.protocol == "grpc" else "HTTP 403") in traces["last_error"]["detail"]
    metrics = {"collector": "otlp", "direct": "prometheus"}[route.mode]
    assert (status["mode"], status["signals"]["metrics"]["exporter"]) == (route.mode, metrics)
    text = as_text([status])
    assert re.search(r"traces  FAILING to http://127\S+: \d+ waiting .*lost \d+ \(refused \d+\)", text)
    assert ("exporter prometheus" in text) is (route.mode == "direct")


def test_status_of_a_healthy_service_and_of_a_stopped_exporter(console: Console, start_service: StartService) -> None:
    """Each says so; a killed service is passed over."""
    service = start_service("--workers=2", **Route("collector", "grpc").env(console), **QUICK)
    send(service, 12)

    def settled() -> dict[str, Any] | None:
        status = service.status()
        return (
            status if status and status["signals"]["traces"]["accepted"] >= 12 and len(status["rings"]) == 2 else None
        )

    status = wait_until(settled, what="a status with all spans")
    assert status
    assert {ring["slot"] for ring in status["rings"]} == {0, 1}
    assert {ring["pid"] for ring in status["rings"]} == {process.pid for process in service.workers()}
    assert all(ring["alive"] and not ring["errors"] and not any(ring["dropped"].values()) for ring in status["rings"])
    assert (status["mode"], status["service"], status["starts"]) == ("collector", "user-api", 1)
    assert str(service.port) in status["address"]
    assert abs(status["started"] - time()) < 120
    traces = status["signals"]["traces"]
    assert traces["spool"]["limit"] == 16 << 20
    assert (traces["losses"], traces["last_error"]) == ({}, None)
    # As people ask.
    shown = manage("telemetry", "--status")
    assert shown.returncode == 0, shown.stderr
    assert f"(process {service.process.pid})" in shown.stdout
    as_json = json.loads(manage("telemetry", "--status", "--json").stdout)
    assert service.process.pid in {one["run"] for one in as_json["services"]}

    exporter = psutil.Process(status["pid"])
    exporter.suspend()
    try:
        wait_until(lambda: exporter.status() == psutil.STATUS_STOPPED)
        (answer,) = read_statuses(2.0, service.process.pid)
        assert "did not answer within 2 s" in answer["error"]
        assert "did not answer" in as_text([answer])
        assert service.get("/users")[0] == 200
    finally:
        exporter.resume()
    assert len(wait_until(lambda: answers(service))) == 1
    service.kill()
    wait_until(lambda: not answers(service))
