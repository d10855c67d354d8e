"""Every item of the spool is counted once, by what became of it, over both protocols."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from telemetry.config import Signal
from telemetry.exporting.sending.delivery import Delivery
from telemetry.exporting.transports import Answer
from telemetry.journal import spool as spool_module
from telemetry.journal.spool import Spool
from telemetry.tools.compare.setups.faults_proxy import FaultProxy
from telemetry.tools.compare.setups.faulty_connection import Fault
from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from tests.exporting.conftest import Line, StartLine
from tests.support.service import free_port, wait_until

SIGNALS: list[Signal] = ["traces", "logs"]


@pytest.mark.parametrize("signal", SIGNALS)
def test_fates_accepted(console: Console, receiver_port: int, start_line: StartLine, signal: Signal) -> None:
    line = start_line(receiver_port, signal)
    for _ in range(10):
        line.send(120)
    line.settle()
    line.check(accepted=1200)
    assert len(console.store.spans() if signal == "traces" else console.store.logs()) == 1200


def test_fates_rejected(console: Console, receiver_port: int, start_line: StartLine) -> None:
    console.receiver.faults = Faults(partial_reject=3)
    line = start_line(receiver_port)
    for _ in range(2):
        line.send(20)
        line.settle()
    line.check(accepted=34, rejected=6)
    assert len(console.store.spans()) == 34


@pytest.mark.parametrize(("claimed", "rejected"), [(-5, 0), (3, 3), (21, 20), (2**63 - 1, 20)])
def test_fates_rejected_are_no_more_than_were_sent(claimed: int, rejected: int) -> None:
    """Whatever a backend says, no counter goes down, and accepted and rejected are what was sent."""
    measured: list[float] = []
    delivery = Delivery("traces", "http://host:1", "grpc", lambda _, value, __: measured.append(value))
    delivery.begin(20)
    delivery.answered(20, 100, Answer(rejected=claimed))
    assert (delivery.accepted, delivery.losses["rejected"]) == (20 - rejected, rejected)
    assert all(value >= 0 for value in measured)
    assert bool(delivery.status()["last_error"]) == bool(rejected)


def test_fates_of_data_points_at_a_stop_are_the_exporters() -> None:
    """Metrics have no processor that could count them."""
    measured: list[tuple[str, float, object]] = []
    delivery = Delivery(
        "metrics", "http://host:1", "grpc", lambda each, value, of: measured.append((each[1], value, of["error.type"]))
    )
    delivery.dropped(5)
    assert measured == [("otel.sdk.exporter.metric_data_point.exported", 5, "already_shutdown")]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 413, 415, 500, 501])
def test_fates_refused(console: Console, receiver_port: int, start_line: StartLine, status: int) -> None:
    """The specification: not to be sent again."""
    console.receiver.faults = Faults(status=status)
    line = start_line(receiver_port)
    for _ in range(2):
        line.send(20)
        line.settle()
    line.check(refused=40)
    assert line.delivery.retries == 0
    assert line.delivery.failing


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_fates_of_what_is_refused_for_now(
    console: Console, receiver_port: int, start_line: StartLine, status: int
) -> None:
    """It is sent until it is taken; gRPC's form of 429 says when, or else it is a refusal."""
    console.receiver.faults = Faults(status=status, retry_after=0.1)
    line = start_line(receiver_port)
    line.send(20)
    wait_until(lambda: line.delivery.retries >= 3)
    assert (line.delivery.losses.total(), line.delivery.failing) == (0, True)
    console.receiver.faults = Faults()
    line.settle()
    line.check(accepted=20)
    reason = "refused" if status == 429 else "unavailable"
    assert line.points("telemetry.exporter.retries") == {reason: line.delivery.retries}
    assert not line.delivery.failing


def test_fates_absent(console: Console, receiver_port: int, start_line: StartLine) -> None:
    port = free_port()
    line = start_line(port)
    line.send(20)
    wait_until(lambda: line.delivery.retries >= 2)
    with FaultProxy(receiver_port, port=port):
        line.settle()
        line.check(accepted=20)
    assert len(console.store.spans()) == 20


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("refuse"), "unavailable"),
        (Fault("garbage"), "unavailable"),
        (Fault("close_mid_answer"), "unavailable"),
        (Fault("black_hole"), "timeout"),
        (Fault("delay", seconds=30), "timeout"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else value,
)
@pytest.mark.parametrize("connected", [False, True])
def test_fates_on_a_bad_line(
    proxy: FaultProxy, start_line: StartLine, fault: Fault, reason: str, *, connected: bool
) -> None:
    line = start_line(proxy.port, timeout=2.0)
    if connected:
        line.send(5)
        line.settle()
    proxy.fault = fault
    line.send(20)
    wait_until(lambda: line.points("telemetry.exporter.retries").get(reason, 0) >= 1)
    assert line.delivery.losses.total() == 0
    proxy.fault = Fault()
    line.settle()
    line.check(accepted=line.sent)


