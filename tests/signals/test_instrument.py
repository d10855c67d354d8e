"""What TELEMETRY_INSTRUMENT names runs, with propagation, metrics and redaction; nothing else does."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.records import Span
from tests.signals.visit import Part, Requests, Visit, environment, visited
from tests.support.service import ROOT, Service, wait_until

Start = Callable[..., Service]
DURATION = "http.client.request.duration"


Calls = tuple[Visit, Console, Path]


def call(library: str) -> Requests:
    """Have the service call itself with this library."""

    def requests(service: Service) -> None:
        assert service.get(f"/calls/{library}")[0] == 200

    return requests


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Calls]:
    """A visit with a call of each library, its receiver, and the folder of the queue."""
    folder = tmp_path_factory.mktemp("calls")
    parts = {library: call(library) for library in ("requests", "httpx", "celery")} | {"redis": ask_redis}
    env = {"TELEMETRY_INSTRUMENT": "requests,urllib3,httpx,redis,celery", "CELERY_FOLDER": str(folder)}
    with visited(folder, migrated_sqlite, parts, **env) as (visit, console):
        yield visit, console, folder


def check_call(spans: list[Span], library: str, port: int) -> None:
    """Check the spans of the request that makes a call, of the call, and of the request that answers it."""
    server = {s.attributes["http.route"]: s for s in spans if s.kind == "server"}
    outer, inner = server["/calls/{library}"], server["/users"]
    (call,) = (s for s in spans if s.kind == "client" and "db.system.name" not in s.attributes)
    assert call.scope.name == f"opentelemetry.instrumentation.{library}"
    assert call.scope.version
    assert outer.trace_id == call.trace_id == inner.trace_id
    assert (call.parent_span_id, inner.parent_span_id) == (outer.span_id, call.span_id)
    assert call.name == "GET"
    assert call.attributes["http.response.status_code"] == 200
    assert call.attributes["url.full"] == f"http://127.0.0.1:{port}/users?***"
    assert "alice" not in str([span.attributes for span in spans])


def measured(port: int) -> dict[str, Any]:
    """Return the attributes of a call's duration."""
    return {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": port,
    }


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_outgoing_call_carries_the_trace_on(calls: Calls, library: str) -> None:
    visit, _, _ = calls
    check_call(visit.parts[library].spans(), library, visit.service.port)


def test_outgoing_calls_are_measured(calls: Calls) -> None:
    visit, _, _ = calls
    found = visit.store.series(DURATION, points=1)
    assert [dict(series.attributes) for series, _ in found] == [measured(visit.service.port)] * len(found)
    assert sum(points[0].decode().data["count"] for _, points in found) == 2


def test_outgoing_call_carries_the_trace_on_in_direct_mode(visit: Callable[[str], Visit]) -> None:
    part = visit("direct").parts["call"]
    port = part.service.port
    check_call(part.spans(), "urllib3", port)
    family = {each.name: each for each in parse_text(part.result)}[f"{DURATION.replace('.', '_')}_seconds"]
    (count,) = (sample for sample in family.samples if sample.name.endswith("_count"))
    expected = {key.replace(".", "_"): str(value) for key, value in measured(port).items()}
    assert expected.items() <= count.labels.items()
    assert count.value == 1


class RedisHandler(StreamRequestHandler):
    """Answers in Redis' protocol: any GET with a value, all else with OK."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                words.append(self.rfile.read(int(self.rfile.readline()[1:])))
                self.rfile.readline()
            self.wfile.write(b"$5\r\nvalue\r\n" if words[0] == b"GET" else b"+OK\r\n")


def ask_redis(service: Service) -> None:
    with ThreadingTCPServer(("127.0.0.1", 0), RedisHandler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        assert service.get(f"/calls/redis?port={server.server_address[1]}")[2] == b"value"
        server.shutdown()


def test_cache_is_a_span_without_its_keys(calls: Calls) -> None:
    visit, _, _ = calls
    spans = visit.parts["redis"].spans()
    (outer,) = (span for span in spans if span.kind == "server")
    (call,) = (s for s in spans if s.scope.name == "opentelemetry.instrumentation.redis")
    assert (call.name, call.kind, call.trace_id, call.parent_span_id) == (
        "GET",
        "client",
        outer.trace_id,
        outer.span_id,
    )
    assert "alice" not in str([span.attributes for span in spans])


def test_task_of_celery_goes_on_with_the_trace(calls: Calls) -> None:
    """In a worker with a process for its tasks, which takes them from files."""
    visit, console, folder = calls
    part = visit.parts["celery"]
    env = {**environment(console), "TELEMETRY_INSTRUMENT": "celery", "CELERY_FOLDER": str(folder)}
    env["TELEMETRY_FLUSH_TIMEOUT"] = "15"  # as the service of the tests
    command = [sys.executable, "-m", "celery", "-A", "tests.signals.celery_app", "worker", "--concurrency=1"]
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **env}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until((folder / "done").exists, 60, "the task's end")
        finally:
            worker.terminate()
            worker.wait(60)
    # Each signal comes by a request of its own.
    console.store.wait_for(
        lambda _: len(celery_spans(part)) == 2 and any(each.body == "sold" for each in part.logs()), timeout=60
    )
    (outer,) = (span for span in part.spans() if span.kind == "server")
    sent, run = celery_spans(part)
    assert [(span.name, span.kind) for span in (sent, run)] == [
        ("apply_async/sell", "producer"),
        ("run/sell", "consumer"),
    ]
    assert {span.trace_id for span in (sent, run)} == {outer.trace_id}
    assert (sent.parent_span_id, run.parent_span_id) == (outer.span_id, sent.span_id)
    (record,) = (record for record in part.logs() if record.body == "sold")
    assert (record.trace_id, record.span_id) == (run.trace_id, run.span_id)
    assert "alice" not in str([span.attributes for span in part.spans()])


def celery_spans(part: Part) -> list[Span]:
    """The spans of tasks, the sender's first."""
    found = [s for s in part.spans() if s.scope.name == "opentelemetry.instrumentation.celery"]
    return sorted(found, key=lambda span: span.start_ns)


def test_nothing_else_is_instrumented(visit: Callable[[str], Visit]) -> None:
    """What is installed but not named stays as it is."""
    part = visit("collector").parts["call"]
    assert part.result[0] == 200
    spans = [span for span in part.spans() if span.kind == "server"]
    assert len({span.trace_id for span in spans}) == len(spans) == 2
    assert not [span for span in visit("collector").store.spans() if "url.full" in span.attributes]


def test_delivery_is_not_traced(console: Console, start: Start) -> None:
    """An exporter that is a thread sends with the library that is instrumented."""
    service = start(
        TELEMETRY_INSTRUMENT="urllib3",
        TELEMETRY_EXPORTER="thread",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{console.http_port}",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_BSP_SCHEDULE_DELAY="50",
    )
    assert service.get("/calls/urllib3")[0] == 200
    console.store.wait_for(lambda _: len(list(console.store.spans())) >= 3, timeout=30)
    assert service.get("/calls/urllib3")[0] == 200
    service.stop()
    calls = [span for span in console.store.spans() if span.scope.name.endswith("urllib3")]
    assert [span.attributes["url.full"] for span in calls] == [f"http://127.0.0.1:{service.port}/users?***"] * 2
