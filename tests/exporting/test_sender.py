"""When requests are sent, how large they are, and how long a backend is left alone."""

import logging
import threading
from collections.abc import Callable
from itertools import pairwise
from time import monotonic
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from telemetry.exporting.encoding import RequestBuilder
from telemetry.exporting.sending.delivery import Delivery
from telemetry.exporting.sending.sender import Sender
from telemetry.exporting.transports import Answer
from telemetry.logs import OTLPHandler, senders
from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from tests.exporting.conftest import SCOPE, Line, StartLine, encoded
from tests.exporting.test_transports import grpc_backend
from tests.support.service import wait_until

GRPC = pytest.mark.parametrize("protocol", ["grpc"], indirect=True)


class Recorder:
    """A transport that notes when its requests began, by their deadlines, and answers as the test says."""

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[tuple[float, int]] = []
        self._answers = list(answers)

    def send(self, data: bytes, deadline: float) -> Answer:
        assert deadline > monotonic()
        request = ExportTraceServiceRequest.FromString(data)
        self.requests.append((deadline, sum(len(g.spans) for r in request.resource_spans for g in r.scope_spans)))
        return self._answers.pop(0) if self._answers else Answer()

    def close(self) -> None:
        pass

    @property
    def pauses(self) -> list[float]:
        times = [time for time, _ in self.requests]
        return [after - before for before, after in pairwise(times)]


def start(line: Line, transport: Any, **options: Any) -> Line:
    """Return a line of its own with the spool of `line`, which must be idle."""
    line.stop(1.0)
    given: dict[str, Any] = {"timeout": 10.0, "schedule_delay": 0.01, "max_items": 512} | options
    sender = Sender(line.spool, transport, Delivery("traces", "http://host:1", "grpc"), **given)
    sender.start()
    return Line(line.spool, sender, [])


