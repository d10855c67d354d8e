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
from tests.lifecycle.checks import assert_nothing_is_left
from tests.support.routes import LAZY, Route, expect, scrape, scraped_requests, send
from tests.support.service import NO_PRELOAD, Service, wait_until

StartService = Callable[..., Service]
CLIENTS = 3
_SEED = 7


class Load:
    """Requests by several clients at once, until there are enough answers (`more`).

    `answered` are those with an answer; `broken` have none.
    """

    def __init__(self, service: Service) -> None:
        self.answered = self.broken = self._enough = 0
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
        while not self._stop.wait(0.01):
            if self.answered >= self._enough:
                continue
            try:
                status, _, _ = self._service.request("GET", "/users")
            except (OSError, HTTPException):
                self.broken += 1
                sleep(0.1)
            else:
                assert status == 200
                self.answered += 1

    def more(self, requests: int, beyond: int = 0) -> None:
        """Wait for so many more answers. The load goes on for those `beyond`."""
        target = self.answered + requests
        self._enough = target + beyond
        wait_until(lambda: self.answered >= target, 60, "answers")


def exporter(service: Service) -> psutil.Process:
    """Return the exporter, or the next one once a worker that is asked has noticed the end of the last."""
    status = wait_until(lambda: service.answers() and service.status(timeout=2), 60, "the exporter's status")
    assert status
    return psutil.Process(status["pid"])


def kill(what: str, service: Service, process: psutil.Process, chance: random.Random) -> None:
    if what == "worker":
        chance.choice(service.workers()).kill()
    elif what == "exporter":
        process.kill()
    else:
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
    pytest.param(Route("collector", "grpc"), NO_PRELOAD, ["worker"] * 2, id="collector-worker"),
    pytest.param(Route("collector", "http/protobuf"), "--preload", ["exporter", "worker"] * 2, id="collector-exporter"),
    pytest.param(
        Route("direct", "grpc"),
        "--preload",
        ["worker", "exporter", "everything", "worker", "everything"],
        id="direct-everything",
    ),
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
        for _ in range(80):
            assert service.get("/users", **{"User-Agent": "x" * 1000})[0] == 200
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
            for each in what:
                process = exporter(service)
                load.more(chance.randrange(20), beyond=20)
                kill(each, service, process, chance)
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


def test_exporter_is_replaced_while_its_server_answers_and_ends_with_it(
    console: Console, start_service: StartService
) -> None:
    """Requests, probes or scrapes. The server is killed."""
    service = start_service("--workers=1", **Route("direct", "http/protobuf").env(console))
    status = wait_until(service.status, 60, "the exporter's status")
    for starts, path in ((2, "/users"), (3, "/livez"), (4, "/metrics")):
        assert status
        process = psutil.Process(status["pid"])
        process.kill()
        process.wait(10)

        def replaced(path: str = path, former: int = process.pid) -> dict[str, Any] | None:
            service.get(path)
            status = service.status(timeout=2)
            return status if status and status["pid"] != former else None

        status = wait_until(replaced, 60, "a new exporter")
        assert status
        assert status["starts"] == starts
    assert status
    asked, last = scraped_requests(service), psutil.Process(status["pid"])
    service.process.kill()
    service.process.wait(30)
    assert_nothing_is_left(last, Path(status["directory"]))
    assert len({span.span_id for span in console.store.spans() if span.kind == "server"}) == asked


def test_two_generations_are_two_instances_and_deliver_when_interrupted(
    console: Console, start_service: StartService
) -> None:
    """USR2: the new master's workers count in a directory of their own."""
    env = Route("collector", "http/protobuf").env(console) | LAZY
    service = start_service("--workers=1", "--worker-class=gthread", script=True, **env)
    send(service, 6)
    old = service.process

    def generations() -> list[dict[str, Any]]:
        runs = [old.pid, *(child.pid for child in psutil.Process(old.pid).children())]
        found = [status for run in runs if (status := service.status(run))]
        return found if len(found) == 2 else []

    service.send_signal(signal.SIGUSR2)
    both = {status["run"]: status for status in wait_until(generations, 60, "two generations")}
    exporters = {run: psutil.Process(status["pid"]) for run, status in both.items()}
    assert len({status["instance"] for status in both.values()}) == 2
    (new,) = both.keys() - {old.pid}
    try:
        send(service, 6)  # whichever takes them
        service.stop(signal.SIGQUIT)
        assert_nothing_is_left(exporters[old.pid], Path(both[old.pid]["directory"]))
        send(service, 3)
        os.kill(new, signal.SIGINT)
        assert_nothing_is_left(exporters[new], Path(both[new]["directory"]))
        expect(console, "collector", 15)
    finally:
        with suppress(ProcessLookupError):
            os.kill(new, signal.SIGTERM)
