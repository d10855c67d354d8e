"""Every ended span and written log record is counted once, by what became of it, over both protocols."""

import threading
from collections.abc import Callable

import pytest

from telemetry.compare.faults_proxy import Fault, FaultProxy
from telemetry.console.faults import Faults
from telemetry.console.server import Console
from telemetry.providers import Pipeline
from tests.failures.conftest import SHORT, Sender, StartSender
from tests.support.service import free_port, wait_until


def test_fates_accepted(console: Console, receiver_port: int, start_sender: StartSender) -> None:
    sender = start_sender(receiver_port)
    sender.send_and_flush(1200)
    sender.check(accepted=1200)
    assert len(console.store.spans()) == 1200


def test_fates_rejected(console: Console, receiver_port: int, start_sender: StartSender) -> None:
    """Upstream does not read partial success (python #4803)."""
    console.receiver.faults = Faults(partial_reject=3)
    sender = start_sender(receiver_port)
    sender.send_and_flush(20)
    sender.send_and_flush(20)
    sender.check(accepted=34, rejected=6)
    assert len(console.store.spans()) == 34


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 413, 415, 500, 501])
def test_fates_refused(console: Console, receiver_port: int, start_sender: StartSender, status: int) -> None:
    """Upstream takes a redirect for success, and counts the others as success; over gRPC it retries 413 in vain."""
    console.receiver.faults = Faults(status=status)
    sender = start_sender(receiver_port)
    sender.send_and_flush(20)
    sender.check(refused=20)
    assert sender.delivery().retries == 0
    assert sender.delivery().failing


def test_fates_refused_for_now(console: Console, receiver_port: int, start_sender: StartSender) -> None:
    console.receiver.faults = Faults(status=429, retry_after=0.1)
    sender = start_sender(receiver_port)
    sender.send_and_flush(20)
    sender.check(refused=20)
    assert sender.delivery().retries >= 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_fates_unavailable(console: Console, receiver_port: int, start_sender: StartSender, status: int) -> None:
    console.receiver.faults = Faults(status=status)
    sender = start_sender(receiver_port, OTEL_EXPORTER_OTLP_TIMEOUT=SHORT)
    sender.send_and_flush(20)
    sender.check(unavailable=20)


def test_fates_retried(
    receiver_port: int, start_sender: StartSender, refuse_first: Callable[[int, float], None]
) -> None:
    refuse_first(3, 0.2)
    sender = start_sender(receiver_port)
    sender.send_and_flush(20)
    sender.check(accepted=20)
    assert sender.delivery().retries >= 1
    retries = sum(delivery.retries for delivery in sender.pipeline.deliveries)
    assert sender.points("telemetry.exporter.retries") == {"unavailable": retries}


def test_fates_absent(start_sender: StartSender) -> None:
    sender = start_sender(free_port(), OTEL_EXPORTER_OTLP_TIMEOUT=SHORT)
    sender.send_and_flush(20)
    sender.check(unavailable=20)


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
    proxy: FaultProxy, start_sender: StartSender, fault: Fault, reason: str, *, connected: bool
) -> None:
    sender = start_sender(proxy.port, OTEL_EXPORTER_OTLP_TIMEOUT=SHORT)
    if connected:
        sender.send_and_flush(5)
    proxy.fault = fault
    sender.send_and_flush(20)
    sender.check(**{reason: 20}, accepted=5 if connected else 0)
    proxy.fault = Fault()
    wait_until(lambda: _recovers(sender), 60)


def _recovers(sender: Sender) -> bool:
    before = sender.delivery().accepted
    sender.send_and_flush(1)
    return sender.delivery().accepted > before


def test_fates_slow_line(proxy: FaultProxy, start_sender: StartSender) -> None:
    proxy.fault = Fault("throttle", bytes_per_second=20_000)
    sender = start_sender(proxy.port)
    sender.send_and_flush(30)
    sender.check(accepted=30)


