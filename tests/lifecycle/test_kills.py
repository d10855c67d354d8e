"""What was answered is delivered and counted, exactly, whatever is killed at whatever moment under load."""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import Any, Self

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from telemetry.journal import snapshot
from telemetry.tools.console.server import Console
from tests.lifecycle.conftest import Ordinary
from tests.support.routes import LAZY, Route, expect, scrape, scraped_requests, send
from tests.support.service import NO_PRELOAD, Service, wait_until

StartService = Callable[..., Service]
CLIENTS = 3
KILLS = 4
_SEED = 7


class Load:
    """Requests by several clients at once. `answered` are those with an answer; `broken` have none."""

    def __init__(self, service: Service) -> None:
        self.answered = self.broken = 0
        self._service = service
        self._stop = Event()
        self._threads = [Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                status, _, _ = self._service.request("GET", "/users")
            except (OSError, HTTPException):
                self.broken += 1
                sleep(0.02)
            else:
                assert status == 200
                self.answered += 1
                sleep(0.01)

    def more(self, requests: int) -> None:
        """Wait for so many more answers."""
        target = self.answered + requests
        wait_until(lambda: self.answered >= target, 60, "answers")


def exporter(service: Service) -> psutil.Process:
    status = wait_until(service.status, 60, "the exporter's status")
    assert status
    return psutil.Process(status["pid"])


def kill(what: str, service: Service, chance: random.Random) -> None:
    if what == "worker":
        chance.choice(service.workers()).kill()
    elif what == "exporter":
        exporter(service).kill()
    else:
        process = exporter(service)
        service.kill()
        with suppress(psutil.NoSuchProcess):  # it has delivered what was left
            process.kill()
        service.start()


def counted(console: Console, service: Service, mode: str) -> float:
    if mode == "direct":
        return scraped_requests(service)
    service.stop()
    series = console.store.series("http.server.request.duration", points=1)
    return float(sum(points[0].decode().data["count"] for _, points in series))


KILLED = [
    pytest.param(Route("collector", "grpc"), NO_PRELOAD, ["worker"], id="collector-worker"),
    pytest.param(Route("collector", "http/protobuf"), "--preload", ["exporter", "worker"], id="collector-exporter"),
    pytest.param(Route("direct", "http/protobuf"), "--preload", ["worker", "exporter"], id="direct-worker-exporter"),
    pytest.param(Route("direct", "grpc"), "--preload", ["everything", "worker"], id="direct-everything"),
]


EXPORTED, DROPPED = "otel_sdk_exporter_span_exported_total", "telemetry_journal_dropped_total"
COUNTS = "http_server_request_duration_seconds_count", "otel_sdk_exporter_log_exported_total", EXPORTED, DROPPED


def scraped(service: Service) -> dict[str, float]:
    """Return each of COUNTS, summed up."""
    samples = [s for f in parse_text(scrape(service)) for s in f.samples]
    return {name: sum(s.value for s in samples if s.name == name) for name in COUNTS}


def test_exporter_killed_while_idle_and_at_its_start_keeps_its_own_counts(start_service: StartService) -> None:
    """What it has sent and what did not fit is counted between records, and known before the first one is read."""
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        route = Route("direct", "http/protobuf").env(console)
        service = start_service("--workers=1", **route, TELEMETRY_JOURNAL_BYTES="65536")
        send(service, 1)
        run = Path(str((wait_until(service.status, 60, "the exporter's status") or {})["directory"]))
        paused = exporter(service)
        paused.suspend()
        send(service, 240)
        paused.resume()
        wait_until(lambda: scraped(service)[DROPPED] > 0, 60, "dropped spans")
        wait_until(lambda: service.has_delivered(everything=True), 60, "the end of all sending")
        before = scraped(service)
        assert before[EXPORTED] == console.store.mode("direct").spans
        for starts in (2, 3):
            for process in psutil.process_iter(["cmdline"]):
                if str(run) in (process.info["cmdline"] or []):
                    with suppress(psutil.NoSuchProcess):  # one that has found another exporter at work
                        process.kill()
            wait_until(lambda: service.answers() and _starts(run) == starts, 60, "another exporter")  # noqa: B023
        assert scraped(service) == before


def _starts(run: Path) -> int:
    return int(snapshot.read(run / "snapshot")["starts"])


@pytest.mark.parametrize(("route", "preload", "what"), KILLED)
def test_kills_cost_nothing_that_was_answered(
    start_service: StartService, tmp_path: Path, route: Route, preload: str, what: list[str]
) -> None:
    """Nor does a count that is scraped after each of them ever go back."""
    chance = random.Random(_SEED)  # noqa: S311  (no secret)
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        spool = {"TELEMETRY_SPOOL_DIR": str(tmp_path / "spool")}
        service = start_service("--workers=2", preload, **route.env(console), **spool)
        scraped: list[float] = []
        with Load(service) as load:
            load.more(20)
            for number in range(KILLS):
                sleep(chance.uniform(0.0, 0.4))
                kill(what[number % len(what)], service, chance)
                load.more(20)
                if route.mode == "direct":
                    scraped.append(counted(console, service, route.mode))
        assert scraped == sorted(scraped)
        counts = counted(console, service, route.mode)
        if service.process.poll() is None:
            service.stop()
        spans = Counter(span.span_id for span in console.store.spans() if span.kind == "server")
        records = [record for record in console.store.logs() if record.scope.name == "userapi.access"]
        most = load.answered + load.broken
        assert load.answered <= len(spans) <= most
        assert load.answered <= len({record.span_id for record in records}) <= most
        assert load.answered <= counts <= most
        assert len(spans) == counts
        if "exporter" not in what and "everything" not in what:
            assert set(spans.values()) == {1}
            assert len(records) == len(spans)


def test_exporter_is_replaced_while_requests_probes_or_scrapes_are_answered(
    console: Console, start_service: StartService
) -> None:
    service = start_service("--workers=1", **Route("direct", "http/protobuf").env(console))
    for starts, path in ((2, "/users"), (3, "/livez"), (4, "/metrics")):
        before = exporter(service)
        before.kill()
        before.wait(10)

        def replaced(path: str = path, former: int = before.pid) -> dict[str, Any] | None:
            service.get(path)
            status = service.status(timeout=2)
            return status if status and status["pid"] != former else None

        status = wait_until(replaced, 60, "a new exporter")
        assert status
        assert status["starts"] == starts


def assert_nothing_is_left(process: psutil.Process, run: Path) -> None:
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 60, "the exporter's end")
    wait_until(lambda: not run.exists(), 60, "the end of the directory")


