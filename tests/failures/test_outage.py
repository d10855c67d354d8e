"""The log has one line when a backend goes away and one when it is back, whatever lies between."""

import logging
import re

import pytest

from telemetry.answers import Answer
from telemetry.compare.faults_proxy import Fault, FaultProxy
from telemetry.console.faults import Faults
from telemetry.console.server import Console
from telemetry.delivery import Delivery
from telemetry.outage import Outage, without_credentials
from tests.failures.conftest import SHORT, StartSender
from tests.support.service import free_port, wait_until


def lines(caplog: pytest.LogCaptureFixture, signal: str = "traces") -> list[str]:
    """Return our own lines about a signal."""
    return [
        f"{record.levelname} {record.getMessage()}"
        for record in caplog.records
        if record.name == "telemetry.outage" and record.getMessage().startswith(signal)
    ]


@pytest.fixture(autouse=True)
def _level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "telemetry.outage")


def test_outage_is_told_once_and_its_end_once(
    proxy: FaultProxy, start_sender: StartSender, caplog: pytest.LogCaptureFixture
) -> None:
    sender = start_sender(proxy.port, OTEL_EXPORTER_OTLP_TIMEOUT=SHORT)
    sender.send_and_flush(3)
    assert lines(caplog) == []
    proxy.fault = Fault("refuse")
    for _ in range(4):
        sender.send_and_flush(5)
    (warning,) = lines(caplog)
    # The cause is in the library's own words: "Connection refused", "Connection reset" and "Broken pipe" were all seen.
    assert re.fullmatch(
        rf"WARNING traces to http://127.0.0.1:{proxy.port}\S*: "
        r"(unavailable: \S.*; check that it is up, .*port.*|timeout: \S.*; check that it is up and fast enough.*)",
        warning,
    )
    proxy.fault = Fault()
    for _ in range(20):  # gRPC waits longer between its connections, the longer the outage
        sender.send_and_flush(3)
        if sender.delivery("traces").accepted > 3 and sender.delivery("logs").accepted > 3:
            break
    sender.send_and_flush(3)
    for signal, items in (("traces", "spans"), ("logs", "log records")):
        dropped = sender.delivery(signal).lost
        assert dropped >= 20
        _, back = lines(caplog, signal)
        assert re.fullmatch(
            rf"INFO {signal} to http://127\S+: delivered again after \d+ s, {dropped} {items} dropped", back
        )


@pytest.mark.parametrize(
    "advice",
    [
        (401, "OTEL_EXPORTER_OTLP_HEADERS"),
        (404, "check "),
        (413, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        (500, "see the backend's own log"),
    ],
)
def test_outage_says_what_to_check(
    console: Console,
    receiver_port: int,
    start_sender: StartSender,
    caplog: pytest.LogCaptureFixture,
    advice: tuple[int, str],
) -> None:
    status, words = advice
    console.receiver.faults = Faults(status=status)
    start_sender(receiver_port).send_and_flush(1)
    (warning,) = lines(caplog)
    assert words in warning


def test_outage_of_rejections_is_told_once(
    console: Console, receiver_port: int, start_sender: StartSender, caplog: pytest.LogCaptureFixture
) -> None:
    sender = start_sender(receiver_port)
    for reject in (1, 0, 1, 0, 1):
        console.receiver.faults = Faults(partial_reject=reject)
        sender.send_and_flush(5)
    (warning,) = lines(caplog)
    assert "rejects some spans: " in warning


def test_outage_of_a_full_queue_is_told_once(
    console: Console, receiver_port: int, start_sender: StartSender, caplog: pytest.LogCaptureFixture
) -> None:
    console.receiver.faults = Faults(delay=0.2)
    sender = start_sender(receiver_port, OTEL_BSP_MAX_QUEUE_SIZE="4", OTEL_BLRP_MAX_QUEUE_SIZE="4")
    for _ in range(4):
        sender.send_and_flush(50)
    (warning,) = lines(caplog)
    assert "queue_full" in warning
    assert "OTEL_BSP_MAX_QUEUE_SIZE" in warning


def test_outage_is_told_while_the_first_batch_is_still_retried(
    start_sender: StartSender, caplog: pytest.LogCaptureFixture
) -> None:
    sender = start_sender(free_port(), OTEL_EXPORTER_OTLP_TIMEOUT="30000", OTEL_BSP_SCHEDULE_DELAY="50")
    sender.send(1)
    wait_until(lambda: lines(caplog), 12)
    assert sender.delivery().in_flight == 1
    assert len(lines(caplog)) == 1


def test_outage_at_a_stop_is_left_to_its_line(start_sender: StartSender, caplog: pytest.LogCaptureFixture) -> None:
    sender = start_sender(free_port(), OTEL_EXPORTER_OTLP_TIMEOUT=SHORT)
    sender.send(5)
    sender.pipeline.shutdown(2.0)
    assert sender.pipeline.dropped() == {"traces": 5, "logs": 5}
    assert lines(caplog) == []


def test_outage_of_one_kind_after_another_is_one(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    outage = Outage("traces", "http://user:secret@host:1/?key=secret", lambda: now[0])
    outage.trouble(Answer("unavailable", "gone"), 0.0, 0)
    outage.trouble(Answer("timeout", "slow"), 1.0, 10)
    outage.overflow(20)
    now[0] = 3600.0
    outage.delivered(500)
    outage.delivered(500)
    assert lines(caplog) == [
        "WARNING traces to http://host:1/: unavailable: gone; ",
        "INFO traces to http://host:1/: delivered again after 3600 s, 500 spans dropped",
    ]


def test_outage_ends_with_what_overflowed_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    delivery = Delivery("traces", "http://host:1")

    def export(answer: Answer, overflows: int = 0) -> None:
        def send() -> bool:
            for _ in range(overflows):
                delivery._overflowed()
            delivery.answered(answer)
            return answer.reason is None

        delivery.attempt(1, send, True, lambda: 0)

    export(Answer("unavailable", "gone"))
    export(Answer(), overflows=3)
    export(Answer())
    assert lines(caplog) == [
        "WARNING traces to http://host:1: unavailable: gone; ",
        "INFO traces to http://host:1: delivered again after 0 s, 4 spans dropped",
    ]


def test_outage_of_rejections_ends_after_a_quiet_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    outage = Outage("logs", "http://host:1", lambda: now[0])
    outage.trouble(Answer(rejected=2, detail="too long"), 0.0, 0)
    now[0] = 50.0
    outage.delivered(2)
    outage.trouble(Answer(rejected=1), 50.0, 2)
    now[0] = 100.0
    outage.delivered(3)
    assert len(lines(caplog, "logs")) == 1
    now[0] = 111.0
    outage.delivered(3)
    assert lines(caplog, "logs")[1] == "INFO logs to http://host:1: delivered again after 111 s, 3 log records dropped"


@pytest.mark.parametrize(
    ("destination", "shown"),
    [
        ("http://host:4317", "http://host:4317"),
        ("https://user:pass@host:4318/v1/traces?token=x#y", "https://host:4318/v1/traces"),
        ("http://[::1]:4317", "http://[::1]:4317"),
    ],
)
def test_outage_shows_no_credentials(destination: str, shown: str) -> None:
    assert without_credentials(destination) == shown
