"""An ordinary run that is over: what it said, sent and left, by what its receiver has and what it answered."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from telemetry.tools.console.server import Console
from tests.lifecycle.checks import assert_metrics_are_not_found, assert_nothing_is_left
from tests.support.routes import LAZY, Route, expect, send
from tests.support.service import NO_PRELOAD, Service, wait_until

REQUESTS = 30


class Ordinary(NamedTuple):
    """A run that is over, with its receiver, its exporter and its folder, and what `/metrics` answered.

    `nice` are the exporter's nice value and that of its group, None where the system groups no sessions.
    """

    service: Service
    console: Console
    exporter: psutil.Process
    folder: Path
    metrics: tuple[int, dict[str, str], bytes]
    nice: tuple[int, int | None]


@pytest.fixture(scope="module")
def ordinary(share_service: Callable[..., Service]) -> Iterator[Ordinary]:
    """Two workers in collector mode: probes, a search and further requests; all is sent at SIGTERM."""
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        service = share_service("--workers=2", NO_PRELOAD, **Route("collector", "grpc").env(console), **LAZY)
        for path in ("/livez", "/readyz"):
            service.get(path)
        service.get("/livez", Host="10.1.2.3")  # a probe comes with the address of the pod
        metrics = service.get("/metrics")
        service.get("/users?search=someone")
        send(service, REQUESTS - 1)
        wait_until(lambda: service.output.count("Starting user-api server") == 2, what="both workers")
        status = wait_until(service.status, 60, "the exporter's status")
        assert status
        exporter = psutil.Process(status["pid"])
        group = Path(f"/proc/{exporter.pid}/autogroup")
        nice = exporter.nice(), int(group.read_text().split()[-1]) if group.exists() else None
        service.stop()
        yield Ordinary(service, console, exporter, Path(status["directory"]), metrics, nice)


def test_stop_delivers_all_but_probes_and_scrapes(ordinary: Ordinary) -> None:
    """Over gRPC; test_foreign_receiver has HTTP."""
    expect(ordinary.console, "collector", REQUESTS)
    routes = {span.attributes["http.route"] for span in ordinary.console.store.spans() if span.kind == "server"}
    assert routes == {"/users", "/users/{id}"}


def test_stop_leaves_nothing_behind(ordinary: Ordinary) -> None:
    assert_nothing_is_left(ordinary.exporter, ordinary.folder)


def test_start_announces_each_worker_first(ordinary: Ordinary) -> None:
    console = ordinary.console
    lines = [json.loads(line) for line in ordinary.service.output.splitlines() if line.startswith("{")]
    starts = [line for line in lines if line["body"] == "Starting user-api server"]
    assert lines[0] in starts
    assert {start["attributes"]["worker.slot"] for start in starts} == {0, 1}
    assert starts[0]["attributes"]["telemetry.mode"] == "collector"
    assert starts[0]["attributes"]["service.version"] == "0.1.0"
    assert starts[0]["attributes"]["telemetry.traces"].endswith(f"127.0.0.1:{console.grpc_port}")
    received = [record.body for record in console.store.logs()]
    assert received.count("Starting user-api server") == 2


def test_exporter_has_less_weight_than_the_service(ordinary: Ordinary) -> None:
    own, of_its_group = ordinary.nice
    assert own > os.nice(0)
    if of_its_group is not None:  # its own nice value counts within the group only
        assert of_its_group == own


def test_access_record_is_written_inside_its_trace(ordinary: Ordinary) -> None:
    store = ordinary.console.store
    accesses = (record for record in store.logs() if record.scope.name == "userapi.access")
    record = min(accesses, key=lambda record: record.time_ns)
    span = min((span for span in store.spans() if span.kind == "server"), key=lambda span: span.start_ns)
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    assert record.body == "GET /users 200"
    assert record.severity == "INFO"
    assert record.attributes["http.route"] == "/users"
    assert record.attributes["http.server.request.duration"] > 0


def test_metrics_are_not_found_in_collector_mode(ordinary: Ordinary) -> None:
    assert_metrics_are_not_found(ordinary.metrics)