def test_stop_leaves_nothing_behind(ordinary: Ordinary) -> None:
    assert_nothing_is_left(ordinary.exporter, ordinary.folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_interrupt_delivers_and_leaves_nothing_behind(
    console: Console, start_service: StartService, number: int
) -> None:
    service = start_service("--workers=2", **Route("collector", "http/protobuf").env(console), **LAZY)
    send(service, 15)
    process = exporter(service)
    status = service.status()
    assert status
    service.stop(number)
    assert_nothing_is_left(process, Path(status["directory"]))
    expect(console, "collector", 15)


def test_killed_server_takes_its_exporter_with_it(console: Console, start_service: StartService) -> None:
    service = start_service("--workers=2", **Route("collector", "http/protobuf").env(console))
    service.get("/users")
    process = exporter(service)
    service.process.kill()
    service.process.wait(30)
    wait_until(lambda: not process.is_running(), 60, "the exporter's end")
    assert [span.kind for span in console.store.spans()].count("server") == 1


def test_two_generations_are_two_instances(console: Console, start_service: StartService) -> None:
    """USR2: the new master's workers count in a directory of their own."""
    service = start_service("--workers=1", script=True, **Route("direct", "http/protobuf").env(console))
    service.get("/users")
    old = service.process

    def generations() -> list[dict[str, Any]]:
        runs = [old.pid, *(child.pid for child in psutil.Process(old.pid).children())]
        found = [status for run in runs if (status := service.status(run))]
        return found if len(found) == 2 else []

    service.send_signal(signal.SIGUSR2)
    both = wait_until(generations, 60, "two generations")
    assert len({status["instance"] for status in both}) == 2
    (new,) = {status["run"] for status in both} - {old.pid}
    os.kill(new, signal.SIGTERM)
