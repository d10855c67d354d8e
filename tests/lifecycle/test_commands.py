"""A command that records ends for its caller when it ends itself, whoever reads what it prints."""

import os
import subprocess
import sys
from pathlib import Path

from telemetry.status import is_delivering
from tests.support.bare import environment
from tests.support.service import wait_until

COMMAND = """
import django
django.setup()
from opentelemetry import trace
from telemetry import lifecycle
lifecycle.start()
with trace.get_tracer("command").start_as_current_span("the span"):
    pass
print("done")
"""
DEAD = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    "TELEMETRY_MODE": "collector",
    "TELEMETRY_FLUSH_TIMEOUT": "15",
}


def run(folder: Path, env: dict[str, str], stdout: int, stderr: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", COMMAND],
        cwd=folder,
        env=environment(folder, env),
        check=True,
        text=True,
        stdout=stdout,
        stderr=stderr,
    )


def test_caller_that_reads_the_output_does_not_wait_for_the_exporter(tmp_path: Path) -> None:
    ended = run(tmp_path, DEAD, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert ended.stdout == "done\n"
    wait_until(lambda: is_delivering(os.getpid()), 30, "the exporter, which goes on")


def test_log_of_the_exporter_is_in_the_file_that_the_command_writes_errors_to(tmp_path: Path) -> None:
    with (tmp_path / "errors").open("w") as errors:
        ended = run(tmp_path, DEAD | {"TELEMETRY_FLUSH_TIMEOUT": "1"}, stdout=subprocess.PIPE, stderr=errors.fileno())
    assert ended.stdout == "done\n"
    wait_until(lambda: "dropped at stop" in (tmp_path / "errors").read_text(), 30, "the exporter's last line")


def test_exporter_that_prints_has_the_standard_output_of_the_command(tmp_path: Path) -> None:
    """Whoever reads that waits for it."""
    env = DEAD | {"OTEL_TRACES_EXPORTER": "console", "TELEMETRY_FLUSH_TIMEOUT": "1"}
    ended = run(tmp_path, env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert ended.stdout.startswith("done\n")
    assert '"resourceSpans"' in ended.stdout
    assert "dropped at stop" in ended.stdout  # the data points
