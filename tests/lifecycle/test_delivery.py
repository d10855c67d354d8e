"""Every finished request arrives as a span, a log record and a count, however its worker ends."""

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from time import sleep

import pytest

from telemetry.tools.console.server import Console
from tests.support.routes import LAZY, Route, expect, scraped_requests, send
from tests.support.service import Service, wait_until

StartService = Callable[..., Service]
FAULTS = {"DJANGO_SETTINGS_MODULE": "tests.support.settings_with_faults"}


class Hanging(threading.Thread):
    """A request that a view takes `seconds` for. `answers` has the status of its answer, if there was one."""

    def __init__(self, service: Service, seconds: int) -> None:
        super().__init__()
        self.answers: list[int] = []
        self._service, self._path = service, f"/faults/sleep/{seconds}"
        before = service.output.count("hanging\n")
        self.start()
        wait_until(lambda: service.output.count("hanging\n") > before, what="the request that hangs")

    def run(self) -> None:
        with suppress(OSError, HTTPException):
            self.answers.append(self._service.get(self._path)[0])


def pids(service: Service) -> set[int]:
    return {worker.pid for worker in service.workers()}


def test_delivery_while_workers_come_and_go(console: Console, start_service: StartService) -> None:
    """They are recycled, reloaded under load, more, fewer, and killed: no scraped count ever goes back, either."""
    env = Route("direct", "http/protobuf").env(console)
    service = start_service("--workers=2", "--max-requests=40", "--max-requests-jitter=10", **env, **LAZY)
    wait_until(lambda: len(pids(service)) == 2, what="both workers")
    readings: list[list[float]] = [[], []]
    done, reading = threading.Event(), threading.Event()
    reading.set()

    def read(own: list[float]) -> None:
        while not done.wait(0.2):
            reading.wait()
            with suppress(OSError, HTTPException):  # asked a worker that was killed meanwhile
                own.append(scraped_requests(service))

    scrapers = [threading.Thread(target=read, args=(own,), daemon=True) for own in readings]
    for scraper in scrapers:
        scraper.start()
    sent, first = 0, pids(service)

    def recycled() -> bool:
        nonlocal sent
        send(service, 10)  # whichever worker takes them
        sent += 10
        return not first & pids(service)

    wait_until(recycled, 60, "recycled workers")
    for step in (signal.SIGTTIN, signal.SIGTTIN, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU):
        load = threading.Thread(target=send, args=(service, 20))
        before = pids(service)
        load.start()
        service.send_signal(step)
        load.join()
        sent += 20
        if step == signal.SIGHUP:
            reading.clear()  # which would recycle them, too
            wait_until(lambda: not before & pids(service), 60, "reloaded workers")  # noqa: B023
            reading.set()
        sleep(0.7)
    wait_until(lambda: len(pids(service)) == 2, 60, "two workers")
    killed = service.workers()[-1]
    killed.kill()
    killed.wait(30)
    enough = max(map(len, readings)) + 2
    send(service, 10)
    sent += 10
    wait_until(lambda: all(len(own) >= enough for own in readings), 60, "readings after the kill")
    done.set()
    for scraper in scrapers:
        scraper.join()
    assert all(own == sorted(own) for own in readings)
    assert scraped_requests(service) == sent
    service.stop()
    expect(console, "direct", sent)
    assert len({span.resource.instance for span in console.store.spans()}) == 1


@pytest.mark.timing
def test_delivery_of_requests_that_end_late_and_while_others_never_end(
    console: Console, start_service: StartService
) -> None:
    """One outlasts its worker's recycling, one ends late in a stop; one hangs past the graceful timeout."""
    service = start_service(
        "--workers=1",
        "--max-requests=10",
        "--graceful-timeout=8",
        **Route("collector", "grpc").env(console),
        **LAZY,
        **FAULTS,
        TELEMETRY_FLUSH_TIMEOUT="5",
    )
    (first,) = pids(service)
    late = Hanging(service, 12)
    send(service, 9)
    late.join()
    assert late.answers == [200]
    wait_until(lambda: first not in pids(service) and service.answers(), 60, "the next worker")
    send(service, 2)
    late, never = Hanging(service, 3), Hanging(service, 60)
    assert service.stop() < 30
    late.join()
    never.join()
    assert (late.answers, never.answers) == ([200], [])
    expect(console, "collector", 9 + 1 + 2 + 1)


@pytest.mark.timing
def test_delivery_of_sync_workers_whose_requests_hang(console: Console, start_service: StartService) -> None:
    """One past the worker timeout, which costs the worker, and one past the graceful timeout of a stop."""
    service = start_service(
        "--workers=2",
        "--threads=1",
        "--worker-class=sync",
        "--timeout=5",
        "--graceful-timeout=8",
        **Route("direct", "grpc").env(console),
        **LAZY,
        **FAULTS,
        TELEMETRY_FLUSH_TIMEOUT="5",
    )
    send(service, 12)
    wait_until(lambda: len(pids(service)) == 2, 60, "both workers")
    first, hung = pids(service), Hanging(service, 60)
    hung.join()
    assert 200 not in hung.answers
    wait_until(lambda: len(pids(service)) == 2 and pids(service) != first, 60, "another worker")
    send(service, 6)
    assert scraped_requests(service) == 18
    never = Hanging(service, 60)
    assert service.stop() < 30
    never.join()
    assert never.answers == []
    expect(console, "direct", 18)
