"""The ways from the service to the embedded console, and the counts at their ends."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import sleep

from telemetry.tools.compare.setups.route import Route as ComparedRoute
from telemetry.tools.console.server import Console
from tests.support.service import Service, wait_until

# Long enough that nothing is sent before a stop, so that the flush is what is tested.
LAZY = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_BLRP_SCHEDULE_DELAY": "60000", "OTEL_METRIC_EXPORT_INTERVAL": "60000"}


class Route(ComparedRoute):
    """One way from the service to the console."""

    def env(self, console: Console) -> dict[str, str]:
        """The environment of a service that sends all three signals to `console`."""
        return self.env_for(console.grpc_port, console.http_port)


ROUTES = [
    Route("collector", "grpc"),
    Route("collector", "http/protobuf"),
    Route("direct", "grpc"),
    Route("direct", "http/protobuf"),
]
# Both modes and both protocols: for what does not depend on which protocol a mode speaks.
PAIRS = [ROUTES[0], ROUTES[3]]


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        yield listener.getsockname()[1]


@dataclass
class Counts:
    """What the receiver has of one mode's requests, by each of the three signals."""

    spans: int
    records: int
    requests: float


def arrived(console: Console, mode: str) -> Counts:
    """Return what has arrived of `mode`: server spans, access records, requests as OTLP metrics count them."""
    totals = console.store.mode(mode)
    assert totals.duplicate_spans == 0
    return Counts(totals.server_spans, totals.access_records, totals.requests_otlp)


def expect(console: Console, mode: str, requests: int, wait: float = 60.0) -> None:
    """Wait until `requests` have arrived as spans and records (and OTLP metrics in collector mode), and no more."""
    wanted = Counts(requests, requests, requests if mode == "collector" else 0)
    console.store.wait_for(lambda _: arrived(console, mode) == wanted, timeout=wait)
    sleep(0.2)
    assert arrived(console, mode) == wanted


def send(service: Service, requests: int) -> None:
    """Send `requests` requests of different kinds, each over a connection of its own."""
    kinds: list[Callable[[], tuple[int, dict[str, str], bytes]]] = [
        lambda: service.get("/users"),
        lambda: service.get("/users/00000000-0000-0000-0000-000000000000"),
        lambda: service.request("POST", "/users", {"name": ""}),
    ]
    for number in range(requests):
        status, _, _ = kinds[number % len(kinds)]()
        assert status in {200, 400, 404}, status


def scrape(service: Service, **headers: str) -> str:
    """Return the answer of `/metrics`: not the 503 that there is while an exporter takes long to start."""

    def answer() -> str:
        status, _, body = service.get("/metrics", **headers)
        assert status in {200, 503}, body
        return body.decode() if status == 200 else ""

    return wait_until(answer, 60, "an answer to a scrape")


def scraped_requests(service: Service, **headers: str) -> float:
    """Return the number of requests that `/metrics` counts, over all routes and workers."""
    return sum(
        float(line.rpartition(" ")[2])
        for line in scrape(service, **headers).splitlines()
        if line.startswith("http_server_request_duration_seconds_count")
    )