def test_fates_slow_line(proxy: FaultProxy, start_line: StartLine) -> None:
    proxy.fault = Fault("throttle", bytes_per_second=20_000)
    line = start_line(proxy.port)
    line.send(30)
    line.settle()
    line.check(accepted=30)


def test_fates_flapping_backend(proxy: FaultProxy, start_line: StartLine) -> None:
    line = start_line(proxy.port, timeout=2.0)
    for _ in range(5):
        for fault in (Fault("refuse"), Fault()):
            proxy.fault = fault
            requests = line.count_of_requests()
            line.send(10)
            wait_until(lambda requests=requests: line.count_of_requests() > requests)  # type: ignore[misc]
    line.settle()
    line.check(accepted=100)


def test_fates_outage_longer_than_every_time_out_costs_nothing(proxy: FaultProxy, start_line: StartLine) -> None:
    """Nothing is given up for time alone while the spool has room."""
    proxy.fault = Fault("black_hole")
    line = start_line(proxy.port, timeout=0.2, longest_retry=0.05)
    line.send(20)
    wait_until(lambda: line.delivery.retries >= 15)  # of 0.2 s each
    assert line.delivery.losses.total() == 0
    proxy.fault = Fault()
    line.settle()
    line.check(accepted=20)


def test_fates_full_spool(proxy: FaultProxy, start_line: StartLine) -> None:
    """Of what does not fit, the oldest goes; the rest is delivered in the end."""
    proxy.fault = Fault("refuse")
    line = start_line(proxy.port, max_bytes=10 * 4096)
    for _ in range(50):
        line.send(2)
    wait_until(lambda: line.delivery.retries >= 2)
    assert line.delivery.losses["queue_full"] >= 78
    proxy.fault = Fault()
    line.settle()
    line.check(accepted=line.delivery.accepted, queue_full=line.delivery.losses["queue_full"])
    assert line.delivery.accepted >= 18


def test_fates_bound_of_items(proxy: FaultProxy, start_line: StartLine) -> None:
    proxy.fault = Fault("refuse")
    line = start_line(proxy.port, max_waiting=64)
    for _ in range(50):
        line.send(4)
    wait_until(lambda: line.delivery.retries >= 2)
    # The batch that is being sent does not count until it waits again, as in the SDK's processors.
    assert line.spool.waiting_items <= 64
    proxy.fault = Fault()
    line.settle()
    line.check(accepted=line.delivery.accepted, queue_full=200 - line.delivery.accepted)


def test_fates_dropped_at_stop(proxy: FaultProxy, start_line: StartLine) -> None:
    """What is being sent and what waits, each counted once; late answers change nothing."""
    proxy.fault = Fault("black_hole")
    line = start_line(proxy.port, max_items=10)
    for _ in range(3):
        line.send(10)
    line.send(5)
    wait_until(lambda: line.delivery.in_flight == 10)
    started = monotonic()
    assert line.stop(1.0) == (0, 35)
    assert monotonic() - started < 10
    line.check(already_shutdown=35)
    assert line.points("otel.sdk.exporter.span.exported") == {"already_shutdown": 10}
    line.sender.join(20)
    assert not line.sender.is_alive()
    line.check(already_shutdown=35)
    assert list(Path(line.spool.location).iterdir()) == []


def test_fates_kept_on_a_disk_at_stop(
    proxy: FaultProxy, console: Console, start_line: StartLine, tmp_path: Path
) -> None:
    disk, memory = tmp_path / "disk", tmp_path / "memory"
    disk.mkdir()
    memory.mkdir()

    def spool() -> Spool:
        made = Spool(disk, "traces", max_bytes=16 << 20, fallback=memory)
        made.recover(None)
        return made

    proxy.fault = Fault("refuse")
    line = start_line(proxy.port, spool=spool())
    line.send(20)
    line.send(15)
    started = monotonic()
    assert line.stop(60.0) == (35, 0)
    assert monotonic() - started < 30, "what is kept needs no waiting for the backend"
    assert dict(line.delivery.losses) == {}
    proxy.fault = Fault()
    again = start_line(proxy.port, spool=spool())
    again.sent = 35
    again.settle()
    again.check(accepted=35)
    assert len(console.store.spans()) == 35


