"""A backend that is down, silent, slow or refusing: no request notices, and a stop ends in time and logs the loss.

Each mode and each protocol; tests/chaos has the other products.
"""

import re
from collections.abc import Callable
from time import monotonic, sleep

import pytest

from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from tests.support.routes import LAZY, Route, arrived, black_hole, expect, scraped_requests, send
from tests.support.service import Service, free_port, wait_until

StartService = Callable[..., Service]

BUDGET = 2.0
DROPPED = "telemetry dropped at stop"
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_BLRP_SCHEDULE_DELAY": "200", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
# A backend is awaited for longer than anything here takes.
PATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "100000"}


def stop_within_budget(service: Service, requests: int) -> None:
    """Stop the service, and check how long it took and that it says what it lost of so many requests."""
    assert service.stop() < BUDGET + 10.0  # gunicorn and a busy machine take their time; without a budget it is 28 s
    wait_until(lambda: DROPPED in service.output, 60, "the exporter's last line")
    # A span and a record each, a query or two, and what Django logs of 4xx.
    assert requests <= dropped(service.output, "spans") <= 3 * requests
    assert requests <= dropped(service.output, "log records") <= 2 * requests + 10
    assert service.output.count(DROPPED) == 1
    assert "Traceback" not in service.output


def dropped(output: str, item: str) -> int:
    """Return how many of `item` the exporter said it dropped."""
    return sum(int(number) for number in re.findall(rf"{DROPPED}: .*?(\d+) {item}", output))


@pytest.mark.timing
def test_stop_with_a_refusing_backend_ends_within_budget_and_logs_the_loss(
    console: Console, start_service: StartService
) -> None:
    console.receiver.faults = Faults(status=503)
    env = Route("collector", "grpc").env(console) | LAZY
    service = start_service("--workers=2", **env, TELEMETRY_FLUSH_TIMEOUT=str(BUDGET))
    send(service, 30)
    stop_within_budget(service, 30)


@pytest.mark.timing
def test_neither_start_nor_requests_nor_stop_wait_for_a_silent_backend(start_service: StartService) -> None:
    with black_hole() as port:
        env = Route("direct", "http/protobuf").env_for(port, port)
        service = start_service("--workers=2", **env, **QUICK, **PATIENT, TELEMETRY_FLUSH_TIMEOUT=str(BUDGET))
        assert service.get("/readyz")[0] == 200
        started = monotonic()
        send(service, 60)
        assert monotonic() - started < 30
        assert scraped_requests(service) == 60
        stop_within_budget(service, 60)


@pytest.mark.timing
def test_neither_recycle_nor_stop_wait_for_an_absent_backend(start_service: StartService) -> None:
    """A worker has nothing to deliver at its end."""
    port = free_port()
    env = Route("collector", "grpc").env_for(port, port) | QUICK
    service = start_service("--workers=1", "--max-requests=5", **env, TELEMETRY_FLUSH_TIMEOUT=str(BUDGET))
    (first,) = service.workers()
    started = monotonic()
    send(service, 20)
    wait_until(lambda: first not in service.workers(), 60, "another worker")
    assert monotonic() - started < 30
    assert DROPPED not in service.output
    stop_within_budget(service, 20)


def test_slow_backend_that_comes_back_gets_what_was_kept_and_the_rest(start_service: StartService) -> None:
    grpc_port, http_port = free_port(), free_port()
    env = Route("collector", "grpc").env_for(grpc_port, http_port)
    backend = Console(grpc_port=grpc_port, http_port=http_port, api_port=0)  # as one that is down, and older
    service = start_service("--workers=2", **env, **QUICK, **PATIENT)
    send(service, 20)
    sleep(1.5)
    with backend as console:
        console.receiver.faults = Faults(delay=0.3)
        assert console.store.wait_for(lambda _: arrived(console, "collector").spans == 20, timeout=60)
        send(service, 20)
        service.stop()
        expect(console, "collector", 40)
