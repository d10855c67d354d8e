"""The first process of a container waits for its last delivery: all others end with it."""

import subprocess
import sys
from pathlib import Path

import pytest

from telemetry.tools.console.server import Console
from tests.support.bare import environment
from tests.support.routes import Route

# Processes of its own, of which the command is the first; they end with it.
CONTAINERS = (
    ["unshare", "--pid", "--fork", "--mount-proc"],
    ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"],
)
WORKER = """
import django, os, sys, time
django.setup()
from telemetry.recording import ending
if len(sys.argv) > 2:  # where no container can be made
    ending._FIRST = os.getpid()
from opentelemetry import trace
from telemetry import lifecycle
lifecycle.start()
time.sleep(float(sys.argv[1]))
for number in range(5):
    with trace.get_tracer("worker").start_as_current_span(f"task {number}"):
        pass
"""


def run(tmp_path: Path, env: dict[str, str], before: float) -> None:
    """Run a worker that makes five spans, `before` seconds after its start, and ends."""
    made = (
        each for each in CONTAINERS if not subprocess.run([*each, "true"], capture_output=True, check=False).returncode
    )
    container = next(made, None)
    subprocess.run(
        [*(container or ()), sys.executable, "-c", WORKER, str(before), *([] if container else ["first"])],
        cwd=tmp_path,
        env=environment(tmp_path, env),
        check=True,
        timeout=60,
    )


@pytest.mark.parametrize("before", [0, 2], ids=["its exporter just starting", "its exporter at work"])
def test_first_process_delivers(console: Console, tmp_path: Path, before: float) -> None:
    run(tmp_path, {**Route("collector", "http/protobuf").env(console), "TELEMETRY_FLUSH_TIMEOUT": "15"}, before)
    # Nothing is left that could deliver: what has not come now never will.
    assert sorted(span.name for span in console.store.spans()) == [f"task {number}" for number in range(5)]


def test_first_process_keeps_what_a_dead_backend_has_not_taken(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    dead = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "TELEMETRY_FLUSH_TIMEOUT": "15"}
    run(tmp_path, {**dead, "TELEMETRY_MODE": "collector", "TELEMETRY_SPOOL_DIR": str(spool)}, 0)
    assert [batch.name.split("-")[2] for batch in spool.glob("*/run-0/traces-*")] == ["5"]
