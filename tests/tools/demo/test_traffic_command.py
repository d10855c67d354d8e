"""`manage.py traffic`: bounded requests to services that run elsewhere, and nothing of it left behind."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from time import monotonic

import pytest

from tests.support.service import ROOT, Service, free_port, wait_until

StartService = Callable[..., Service]


def start(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "traffic", *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def users(service: Service) -> int:
    return len(json.loads(service.get("/users")[2])["results"])


@pytest.mark.timing
def test_traffic_to_those_that_are_known(start_service: StartService) -> None:
    service = start_service(TELEMETRY_MODE="off")
    started = monotonic()
    traffic = start("--rate=25", "--for=6", f"localhost:{service.port}", "nowhere.invalid:8080")
    output, errors = traffic.communicate(timeout=100)
    assert traffic.returncode == 0, errors
    assert "nowhere" not in output
    found = re.search(r"localhost:\d+: (\d+) requests: .*200.*201.*204.*400.*404.*409", output)
    assert found, output
    assert 16 <= int(found[1]) <= 25 * (monotonic() - started)
    assert users(service) == 0


def test_traffic_asked_to_stop_tidies_up(start_service: StartService) -> None:
    service = start_service(TELEMETRY_MODE="off")
    traffic = start("--rate=2", f"127.0.0.1:{service.port}")
    wait_until(lambda: users(service), 60, "a user")
    traffic.send_signal(signal.SIGTERM)
    _, errors = traffic.communicate(timeout=60)
    assert traffic.returncode == 0, errors
    assert users(service) == 0


def test_traffic_without_answers_fails() -> None:
    traffic = start("--rate=20", "--for=0.5", f"127.0.0.1:{free_port()}")
    output, _ = traffic.communicate(timeout=60)
    assert traffic.returncode == 1
    assert "without an answer" in output


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("nowhere.invalid:8080",), "cannot resolve nowhere.invalid"),
        (("localhost",), "invalid value 'localhost'; expected HOST:PORT"),
        (("--rate=1000", "localhost:80"), "expected requests per second above 0, at most 200"),
    ],
)
def test_traffic_wrong_arguments(args: tuple[str, ...], reason: str) -> None:
    traffic = start(*args)
    _, errors = traffic.communicate(timeout=60)
    assert traffic.returncode in {1, 2}
    assert reason in errors
