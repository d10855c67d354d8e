"""`manage.py traffic`: bounded requests to services that run elsewhere, and nothing of it left behind."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from time import monotonic

import pytest

from telemetry.tools.management.commands.traffic import Command
from tests.support.service import ROOT, Service, free_port, wait_until


@pytest.fixture(scope="module")
def service(share_service: Callable[..., Service]) -> Service:
    """A service that has no users but those of the traffic."""
    return share_service(TELEMETRY_MODE="off")


def start(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "traffic", *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*args: str) -> str | int | None:
    """Run the command in this process; return its exit code or what it says at its end."""
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "traffic", *args])
    return ended.value.code


def users(service: Service) -> int:
    return len(json.loads(service.get("/users")[2])["results"])


@pytest.mark.timing
def test_traffic_to_those_that_are_known(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    started = monotonic()
    assert run("--rate=25", "--for=3", f"localhost:{service.port}", "nowhere.invalid:8080") == 0
    output = capsys.readouterr().out
    assert "nowhere" not in output
    found = re.search(r"localhost:\d+: (\d+) requests: .*200.*201.*204.*400.*404.*409", output)
    assert found, output
    assert 16 <= int(found[1]) <= 25 * (monotonic() - started)
    assert users(service) == 0


def test_traffic_asked_to_stop_tidies_up(service: Service) -> None:
    traffic = start("--rate=2", f"127.0.0.1:{service.port}")
    wait_until(lambda: users(service), 60, "a user")
    traffic.send_signal(signal.SIGTERM)
    _, errors = traffic.communicate(timeout=60)
    assert traffic.returncode == 0, errors
    assert users(service) == 0


def test_traffic_without_answers_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--rate=20", "--for=0.5", f"127.0.0.1:{free_port()}") == 1
    assert "without an answer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("localhost",), "invalid value 'localhost'; expected HOST:PORT"),
        (("--rate=1000", "localhost:80"), "expected requests per second above 0, at most 200"),
    ],
)
def test_traffic_wrong_arguments(args: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*args) == 2
    assert reason in capsys.readouterr().err


def test_traffic_to_nobody() -> None:
    assert run("nowhere.invalid:8080") == "traffic: cannot resolve nowhere.invalid"
