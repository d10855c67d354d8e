"""Whatever a backend does, no request fails, nothing is lost while the spool has room, and a stop ends in time."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from telemetry.tools.compare.setups.faults_proxy import FaultProxy
from telemetry.tools.compare.setups.faulty_connection import PASS, Fault
from telemetry.tools.console.server import Console
from tests.support.routes import PAIRS, Route
from tests.support.service import Service, free_port, wait_until

StartService = Callable[..., Service]

WORKERS = 2
REQUESTS = 24
BUDGET = 1.0
MARGIN = 15.0  # gunicorn and a busy machine take their time
ENVIRONMENT = {
    "TELEMETRY_FLUSH_TIMEOUT": str(BUDGET),
    "OTEL_EXPORTER_OTLP_TIMEOUT": "1500",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
}
ITEMS = {"traces": "spans", "logs": "log records"}
FAULTS = {
    "absent": Fault("refuse"),
    "black hole": Fault("black_hole"),
    "answering late": Fault("delay", seconds=15),
    "garbage": Fault("garbage"),
    "closing mid-answer": Fault("close_mid_answer"),
}


@pytest.fixture(params=PAIRS, ids=str)
def route(request: pytest.FixtureRequest) -> Route:
    chosen: Route = request.param
    return chosen


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


def send(service: Service, requests: int = REQUESTS) -> None:
    """Send requests of three kinds over connections of their own, four at a time; none may fail."""
    kinds: list[Callable[[], tuple[int, dict[str, str], bytes]]] = [
        lambda: service.get("/users"),
        lambda: service.get("/users/00000000-0000-0000-0000-000000000000"),
        lambda: service.request("POST", "/users", {"name": ""}),
    ]
    with ThreadPoolExecutor(4) as clients:
        statuses = Counter(clients.map(lambda number: kinds[number % 3]()[0], range(requests)))
    assert statuses == {200: requests // 3, 404: requests // 3, 400: requests // 3}


def signals_of(service: Service) -> dict[str, Any]:
    status = wait_until(service.status, 60, "the exporter's status")
    assert status
    signals: dict[str, Any] = status["signals"]
    return signals


def arrived(console: Console) -> tuple[int, int]:
    """Return how many requests have their span, and how many their access record."""
    spans = {span.span_id for span in console.store.spans() if span.kind == "server"}
    records = {record.span_id for record in console.store.logs() if record.scope.name == "userapi.access"}
    return len(spans), len(records)


@pytest.mark.timeout(900)
def test_harmless(console: Console, start_service: StartService, route: Route) -> None:
    """One service for all faults: each is noticed, costs no request, and is over without a loss."""
    port = console.grpc_port if route.protocol == "grpc" else console.http_port
    sent = 0
    with FaultProxy(port, port=free_port()) as proxy:
        environment = {**route.env_for(proxy.port, proxy.port), **ENVIRONMENT}
        service = start_service(f"--workers={WORKERS}", "--preload", **environment)
        for name, fault in FAULTS.items():
            try:
                proxy.fault = fault
                send(service)
                sent += REQUESTS
                wait_until(lambda: all(signals_of(service)[signal]["failing"] for signal in ITEMS), 60, "a failure")
                send(service)
                sent += REQUESTS
                proxy.fault = PASS
                wait_until(lambda: arrived(console) == (sent, sent), 90, f"all of {sent} requests")  # noqa: B023
                wait_until(lambda: not any(signals_of(service)[s]["failing"] for s in ITEMS), 60, "the end of it")
                found = signals_of(service)
                assert {signal: found[signal]["losses"] for signal in ITEMS} == {signal: {} for signal in ITEMS}
            except BaseException as error:
                error.add_note(f"backend: {name}")
                raise
        proxy.fault = Fault("black_hole")
        send(service)
        assert service.stop() < BUDGET + MARGIN
        assert service.process.returncode == 0
        wait_until(lambda: "telemetry dropped at stop: " in service.output, 60, "the exporter's last line")
        assert "Traceback" not in service.output


def test_full_spool_drops_the_oldest_and_counts_them(console: Console, start_service: StartService) -> None:
    route = Route("direct", "http/protobuf")
    with FaultProxy(console.http_port, port=free_port(), fault=Fault("refuse")) as proxy:
        bounds = {"OTEL_BSP_MAX_QUEUE_SIZE": "60", "OTEL_BLRP_MAX_QUEUE_SIZE": "40"}
        bounds["OTEL_EXPORTER_OTLP_TIMEOUT"] = "60000"  # what is late would be sent, and counted, twice
        environment = {**route.env_for(proxy.port, proxy.port), **ENVIRONMENT, **bounds}
        service = start_service("--workers=1", **environment)

        def full() -> bool:
            send(service)
            return all(signals_of(service)[signal]["losses"].get("queue_full", 0) > 0 for signal in ITEMS)

        wait_until(full, 60, "a full spool")
        found = signals_of(service)
        assert all(found[signal]["queue"] <= found[signal]["capacity"] for signal in ITEMS)
        proxy.fault = PASS

        def delivered() -> bool:
            after, totals = signals_of(service), console.store.mode("direct")
            accepted = [after[signal]["accepted"] for signal in ITEMS]
            queued = any(after[signal]["queue"] or after[signal]["in_flight"] for signal in ITEMS)
            return not queued and accepted == [totals.spans, totals.log_records]

        wait_until(delivered, 90, "the rest's delivery, as many as were accepted")
        service.stop()
