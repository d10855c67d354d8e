"""What TELEMETRY_INSTRUMENT names runs, with propagation, metrics and redaction; nothing else does."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.records import Span
from tests.support.routes import LAZY, Route
from tests.support.service import ROOT, Service, wait_until

Start = Callable[..., Service]
DURATION = "http.client.request.duration"


def spans_by_kind(console: Console) -> dict[str, Span]:
    """The call's spans: of the request that makes it, of the call, and of the request that answers it."""
    server = {s.attributes["http.route"]: s for s in console.store.spans() if s.kind == "server"}
    (client,) = (s for s in console.store.spans() if s.kind == "client" and "db.system.name" not in s.attributes)
    return {"outer": server["/calls/{library}"], "call": client, "inner": server["/users"]}


@pytest.mark.parametrize(
    ("mode", "library"), [("collector", "requests"), ("direct", "urllib3"), ("collector", "httpx")]
)
def test_outgoing_call_carries_the_trace_on(console: Console, start: Start, mode: str, library: str) -> None:
    service = start(mode=mode, TELEMETRY_INSTRUMENT="requests,urllib3,httpx")
    assert service.get(f"/calls/{library}")[0] == 200
    scraped = service.get("/metrics")[2].decode() if mode == "direct" else ""
    service.stop()
    found = spans_by_kind(console)
    outer, call, inner = found["outer"], found["call"], found["inner"]
    assert call.scope.name == f"opentelemetry.instrumentation.{library}"
    assert call.scope.version
    assert {span.trace_id for span in found.values()} == {outer.trace_id}
    assert (call.parent_span_id, inner.parent_span_id) == (outer.span_id, call.span_id)
    assert call.name == "GET"
    assert call.attributes["http.response.status_code"] == 200
    assert call.attributes["url.full"] == f"http://127.0.0.1:{service.port}/users?***"
    assert "alice" not in str([span.attributes for span in console.store.spans()])
    attributes = {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": service.port,
    }
    if mode == "collector":
        ((series, points),) = console.store.series(DURATION, points=1)
        assert (dict(series.attributes), points[0].decode().data["count"]) == (attributes, 1)
    else:
        family = {each.name: each for each in parse_text(scraped)}[f"{DURATION.replace('.', '_')}_seconds"]
        (count,) = (sample for sample in family.samples if sample.name.endswith("_count"))
        expected = {key.replace(".", "_"): str(value) for key, value in attributes.items()}
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


def test_cache_is_a_span_without_its_keys(console: Console, start: Start) -> None:
    with ThreadingTCPServer(("127.0.0.1", 0), RedisHandler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        service = start(TELEMETRY_INSTRUMENT="redis")
        assert service.get(f"/calls/redis?port={port}")[2] == b"value"
        service.stop()
        server.shutdown()
    (outer,) = (span for span in console.store.spans() if span.kind == "server")
    (call,) = (s for s in console.store.spans() if s.scope.name == "opentelemetry.instrumentation.redis")
    assert (call.name, call.kind, call.trace_id, call.parent_span_id) == (
        "GET",
        "client",
        outer.trace_id,
        outer.span_id,
    )
    assert "alice" not in str([span.attributes for span in console.store.spans()])


def test_task_of_celery_goes_on_with_the_trace(console: Console, start: Start, tmp_path: Path) -> None:
    """In a worker with a process for its tasks, which takes them from files."""
    shared = {"TELEMETRY_INSTRUMENT": "celery", "CELERY_FOLDER": str(tmp_path)}
    service = start(**shared)
    assert service.get("/calls/celery")[0] == 200
    service.stop()
    route = {**Route("collector", "grpc").env(console), **LAZY, "DJANGO_SETTINGS_MODULE": "tests.signals.settings"}
    command = [sys.executable, "-m", "celery", "-A", "tests.signals.celery_app", "worker", "--concurrency=1"]
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **route, **shared}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until((tmp_path / "done").exists, 60, "the task's end")
        finally:
            worker.terminate()
            worker.wait(60)
    console.store.wait_for(lambda _: len(celery_spans(console)) == 2, timeout=60)
    (outer,) = (span for span in console.store.spans() if span.kind == "server")
    sent, run = celery_spans(console)
    assert [(span.name, span.kind) for span in (sent, run)] == [
        ("apply_async/sell", "producer"),
        ("run/sell", "consumer"),
    ]
    assert {span.trace_id for span in (sent, run)} == {outer.trace_id}
    assert (sent.parent_span_id, run.parent_span_id) == (outer.span_id, sent.span_id)
    (record,) = (record for record in console.store.logs() if record.body == "sold")
    assert (record.trace_id, record.span_id) == (run.trace_id, run.span_id)
    assert "alice" not in str([span.attributes for span in console.store.spans()])


def celery_spans(console: Console) -> list[Span]:
    """The spans of tasks, the sender's first."""
    found = [s for s in console.store.spans() if s.scope.name == "opentelemetry.instrumentation.celery"]
    return sorted(found, key=lambda span: span.start_ns)


def test_nothing_else_is_instrumented(console: Console, start: Start) -> None:
    """What is installed but not named stays as it is."""
    service = start()
    assert service.get("/calls/requests")[0] == 200
    service.stop()
    spans = [span for span in console.store.spans() if span.kind == "server"]
    assert len({span.trace_id for span in spans}) == len(spans) == 2
    assert not [span for span in console.store.spans() if "url.full" in span.attributes]


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
