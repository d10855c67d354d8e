"""The log has one line when a backend is in trouble and one when it is back, whatever lies between."""

import re
from collections.abc import Callable
from time import monotonic

import pytest

from telemetry.exporting.sending import delivery as delivery_module
from telemetry.exporting.sending.delivery import Delivery
from telemetry.exporting.sending.outage import Outage, without_credentials
from telemetry.exporting.transports import Answer
from telemetry.journal.spool import Evicted
from telemetry.tools.compare.setups.faults_proxy import FaultProxy
from telemetry.tools.compare.setups.faulty_connection import Fault
from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from tests.exporting.conftest import StartLine
from tests.support.service import free_port, wait_until

Lines = Callable[[], list[str]]


def test_outage_is_logged_once_and_its_end_once(proxy: FaultProxy, start_line: StartLine, lines: Lines) -> None:
    line = start_line(proxy.port, timeout=5.0)
    line.send(3)
    line.settle()
    assert lines() == []
    proxy.fault = Fault("refuse")
    for _ in range(4):
        line.send(5)
    wait_until(lines, 30)
    before = line.delivery.retries
    wait_until(lambda: line.delivery.retries >= before + 3)
    (warning,) = lines()
    # The cause is in the library's own words: "Connection refused", "Connection reset" and "Broken pipe" were all seen.
    assert re.fullmatch(
        rf"WARNING traces to http://127.0.0.1:{proxy.port}\S*: unavailable: \S.*; check that it is up, .*port.*",
        warning,
    )
    proxy.fault = Fault()
    line.settle()
    _, back = lines()
    assert re.fullmatch(r"INFO traces to http://127\S+: delivered again after \d+ s, 0 spans dropped", back)


def test_outage_that_is_over_at_once_is_not_logged(
    receiver_port: int,
    start_line: StartLine,
    refuse_first: Callable[[int, float | None], None],
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery_module, "_TROUBLE_SECONDS", 60.0)
    refuse_first(2, 0.05)
    line = start_line(receiver_port)
    line.send(5)
    line.settle()
    assert line.delivery.retries == 2
    assert lines() == []


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
    console: Console, receiver_port: int, start_line: StartLine, lines: Lines, advice: tuple[int, str]
) -> None:
    status, words = advice
    console.receiver.faults = Faults(status=status)
    line = start_line(receiver_port)
    line.send(1)
    line.settle()
    (warning,) = lines()
    assert words in warning


def test_outage_of_rejections_is_logged_once(
    console: Console, receiver_port: int, start_line: StartLine, lines: Lines
) -> None:
    line = start_line(receiver_port)
    for reject in (1, 0, 1, 0, 1):
        console.receiver.faults = Faults(partial_reject=reject)
        line.send(5)
        line.settle()
    (warning,) = lines()
    assert "rejects some spans: " in warning


def test_outage_at_a_stop_is_left_to_its_line(
    start_line: StartLine, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "_TROUBLE_SECONDS", 60.0)
    line = start_line(free_port())
    line.send(5)
    line.sender.hurry(monotonic() + 2.0)
    monkeypatch.setattr(delivery_module, "_TROUBLE_SECONDS", 0.0)
    assert line.stop(2.0).dropped == 5
    assert lines() == []


@pytest.mark.parametrize(
    ("bound", "advice"),
    [
        ("items", "raise OTEL_BSP_MAX_QUEUE_SIZE, or send less"),
        ("bytes", "raise TELEMETRY_SPOOL_BYTES, or send less"),
        ("space", "make room where the spool is, or send less"),
    ],
)
def test_outage_of_a_full_spool_says_what_it_lacks(lines: Lines, bound: str, advice: str) -> None:
    delivery = Delivery("traces", "http://host:1", "grpc")
    for _ in range(3):
        delivery.evicted([Evicted(5, "queue_full", bound)])
    assert lines() == [f"WARNING traces to http://host:1: queue_full: more spans than can be sent; {advice}"]
    assert delivery.losses == {"queue_full": 15}


def test_outage_of_one_kind_after_another_is_one(lines: Lines) -> None:
    now = [0.0]
    outage = Outage("traces", "http://user:secret@host:1/?key=secret", lambda: now[0])
    outage.trouble(Answer("unavailable", "gone"), 0.0, 0)
    outage.trouble(Answer("timeout", "slow"), 1.0, 10)
    outage.overflow("bytes", 20)
    now[0] = 3600.0
    outage.delivered(500)
    outage.delivered(500)
    assert lines() == [
        "WARNING traces to http://host:1/: unavailable: gone; ",
        "INFO traces to http://host:1/: delivered again after 3600 s, 500 spans dropped",
    ]


def test_outage_goes_on_with_the_next_exporter(lines: Lines) -> None:
    """One that is killed meanwhile neither logs the beginning again nor forgets the end."""
    outage = Outage("logs", "http://host:1", lambda: 1000.0)
    outage.trouble(Answer("unavailable", "gone"), 900.0, 5)
    again = Outage("logs", "http://host:1", lambda: 50.0)
    again.restore(outage.state())
    again.trouble(Answer("unavailable", "gone"), 49.0, 7)
    again.delivered(9)
    assert lines()[1:] == ["INFO logs to http://host:1: delivered again after 100 s, 4 log records dropped"]


def test_outage_ends_with_what_was_evicted_meanwhile(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "_TROUBLE_SECONDS", 0.0)
    delivery = Delivery("traces", "http://host:1", "grpc")
    for answer in (Answer("unavailable", "gone", retryable=True), Answer()):
        delivery.begin(1)
        delivery.evicted([Evicted(2, "queue_full", "bytes")] if answer.reason is None else [])
        delivery.answered(1, 10, answer)
    assert lines() == [
        "WARNING traces to http://host:1: unavailable: gone; ",
        "INFO traces to http://host:1: delivered again after 0 s, 2 spans dropped",
    ]


def test_outage_of_rejections_ends_after_a_quiet_minute(lines: Lines) -> None:
    now = [0.0]
    outage = Outage("logs", "http://host:1", lambda: now[0])
    outage.trouble(Answer(rejected=2, detail="too long"), 0.0, 0)
    now[0] = 50.0
    outage.delivered(2)
    outage.trouble(Answer(rejected=1), 50.0, 2)
    now[0] = 100.0
    outage.delivered(3)
    assert len(lines()) == 1
    now[0] = 111.0
    outage.delivered(3)
    assert lines()[1] == "INFO logs to http://host:1: delivered again after 111 s, 3 log records dropped"


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


def test_delivery_is_failing_while_a_request_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = Delivery("traces", "http://host:1", "grpc")
    delivery.begin(1)
    monkeypatch.setattr(delivery_module, "_SUSPICIOUS_SECONDS", 60.0)
    assert not delivery.failing
    monkeypatch.setattr(delivery_module, "_SUSPICIOUS_SECONDS", -1.0)
    assert delivery.failing


def test_delivery_of_metrics_counts_what_is_lost_as_exported() -> None:
    """They have no processor that could count it."""
    measured: list[tuple[str, float, str]] = []
    delivery = Delivery(
        "metrics",
        "http://host:1",
        "grpc",
        lambda instrument, value, attributes: measured.append((instrument[1], value, str(attributes["error.type"]))),
    )
    delivery.evicted([Evicted(3, "queue_full", "bytes")])
    delivery.dropped(4)
    assert measured == [
        ("otel.sdk.exporter.metric_data_point.exported", 3, "queue_full"),
        ("otel.sdk.exporter.metric_data_point.exported", 4, "already_shutdown"),
    ]
