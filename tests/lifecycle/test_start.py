"""How a service starts: what it says, what it refuses, and what it never does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import sleep

import psutil
import pytest

from telemetry.tools.console.server import Console
from tests.support.routes import LAZY, Route, expect, send
from tests.support.service import NO_PRELOAD, ROOT, Service, free_port, wait_until

StartService = Callable[..., Service]
GUNICORN = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "--bind=127.0.0.1:0", "userapi.wsgi"]


def run(command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )


def test_start_announces_each_worker_first(console: Console, start_service: StartService) -> None:
    service = start_service("--workers=2", NO_PRELOAD, **Route("collector", "grpc").env(console))
    send(service, 10)
    wait_until(lambda: service.output.count("Starting user-api server") == 2, what="both workers")
    service.stop()
    lines = [json.loads(line) for line in service.output.splitlines() if line.startswith("{")]
    starts = [line for line in lines if line["body"] == "Starting user-api server"]
    assert lines[0] in starts
    assert {start["attributes"]["worker.slot"] for start in starts} == {0, 1}
    assert starts[0]["attributes"]["telemetry.mode"] == "collector"
    assert starts[0]["attributes"]["service.version"] == "0.1.0"
    assert starts[0]["attributes"]["telemetry.traces"].endswith(f"127.0.0.1:{console.grpc_port}")
    received = [record.body for record in console.store.logs()]
    assert received.count("Starting user-api server") == 2


def test_access_record_is_written_inside_its_trace(console: Console, start_service: StartService) -> None:
    service = start_service("--workers=1", **Route("collector", "grpc").env(console))
    service.get("/users?search=someone")
    service.stop()
    record = next(record for record in console.store.logs() if record.scope.name == "userapi.access")
    span = next(span for span in console.store.spans() if span.kind == "server")
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    assert record.body == "GET /users 200"
    assert record.severity == "INFO"
    assert record.attributes["http.route"] == "/users"
    assert record.attributes["http.server.request.duration"] > 0


def test_health_is_left_out_of_traces_and_request_metrics(console: Console, start_service: StartService) -> None:
    service = start_service("--workers=1", **Route("collector", "grpc").env(console), **LAZY)
    for path in ("/livez", "/readyz", "/metrics"):
        service.get(path)
    service.get("/livez", Host="10.1.2.3")  # a probe comes with the address of the pod
    send(service, 3)
    service.stop()
    expect(console, "collector", 3)


@pytest.mark.parametrize(
    ("command", "prefix"),
    [
        (GUNICORN, "telemetry: "),
        ([sys.executable, "manage.py", "runserver", "0"], ""),
        ([sys.executable, "manage.py", "check"], ""),
        ([sys.executable, "manage.py", "telemetry"], ""),
    ],
    ids=["gunicorn", "runserver", "check", "telemetry"],
)
def test_start_with_a_bad_value_is_refused_without_a_traceback(command: list[str], prefix: str) -> None:
    ended = run(command, TELEMETRY_MODE="colector")
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    lines = [line for line in ended.stderr.splitlines() if "TELEMETRY_MODE" in line]
    assert len(lines) == 1
    assert lines[0].startswith(prefix)
    assert all(word in lines[0] for word in ("colector", "collector", "direct", "off"))


def test_start_under_runserver_delivers_and_reloads(console: Console, migrated_sqlite: Path, tmp_path: Path) -> None:
    port = free_port()
    env = {
        **os.environ,
        **Route("collector", "grpc").env(console),
        "DJANGO_DEBUG": "true",
        "USERAPI_OPEN_ACCESS": "true",
        "DATABASE_URL": f"sqlite:///{migrated_sqlite}",
        "TELEMETRY_FLUSH_TIMEOUT": "15",
    }
    command = [sys.executable, "manage.py", "runserver", f"127.0.0.1:{port}"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
    client = Service(tmp_path, "", {})
    client.port = port
    try:
        wait_until(client.answers, 60, "runserver")
        send(client, 6)
        first = psutil.Process(server.pid).children()[0].pid
        wait_until(lambda: reloaded(server.pid, first), 60, "runserver's reload")
        wait_until(client.answers, 60, "runserver after its reload")
        send(client, 3)
    finally:
        for child in psutil.Process(server.pid).children(recursive=True):
            child.terminate()
        server.wait(60)
    expect(console, "collector", 9)


def reloaded(server: int, first: int) -> bool:
    if first not in {child.pid for child in psutil.Process(server).children()}:
        return True
    (ROOT / "userapi" / "wsgi.py").touch()  # the reloader, once it has seen the file, looks at its time
    sleep(1)
    return False


def test_management_commands_send_nothing(console: Console, migrated_sqlite: Path) -> None:
    env = Route("collector", "grpc").env(console) | {"DATABASE_URL": f"sqlite:///{migrated_sqlite}"}
    run([sys.executable, "manage.py", "migrate", "--check"], **env)
    run(
        [sys.executable, "manage.py", "shell", "-c", "from userapi.users.models import User as U; U.objects.count()"],
        **env,
    )
    sleep(0.5)
    assert console.store.totals() == {}


def test_debug_level_logs_each_export_and_masks_secrets(console: Console, start_service: StartService) -> None:
    service = start_service(
        "--workers=1",
        **Route("collector", "grpc").env(console),
        OTEL_LOG_LEVEL="debug",
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer very-secret",
    )
    send(service, 3)
    service.stop()
    lines = [json.loads(line)["body"] for line in service.output.splitlines() if '"body": "export ' in line]
    assert {line.split()[1].rstrip(":") for line in lines} == {"traces", "metrics", "logs"}
    assert all("bytes to http://127.0.0.1" in line and "accepted in" in line for line in lines)
    assert "very-secret" not in service.output


def test_off_neither_patches_nor_sends(console: Console, start_service: StartService) -> None:
    service = start_service("--workers=1", **{**Route("collector", "grpc").env(console), "TELEMETRY_MODE": "off"})
    send(service, 3)
    loaded = {Path(m.path).name for w in service.workers() for m in w.memory_maps() if "grpc" in m.path}
    service.stop()
    assert loaded == set()
    assert console.store.totals() == {}


def test_forked_child_repeats_nothing(console: Console, start_service: StartService) -> None:
    service = start_service(
        "--workers=1",
        **Route("collector", "grpc").env(console),
        OTEL_METRIC_EXPORT_INTERVAL="300",
        DJANGO_SETTINGS_MODULE="tests.support.settings_with_faults",
    )
    send(service, 6)
    assert service.get("/faults/fork")[0] == 200
    service.stop()
    expect(console, "collector", 7)
    assert len({span.resource.instance for span in console.store.spans()}) == 1


@pytest.mark.parametrize("command", [[*GUNICORN, "--workers=1"], [sys.executable, "manage.py", "runserver", "0"]])
def test_start_with_a_bad_setting_is_refused_without_a_traceback(command: list[str]) -> None:
    ended = run(command, DJANGO_SECRET_KEY="short")
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("DJANGO_SECRET_KEY: invalid value (hidden)") == 1


def test_head_is_answered_without_a_warning(start_service: StartService) -> None:
    service = start_service("--workers=1", TELEMETRY_MODE="direct", OTEL_TRACES_EXPORTER="none")
    for path in ("/livez", "/readyz", "/metrics", "/users", "/docs", "/", "/nope"):
        status, headers, body = service.request("HEAD", path)
        assert (status, body) == (404 if path == "/nope" else 200, b"")
        assert int(headers["content-length"]) > 0
    assert "no-body response" not in service.output
