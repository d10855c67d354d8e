"""`manage.py console` as a process."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management.base import CommandError

from telemetry.tools.management.commands.console import Command, _console
from tests.support.service import ROOT
from tests.tools.console.client import one_span, post, request

ANY_PORT = ("--grpc-port=0", "--http-port=0", "--api-port=0")


@contextmanager
def console_process(*args: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "console", *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def endpoints(process: subprocess.Popen[str], count: int = 3) -> dict[str, str]:
    """What the command prints: one line per endpoint."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(count)]
    return dict(line.rsplit(maxsplit=1) for line in lines)


def run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "console", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal, which ends the command soon and cleanly."""
    begin = time.monotonic()
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert time.monotonic() - begin < 4
    assert (process.returncode, output, errors) == (0, "", "")


def parsed(*args: str) -> dict[str, Any]:
    return vars(Command().create_parser("manage.py", "console").parse_args([*args]))


@pytest.mark.timing
def test_command_serves_until_it_is_interrupted_and_ends_cleanly() -> None:
    # A database that cannot be reached, and a backend that would be exported to: the command wants neither.
    environment = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "TELEMETRY_MODE": "collector"}
    with console_process(*ANY_PORT, **environment) as process:
        urls = endpoints(process)
        assert list(urls) == ["OTLP/gRPC", "OTLP/HTTP", "Console"]
        assert post(urls["OTLP/HTTP"] + "/v1/traces", one_span()).status == 200
        assert request(urls["Console"] + "/api/summary").json["modes"]["collector"]["spans"] == 1
        assert request(urls["Console"] + "/api/faults", "PUT", b"{}").status == 403
        end(process, signal.SIGINT)


@pytest.mark.timing
def test_command_takes_scrape_targets_and_faults() -> None:
    targets = ("--scrape", "a=http://127.0.0.1:1/metrics", "--scrape", "b=http://127.0.0.1:1/metrics")
    with console_process(*ANY_PORT, *targets, "--scrape-interval=0.5", "--allow-faults") as process:
        urls = endpoints(process, 5)
        assert urls["Scrapes a"] == "http://127.0.0.1:1/metrics"
        answer = request(urls["Console"] + "/api/scrape", "POST")
        assert [(target["name"], target["up"]) for target in answer.json["scrape_targets"]] == [
            ("a", False),
            ("b", False),
        ]
        body = b'{"status": 503, "retry_after": 1}'
        assert request(urls["Console"] + "/api/faults", "PUT", body).status == 200
        assert post(urls["OTLP/HTTP"] + "/v1/traces", one_span()).status == 503
        end(process, signal.SIGTERM)


@pytest.mark.parametrize("option", ["--grpc-port", "--http-port", "--api-port"])
def test_busy_port_is_one_line_with_the_option(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run(*ANY_PORT, f"{option}={port}")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"CommandError: port {port} on 127.0.0.1 cannot be used: the port is busy; "
        f"choose another with {option} or --port-offset\n"
    )


def test_port_offset_moves_every_port() -> None:
    console = _console(parsed("--port-offset=10", "--api-port=0"))
    assert (console.grpc_port, console.http_port, console.api_port) == (4327, 4328, 0)


def test_port_that_is_none_is_one_line() -> None:
    result = run("--port-offset=70000")
    assert result.returncode == 1
    assert "port 74318 on 127.0.0.1 cannot be used: not a port; expected 0 to 65535" in result.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--scrape", "no-url"), "expected NAME=http://HOST[:PORT]/PATH"),
        (("--scrape", "a=http://h/", "a=http://i/"), "scrape target 'a' is given twice"),
        (("--scrape", "a=http://h/", "--scrape-interval", "0"), "scrape interval is 0.0; expected seconds above 0"),
        (("--scrape", "a=http://h/", "--scrape-token-file", "no/such/file"), "No such file"),
        (("--scrape-interval", "2"), "--scrape-interval needs --scrape"),
        (("--scrape-token-file", "no/such/file"), "--scrape-token-file needs --scrape"),
    ],
)
def test_bad_option_is_one_line(args: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError) as caught:
        _console(parsed(*args))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
