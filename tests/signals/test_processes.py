"""A trace goes on in another service that is called, and in a worker that takes a task from a queue."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from telemetry.tools.console.records import Span
from telemetry.tools.console.server import Console
from tests.support.routes import Route
from tests.support.service import ROOT, Service

Start = Callable[..., Service]


def services_of(spans: list[Span]) -> list[str]:
    return [str(span.resource.attributes["service.name"]) for span in spans]


def lineage(console: Console, last: Span) -> list[Span]:
    """Return `last` and its ancestors, from the root on."""
    by_id = {span.span_id: span for span in console.store.spans()}
    found = [last]
    while found[0].parent_span_id:
        found.insert(0, by_id[found[0].parent_span_id])
    return found


@pytest.mark.parametrize("mode", ["collector", "direct"])
def test_call_of_another_service(console: Console, start: Start, mode: str) -> None:
    called = start(mode=mode, OTEL_SERVICE_NAME="greeter")
    calling = start(mode=mode, TELEMETRY_INSTRUMENT="requests")
    assert calling.get(f"/calls/requests?port={called.port}")[0] == 200
    calling.stop()
    called.stop()
    (query,) = (s for s in console.store.spans() if s.name == "SELECT")
    spans = lineage(console, query)
    assert services_of(spans) == ["user-api", "user-api", "greeter", "greeter"]
    assert [span.kind for span in spans] == ["server", "client", "server", "client"]
    assert [span.name for span in spans] == ["GET /calls/{library}", "GET", "GET /users", "SELECT"]
    assert len({span.trace_id for span in spans}) == 1


def test_task_of_a_queue(console: Console, start: Start, migrated_sqlite: Path) -> None:
    service = start()
    task = service.get("/enqueue")[2] + b"\n"
    environ = {
        **os.environ,
        **Route("collector", "grpc").env(console),
        "OTEL_SERVICE_NAME": "worker",
        "DATABASE_URL": f"sqlite:///{migrated_sqlite}",
    }
    worker = [sys.executable, "-m", "tests.signals.worker"]
    subprocess.run(worker, cwd=ROOT, env=environ, input=task, check=True, capture_output=True)
    service.stop()
    console.store.wait_for(lambda store: any(s.name == "SELECT" for s in store.spans()), timeout=30)
    (query,) = (span for span in console.store.spans() if span.name == "SELECT")
    spans = lineage(console, query)
    assert services_of(spans) == ["user-api", "user-api", "worker", "worker"]
    assert [span.kind for span in spans] == ["server", "producer", "consumer", "client"]
    assert len({span.trace_id for span in spans}) == 1
