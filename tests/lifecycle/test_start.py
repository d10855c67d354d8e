"""How a service starts: what it says, what it refuses, and what it never does."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import sleep

import psutil
import pytest

from telemetry.tools.console.server import Console
from tests.lifecycle.checks import assert_metrics_are_not_found
from tests.support.routes import Route, expect, send
from tests.support.service import ROOT, Service, free_port, wait_until

StartService = Callable[..., Service]
GUNICORN = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "--bind=127.0.0.1:0", "userapi.wsgi"]


def run(command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("command", "prefix"),
    [
        (GUNICORN, "telemetry: "),
        ([sys.executable, "manage.py", "runserver", "0"], ""),
    ],
    ids=["gunicorn", "runserver"],
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


MANAGE = """
from django.core.management import call_command
from userapi.users.models import User
call_command("migrate", check_unapplied=True)
print(User.objects.count())
"""


def test_management_commands_send_nothing(console: Console, migrated_sqlite: Path) -> None:
    env = Route("collector", "grpc").env(console) | {"DATABASE_URL": f"sqlite:///{migrated_sqlite}"}
    assert run([sys.executable, "manage.py", "shell", "-c", MANAGE], **env).stdout.endswith("0\n")
    sleep(0.5)
    assert console.store.totals() == {}


def test_off_neither_patches_nor_sends(console: Console, start_service: StartService) -> None:
    service = start_service("--workers=1", **{**Route("collector", "grpc").env(console), "TELEMETRY_MODE": "off"})
    send(service, 3)
    assert_metrics_are_not_found(service.get("/metrics"))
    loaded = {Path(m.path).name for w in service.workers() for m in w.memory_maps() if "grpc" in m.path}
    service.stop()
    assert loaded == set()
    assert console.store.totals() == {}


@pytest.mark.parametrize("command", [[*GUNICORN, "--workers=1"], [sys.executable, "manage.py", "runserver", "0"]])
def test_start_with_a_bad_setting_is_refused_without_a_traceback(command: list[str]) -> None:
    ended = run(command, DJANGO_SECRET_KEY="short")
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("DJANGO_SECRET_KEY: invalid value (hidden)") == 1