def test_fates_delivered_at_stop(console: Console, receiver_port: int, start_line: StartLine) -> None:
    """The schedule does not hold what waits at a stop."""
    line = start_line(receiver_port, schedule_delay=100.0)
    line.send(1)
    line.settle()
    line.send(1200)
    line.send(7)
    assert line.stop(30.0) == (0, 0)
    line.check(accepted=1208)
    assert len(console.store.spans()) == 1208


def test_fates_stop_ends_with_a_dead_backend(start_line: StartLine) -> None:
    line = start_line(free_port())
    line.send(5)
    wait_until(lambda: line.delivery.retries >= 1)
    started = monotonic()
    assert line.stop(1.5) == (0, 5)
    assert monotonic() - started < 15


def test_fates_on_a_disk_that_is_away_for_a_while(
    proxy: FaultProxy, console: Console, start_line: StartLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on it waits for it, and holds nothing that came meanwhile."""
    monkeypatch.setattr(spool_module, "_NEXT_TRY_SECONDS", 0.5)
    disk, memory = tmp_path / "disk" / "spool", tmp_path / "memory"
    disk.mkdir(parents=True)
    memory.mkdir()
    spool = Spool(disk, "traces", max_bytes=16 << 20, fallback=memory)
    spool.recover(None)
    proxy.fault = Fault("refuse")
    line = start_line(proxy.port, spool=spool)
    line.send(20)
    wait_until(lambda: line.delivery.retries >= 1)
    disk.parent.rename(tmp_path / "away")
    wait_until(lambda: spool._unread_until)
    proxy.fault = Fault()
    line.send(5)
    wait_until(lambda: (line.delivery.accepted, spool.undelivered_items) == (5, 20))
    assert line.delivery.losses.total() == 0
    (tmp_path / "away").rename(disk.parent)
    line.settle()
    line.check(accepted=25)
    assert len(console.store.spans()) == 25
    assert [*disk.iterdir(), *memory.iterdir()] == []


def test_fates_of_an_unreadable_batch(receiver_port: int, start_line: StartLine) -> None:
    line = start_line(free_port())
    line.send(3)
    wait_until(lambda: line.delivery.retries >= 1)
    for path in line.spool.location.iterdir():
        path.write_bytes(b"damaged")
    wait_until(lambda: line.delivery.losses["_OTHER"] == 3)
    wait_until(lambda: line.spool.undelivered_items == 0)
    line.check(_OTHER=3)
    good = start_line(receiver_port)
    good.send(2)
    good.settle()
    good.check(accepted=2)


def test_fates_duration_has_the_reason(console: Console, receiver_port: int, start_line: StartLine) -> None:
    console.receiver.faults = Faults(status=401)
    line = start_line(receiver_port)
    line.send(3)
    line.settle()
    name = "otel.sdk.exporter.operation.duration"
    (attributes,) = [attributes for instrument, _, attributes in line.measured if instrument[1] == name]
    assert attributes["error.type"] == "refused"
    status = attributes.get("http.response.status_code"), attributes.get("rpc.response.status_code")
    assert status in {(401, None), (None, "UNAUTHENTICATED")}
    assert attributes["server.port"] == receiver_port
    assert attributes["otel.component.name"] == f"{attributes['otel.component.type']}/0"


def test_fates_keep_the_connection(proxy: FaultProxy, start_line: StartLine) -> None:
    """Reading the answers leaves the connection fit for the next request."""
    line = start_line(proxy.port)
    for _ in range(5):
        line.send(5)
        line.settle()
    line.check(accepted=25)
    assert proxy.connections == 1


def test_fates_survive_an_exporter(receiver_port: int, start_line: StartLine) -> None:
    """The state that the snapshot keeps is all that a new exporter needs to count on."""
    line: Line = start_line(receiver_port)
    line.send(5)
    line.settle()
    again = start_line(receiver_port)
    again.delivery.restore(line.delivery.state())
    again.send(2)
    again.settle()
    assert (again.delivery.accepted, again.delivery.status()["last_error"]) == (7, None)


def test_fates_order_is_kept(
    console: Console, receiver_port: int, start_line: StartLine, refuse_first: Callable[[int, float | None], None]
) -> None:
    refuse_first(3, 0.05)
    line = start_line(receiver_port, max_items=10)
    for _ in range(6):
        line.send(5)
    line.settle()
    numbers = [int(span.name.split()[1]) for span in console.store.spans()]
    assert numbers == list(range(numbers[0], numbers[0] + 30))
    line.check(accepted=30)
