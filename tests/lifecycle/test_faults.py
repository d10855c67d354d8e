"""A backend that is down, silent, slow or refusing: no request notices, and a stop ends in time and logs the loss."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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


def stop_within_budget(service: Service) -> str:
    """Stop the service, check how long it took, and return what it printed."""
    assert service.stop() < BUDGET + 10.0  # gunicorn and a busy machine take their time; without a budget it is 28 s
    wait_until(lambda: DROPPED in service.output, 60, "the exporter's last line")
    return service.output


def dropped(output: str, item: str) -> int:
    """Return how many of `item` the workers said they dropped."""
    return sum(int(number) for number in re.findall(rf"{DROPPED}: .*?(\d+) {item}", output))


def assert_logged(output: str) -> None:
    """Check the loss of 30 requests: a span and a record each, a query or two, and what Django logs of 4xx."""
    assert 30 <= dropped(output, "spans") <= 30 + 60
    assert 30 <= dropped(output, "log records") <= 30 + 30 + 10


@contextmanager
def refusing() -> Iterator[int]:
    """The port of a backend that has no time now."""
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        console.receiver.faults = Faults(status=503)
        yield console.grpc_port


# Each mode and each protocol; tests/chaos has the other products.
BAD = [
    pytest.param(Route("collector", "grpc"), refusing, id="refusing"),
    pytest.param(Route("collector", "grpc"), lambda: nullcontext(free_port()), id="absent"),
    pytest.param(Route("direct", "http/protobuf"), black_hole, id="silent"),
]


@pytest.mark.timing
@pytest.mark.parametrize(("route", "backend"), BAD)
def test_stop_with_bad_backend_ends_within_budget_and_logs_the_loss(
    start_service: StartService, route: Route, backend: Callable[[], AbstractContextManager[int]]
) -> None:
    with backend() as port:
        service = start_service("--workers=2", **route.env_for(port, port), **LAZY, TELEMETRY_FLUSH_TIMEOUT=str(BUDGET))
        send(service, 30)
        output = stop_within_budget(service)
    assert_logged(output)
    assert "Traceback" not in output


def test_slow_backend_gets_everything(console: Console, start_service: StartService) -> None:
    console.receiver.faults = Faults(delay=0.3)
    service = start_service("--workers=2", **Route("collector", "grpc").env(console), **QUICK)
    send(service, 60)
    service.stop()
    expect(console, "collector", 60)


@pytest.mark.timing
def test_neither_start_nor_requests_wait_for_a_silent_backend(start_service: StartService) -> None:
    with black_hole() as port:
        env = Route("direct", "http/protobuf").env_for(port, port)
        service = start_service("--workers=2", **env, **QUICK, **PATIENT, TELEMETRY_FLUSH_TIMEOUT=str(BUDGET))
        assert service.get("/readyz")[0] == 200
        started = monotonic()
        send(service, 60)
        assert monotonic() - started < 30
        assert scraped_requests(service) == 60
        service.stop()


def test_backend_that_comes_back_gets_what_was_kept(start_service: StartService) -> None:
    grpc_port, http_port = free_port(), free_port()
    env = Route("collector", "grpc").env_for(grpc_port, http_port)
    backend = Console(grpc_port=grpc_port, http_port=http_port, api_port=0)  # as one that is down, and older
    service = start_service("--workers=2", **env, **QUICK, **PATIENT)
    send(service, 20)
    sleep(1.5)
    with backend as console:
        send(service, 20)
        assert console.store.wait_for(lambda _: arrived(console, "collector").spans == 40, timeout=60)
        service.stop()
        expect(console, "collector", 40)


def test_recycle_with_absent_backend_keeps_serving(start_service: StartService) -> None:
    """A worker has nothing to deliver at its end, so it does not wait."""
    port = free_port()
    service = start_service(
        "--workers=1",
        "--max-requests=5",
        **Route("collector", "grpc").env_for(port, port),
        **QUICK,
        TELEMETRY_FLUSH_TIMEOUT=str(BUDGET),
    )
    for _ in range(20):
        assert service.get("/users")[0] == 200
    assert DROPPED not in service.output
    service.stop()
    wait_until(lambda: DROPPED in service.output, 60, "the exporter's last line")
    assert service.output.count(DROPPED) == 1