def test_fates_queue_full(proxy: FaultProxy, start_sender: StartSender) -> None:
    """Of what does not fit, the oldest are dropped, whatever number of threads fill the queue."""
    proxy.fault = Fault("black_hole")
    sender = start_sender(proxy.port, OTEL_BSP_MAX_QUEUE_SIZE="64", OTEL_BLRP_MAX_QUEUE_SIZE="64")
    tracer = sender.pipeline.tracer_provider.get_tracer("test")
    threads = [threading.Thread(target=lambda: [tracer.start_span("x").end() for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    delivery = sender.delivery()
    wait_until(lambda: delivery.in_flight)
    assert delivery.losses["queue_full"] >= 4000 - 2 * 64 - delivery.in_flight
    assert delivery.losses["queue_full"] + delivery.undelivered + delivery.losses["timeout"] == 4000
    proxy.fault = Fault()
    sender.pipeline.flush(30)
    fates = sender.fates("traces")
    assert sum(fates.values()) == 4000
    assert fates["queue_full"] == delivery.losses["queue_full"]


def test_fates_dropped_at_stop(proxy: FaultProxy, start_sender: StartSender, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in flight and what is queued, each counted once; late answers change nothing."""
    proxy.fault = Fault("black_hole")
    sender = start_sender(
        proxy.port,
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10",
        OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="10",
        OTEL_EXPORTER_OTLP_TIMEOUT="30000",
    )
    sender.send(35)
    wait_until(lambda: sender.delivery().in_flight == 10)
    wait_until(lambda: sender.delivery("logs").in_flight == 10)
    # What counts is what the last collection would see.
    seen: list[dict[str, float]] = []
    shutdown = sender.pipeline.meter_provider.shutdown

    def look_and_shut_down(*_: object, **__: object) -> None:
        seen.append(sender.fates("traces"))
        shutdown()

    monkeypatch.setattr(sender.pipeline.meter_provider, "shutdown", look_and_shut_down)
    sender.pipeline.shutdown(1.0)
    assert sender.pipeline.dropped() == {"traces": 35, "logs": 35}
    assert wait_until(lambda: seen) == [{"already_shutdown": 35}]
    assert dict(sender.delivery().losses) == {"already_shutdown": 35}
    assert sender.delivery().undelivered == 0


def test_fates_duration_has_the_reason(console: Console, receiver_port: int, start_sender: StartSender) -> None:
    console.receiver.faults = Faults(status=401)
    sender = start_sender(receiver_port)
    sender.send_and_flush(3)
    data = sender.reader.get_metrics_data()
    assert data
    metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
    points = [p for m in metrics if m.name == "otel.sdk.exporter.operation.duration" for p in m.data.data_points]
    assert len(points) == 2  # each exporter once: upstream's own are off
    for point in points:
        attributes = dict(point.attributes or {})
        assert attributes["error.type"] == "refused"
        assert attributes.get("http.response.status_code") == 401 or (
            attributes["rpc.response.status_code"] == "UNAUTHENTICATED"
        )


def test_fates_of_data_points(console: Console, receiver_port: int, start_metrics: Callable[..., Pipeline]) -> None:
    console.receiver.faults = Faults(partial_reject=1)
    pipeline = start_metrics(receiver_port)
    delivery = pipeline.deliveries[0]
    pipeline.meter_provider.get_meter("test").create_counter("a").add(1)
    pipeline.meter_provider.get_meter("test").create_counter("b").add(1)
    pipeline.flush(10)
    assert (delivery.accepted, dict(delivery.losses)) == (1, {"rejected": 1})
    console.receiver.faults = Faults(status=403)
    pipeline.flush(10)
    assert delivery.losses["refused"] > 2  # by now the numbers of the first push are among them
    console.receiver.faults = Faults()
    pipeline.flush(10)
    name = "otel.sdk.exporter.metric_data_point.exported"
    told = {str(series.attributes.get("error.type")) for series, _ in console.store.series(name)}
    assert told == {"None", "rejected", "refused"}
    pipeline.shutdown(5)


def test_fates_keep_the_connection(proxy: FaultProxy, start_sender: StartSender) -> None:
    """Reading the answers leaves the connection fit for the next batch: one for each signal is all it takes."""
    sender = start_sender(proxy.port)
    for _ in range(5):
        sender.send_and_flush(5)
    sender.check(accepted=25)
    assert proxy.connections <= 2