@pytest.fixture
def holds(idle: Line, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the sender is going to wait after each failure, when it has the spool write what waits to the disk."""
    found: list[float] = []

    def note() -> None:
        sender = threading.current_thread()
        assert isinstance(sender, Sender)
        found.append(sender._hold - monotonic())

    monkeypatch.setattr(idle.spool, "sync", note)
    return found


@pytest.fixture
def idle(start_line: StartLine) -> Line:
    return start_line(1)


@GRPC
def test_sender_keeps_the_schedule(idle: Line) -> None:
    """One request for what came meanwhile, at most one each delay."""
    transport = Recorder()
    line = start(idle, transport, schedule_delay=0.5)
    while len(transport.requests) < 5:
        line.send(1)
        threading.Event().wait(0.05)
    line.settle()
    line.stop(5.0)
    assert all(pause > 0.49 for pause in transport.pauses)
    assert sum(items for _, items in transport.requests) == line.sent


@GRPC
def test_sender_sends_the_first_at_once(idle: Line) -> None:
    transport = Recorder()
    line = start(idle, transport, schedule_delay=60.0)
    line.send(1)
    line.settle(30)
    line.stop(5.0)
    assert len(transport.requests) == 1


@GRPC
def test_sender_sends_full_batches_at_once(idle: Line) -> None:
    transport = Recorder()
    line = start(idle, transport, schedule_delay=60.0, max_items=50)
    for _ in range(20):
        line.send(25)
    wait_until(lambda: sum(items for _, items in transport.requests) >= 475)
    line.stop(5.0)
    assert sum(items for _, items in transport.requests) == 500
    assert max(items for _, items in transport.requests) == 50


@GRPC
def test_sender_backs_off_exponentially(idle: Line, holds: list[float]) -> None:
    failed = Answer("unavailable", "gone", retryable=True)
    transport = Recorder(*[failed] * 6)
    line = start(idle, transport, first_retry=0.1, longest_retry=0.8)
    line.send(1)
    line.settle()
    line.stop(5.0)
    expected = [0.1, 0.2, 0.4, 0.8, 0.8, 0.8]
    assert all(pause >= 0.8 * least for pause, least in zip(transport.pauses, expected, strict=True))
    assert all(hold <= 1.2 * most for hold, most in zip(holds, expected, strict=True))


@GRPC
def test_sender_begins_anew_after_a_success(idle: Line, holds: list[float]) -> None:
    failed = Answer("timeout", "slow", retryable=True)
    transport = Recorder(failed, failed, failed, failed, Answer(), failed)
    line = start(idle, transport, first_retry=0.05, longest_retry=60.0)
    line.send(1)
    line.settle()
    line.send(1)
    line.settle()
    line.stop(5.0)
    assert holds[-1] < 0.3 < 0.8 * sum(transport.pauses[:4])


@GRPC
def test_sender_does_as_the_backend_asks(idle: Line) -> None:
    """Its own back-off would be another."""
    transport = Recorder(Answer("unavailable", "later", retryable=True, retry_after=0.6))
    line = start(idle, transport, first_retry=0.2)
    line.send(1)
    line.settle()
    line.stop(5.0)
    assert transport.pauses[0] >= 0.6


@GRPC
@pytest.mark.parametrize("asked", [0.0, -5.0, 0.01, float("nan")])
def test_sender_pauses_even_if_the_backend_asks_for_no_pause(idle: Line, asked: float) -> None:
    """A Retry-After of zero, or a date that is over, is no reason to send as fast as one can."""
    failed = Answer("unavailable", "now", retryable=True, retry_after=asked)
    transport = Recorder(*[failed] * 4)
    line = start(idle, transport, first_retry=0.1, longest_retry=0.4)
    line.send(1)
    line.settle()
    line.stop(5.0)
    assert all(pause >= 0.8 * least for pause, least in zip(transport.pauses, [0.1, 0.2, 0.4, 0.4], strict=True))


@GRPC
def test_sender_is_not_held_for_more_than_a_minute(idle: Line) -> None:
    transport = Recorder(Answer("unavailable", "later", retryable=True, retry_after=86400.0))
    line = start(idle, transport)
    line.send(1)
    wait_until(lambda: line.sender._hold)
    assert 50 < line.sender._hold - monotonic() <= 60
    line.stop(0.0)


def test_sender_retry_after_does_not_hold_a_stop(console: Console, receiver_port: int, start_line: StartLine) -> None:
    console.receiver.faults = Faults(status=503, retry_after=50)
    line = start_line(receiver_port)
    line.send(5)
    wait_until(lambda: line.sender._hold)
    console.receiver.faults = Faults()
    started = monotonic()
    assert line.stop(40.0) == (0, 0)
    assert monotonic() - started < 30
    line.check(accepted=5)


@GRPC
def test_sender_goes_on_after_an_error_of_its_own(idle: Line, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Recorder):
        def send(self, data: bytes, deadline: float) -> Answer:
            if not self.requests:
                self.requests.append((monotonic(), 0))
                raise RuntimeError("broken")
            return super().send(data, deadline)

    transport = Broken()
    line = start(idle, transport, first_retry=0.05)
    line.send(3)
    line.settle()
    line.stop(5.0)
    (failed, _), (deadline, items) = transport.requests
    assert items == line.delivery.accepted == 3
    assert deadline - 10.0 - failed > 0.03  # it waits as after any failure
    assert [record.levelname for record in caplog.records if "a request failed" in record.getMessage()] == ["ERROR"]


@GRPC
def test_sender_counts_what_finds_no_room_after_a_failure(start_line: StartLine) -> None:
    class Meanwhile(Recorder):
        def send(self, data: bytes, deadline: float) -> Answer:
            if not self.requests:
                line.send(4)
            return super().send(data, deadline)

    line = start(start_line(1, max_waiting=5), Meanwhile(Answer("unavailable", retryable=True)), first_retry=0.05)
    line.send(3)
    line.settle()
    assert (line.delivery.accepted, +line.delivery.losses) == (4, {"queue_full": 3})


@GRPC
def test_sender_counts_an_answer_after_its_stop_no_more(idle: Line) -> None:
    begun, ended = threading.Event(), threading.Event()

    class Late(Recorder):
        def send(self, data: bytes, deadline: float) -> Answer:
            begun.set()
            ended.wait(60)
            return super().send(data, deadline)

    line = start(idle, Late(), timeout=60.0)
    line.send(3)
    assert begun.wait(60)
    assert line.stop(0.0).dropped == 3
    ended.set()
    line.sender.join()
    assert (line.delivery.accepted, +line.delivery.losses) == (0, {"already_shutdown": 3})


@GRPC
def test_sender_stays_below_the_limit_of_grpc(start_line: StartLine) -> None:
    """A server takes 4 MiB by default, however large spans are and however many wait."""
    seen: list[int] = []

    def export(request: Any, _: Any) -> Any:
        seen.append(request.ByteSize())
        return ExportTraceServiceResponse()

    with grpc_backend(export) as port:
        line = start_line(port, max_bytes=64 << 20, schedule_delay=0.01)
        builder, items = RequestBuilder("traces", {"service.name": "x"}), 0
        for number in range(1, 401):  # 12 MB in all
            builder.add(SCOPE, encoded("traces", number, 30_000))
            if builder.size >= 1 << 20 or number == 400:
                line.spool.append(builder.build(), builder.items)
                items += builder.items
                builder = RequestBuilder("traces", {"service.name": "x"})
        assert line.spool.publish() == []
        line.sent = items
        line.settle()
        line.check(accepted=400)
    assert sum(seen) > 12_000_000
    assert max(seen) < 2 << 20


def test_sender_retries_send_the_same_bytes(
    console: Console, receiver_port: int, start_line: StartLine, refuse_first: Callable[[int, float | None], None]
) -> None:
    refuse_first(2, 0.05)
    line = start_line(receiver_port)
    line.send(5)
    line.settle()
    line.check(accepted=5)
    assert line.delivery.retries == 2
    assert len(console.store.spans()) == 5


def test_sender_status(console: Console, receiver_port: int, start_line: StartLine) -> None:
    console.receiver.faults = Faults(status=503)
    line = start_line(receiver_port, max_waiting=100, first_retry=60.0, longest_retry=60.0)
    line.send(5)
    wait_until(lambda: line.sender._hold)
    line.send(2)
    status = line.sender.status()
    assert (status["queue"], status["in_flight"], status["capacity"], status["failing"]) == (7, 0, 100, True)
    assert (status["spool"]["bytes"], status["spool"]["limit"]) == (2 * 4096, 16 << 20)
    assert status["last_error"]["reason"] == "unavailable"
    assert status["destination"].startswith(f"http://127.0.0.1:{receiver_port}")


@GRPC
def test_sender_status_has_what_is_about_to_be_sent(idle: Line) -> None:
    idle.stop(1.0)
    idle.send(5)
    idle.spool.take(9, 1000)
    status = idle.sender.status()
    assert (status["queue"], status["in_flight"]) == (0, 5)


class Received:
    def __init__(self) -> None:
        self.names: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.names.append(record.name)


def test_what_is_logged_of_a_request_causes_no_next_one(
    start_line: StartLine, receiver_port: int, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the exporter is a thread of a service whose root logger is at DEBUG."""
    received, handler = Received(), OTLPHandler()
    caplog.set_level(logging.DEBUG)
    OTLPHandler.connect(received)
    logging.root.addHandler(handler)
    try:
        line = start_line(receiver_port, "logs")
        line.send(3)
        line.settle()
        wait_until(lambda: "export logs: 3 items" in caplog.text)
        if protocol != "grpc":
            assert "POST /v1/logs" in caplog.text
        assert not [name for name in received.names if name.startswith(("urllib3", "grpc", "telemetry.exporting"))]
        outage = {"name": "telemetry.exporting.sending.outage", "levelno": logging.WARNING, "thread": line.sender.ident}
        handler.handle(logging.makeLogRecord(outage))
        logging.getLogger("urllib3.connectionpool").debug("of the service itself")
        assert {outage["name"], "urllib3.connectionpool"} <= set(received.names)
        line.stop(5.0)
        assert line.sender.ident not in senders
    finally:
        logging.root.removeHandler(handler)
        OTLPHandler.connect(None)
