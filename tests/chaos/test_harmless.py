"""Whatever a backend does, no request fails, a stop ends in time, and ended = accepted + each kind of loss."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import monotonic, sleep
from typing import Any

import psutil
import pytest

from telemetry.compare.faults_proxy import PASS, Fault, FaultProxy
from telemetry.console.server import Console
from tests.support.routes import Route
from tests.support.service import ROOT, Service, free_port, wait_until

StartService = Callable[..., Service]

ROUTES = [Route(mode, protocol) for mode in ("collector", "direct") for protocol in ("grpc", "http/protobuf")]
WORKERS = 2
REQUESTS = 48
SPANS_OF_THREE_REQUESTS = 5
MOST_BURSTS = 20
BUDGET = 1.0
# gunicorn and a busy machine take their time; without a budget it is 28 s.
MARGIN = 15.0
BATCH = 30
SETTLE_SECONDS = 90.0
# No timer sends: a batch goes when it is full, so that the rest is known, and still there, at the stop. A queue holds
# more than a round of requests makes: while all is well nothing is dropped, however late the export thread comes.
ENVIRONMENT = {
    "TELEMETRY_FLUSH_TIMEOUT": str(BUDGET),
    "OTEL_EXPORTER_OTLP_TIMEOUT": "2000",  # hardly a busy machine makes a good export wait that long
    "OTEL_BSP_SCHEDULE_DELAY": "60000",
    "OTEL_BLRP_SCHEDULE_DELAY": "60000",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "OTEL_BSP_MAX_QUEUE_SIZE": "128",
    "OTEL_BLRP_MAX_QUEUE_SIZE": "128",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(BATCH),
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": str(BATCH),
}
ITEMS = {"traces": "spans", "logs": "log records"}
# Lines of no worker's own time: the master's, each start (perhaps while a former worker still stops), and what a stop
# dropped, told when no more goes.
OTHER_LINES = ('"telemetry.state_directory"', '"telemetry.server"', "dropped at stop")


@dataclass(frozen=True)
class Case:
    """A fault, what becomes of what is sent meanwhile, and whether what is counted as lost can have arrived."""

    name: str
    fault: Fault
    reason: str
    may_arrive: bool = False


# The first is there from the start; the others befall workers that have delivered already.
ABSENT = Case("absent", Fault("refuse"), "unavailable")
FULL_QUEUE = Case("full queue", Fault("black_hole"), "queue_full")
CASES = [
    ABSENT,
    Case("refusing", Fault("refuse"), "unavailable"),
    Case("black hole", Fault("black_hole"), "timeout"),
    Case("answering in 15 s", Fault("delay", seconds=15), "timeout", may_arrive=True),
    Case("garbage", Fault("garbage"), "unavailable"),
    Case("closing mid-answer", Fault("close_mid_answer"), "unavailable", may_arrive=True),
    FULL_QUEUE,
]


class Workers:
    """The present workers of a service: what they were asked, tell and print, from their start on."""

    def __init__(self, service: Service, printed_before: int = 0) -> None:
        self._service = service
        self._printed_before = printed_before
        self.requests = 0
        self.statuses()

    @property
    def output(self) -> str:
        return self._service.output[self._printed_before :]

    def statuses(self) -> list[dict[str, Any]]:
        """Return what the workers tell, once all are there and answer."""
        return wait_until(
            lambda: told if len(told := self._service.statuses()) == WORKERS else [], what="the workers' status"
        )

    def send(self, requests: int = REQUESTS) -> None:
        """Send them over connections of their own, four at a time; none may fail."""
        kinds: list[Callable[[], tuple[int, dict[str, str], bytes]]] = [
            lambda: self._service.get("/users"),
            lambda: self._service.get("/users/00000000-0000-0000-0000-000000000000"),
            lambda: self._service.request("POST", "/users", {"name": ""}),
        ]
        with ThreadPoolExecutor(4) as clients:
            statuses = Counter(clients.map(lambda number: kinds[number % 3]()[0], range(requests)))
        assert statuses == {200: requests // 3, 404: requests // 3, 400: requests // 3}
        self.requests += requests

    def ended(self, signal: str) -> int:
        """Return how many spans ended, by the requests, or log records were written, by standard output."""
        if signal == "traces":
            return self.requests // 3 * SPANS_OF_THREE_REQUESTS
        lines = [line for line in self.output.splitlines() if '"severity":' in line]
        return WORKERS + sum(not any(other in line for other in OTHER_LINES) for line in lines)

    def fates(self, signal: str) -> Counter[str]:
        """Return how many items came to each end, "queue" for those that wait."""
        return fates(self.statuses(), signal)

    def settle(self) -> None:
        """Wait until nothing is sent any more but what a stop will try, and the numbers add up."""
        deadline = monotonic() + SETTLE_SECONDS
        while True:
            statuses = self.statuses()
            numbers = {signal: (fates(statuses, signal), self.ended(signal)) for signal in ITEMS}
            idle = all(
                told["signals"][signal]["queue"] < BATCH and not told["signals"][signal]["in_flight"]
                for told in statuses
                for signal in ITEMS
            )
            if idle and all(found.total() == ended for found, ended in numbers.values()):
                return
            assert monotonic() < deadline, f"fates and ended items: {numbers}"
            sleep(0.05)

    def failing(self) -> Counter[str]:
        """Return how many workers say that a signal fails, by signal."""
        return Counter(
            signal for told in self.statuses() for signal, way in told["signals"].items() if way.get("failing")
        )

    def warnings(self) -> Counter[str]:
        """Return how often the log tells of an outage, by signal."""
        lines = [json.loads(line) for line in self.output.splitlines() if '"telemetry.outage"' in line]
        return Counter(line["body"].partition(" ")[0] for line in lines if line["severity"] == "WARN")

    def stop(self) -> None:
        """Stop them as gunicorn does, and check how long that takes."""
        master = psutil.Process(self._service.process.pid)
        master.suspend()  # no new workers yet, whose lines would be taken for those of these
        try:
            for process in self._service.workers():
                process.terminate()
            wait_until(lambda: not self._service.workers(), BUDGET + MARGIN, "the end of the workers")
        finally:
            master.resume()

    def dropped(self, item: str) -> int:
        """Return how many of `item` they said they dropped at their stop."""
        told = rf"telemetry dropped at stop: [^;]*?(\d+) {item}[^;]*; [^;]* within {BUDGET} s"
        return sum(int(number) for number in re.findall(told, self.output))


def fates(statuses: Iterable[Mapping[str, Any]], signal: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for worker in statuses:
        told = worker["signals"][signal]
        found.update({"queue": told["queue"], "in flight": told["in_flight"], "accepted": told["accepted"]})
        found.update(told["losses"])
    return +found


def told_by_command(service: Service) -> list[dict[str, Any]]:
    """Return the workers of `manage.py telemetry --status --json`, none if one does not answer in time."""
    command = [sys.executable, "manage.py", "telemetry", "--status", "--json"]
    shown = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60, check=True)
    workers = [told for told in json.loads(shown.stdout)["workers"] if told["run"] == service.process.pid]
    return [] if any("error" in told for told in workers) else workers


def scraped(service: Service, name: str) -> Counter[str]:
    """Return the values of a counter at /metrics by `error_type`, over all workers that ever were."""
    values: Counter[str] = Counter()
    lines = service.get("/metrics")[2].decode().splitlines()
    for line in lines:
        if line.startswith(f"{name}{{"):
            kind = re.search(r'error_type="([^"]*)"', line)
            values[kind[1] if kind else ""] += int(float(line.rpartition(" ")[2]))
    return values


@pytest.fixture(params=ROUTES, ids=str)
def route(request: pytest.FixtureRequest) -> Route:
    chosen: Route = request.param
    return chosen


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


@pytest.mark.timeout(900)
def test_harmless(console: Console, start_service: StartService, route: Route) -> None:
    """One service for all faults; its workers are stopped in each, and the next count from zero."""
    signals = {"traces", "logs", "metrics"} if route.mode == "collector" else {"traces", "logs"}
    port = console.grpc_port if route.protocol == "grpc" else console.http_port
    with FaultProxy(port, port=free_port(), fault=ABSENT.fault) as proxy:
        environment = {**route.env_for(proxy.port, proxy.port), **ENVIRONMENT}
        service = start_service(f"--workers={WORKERS}", "--preload", **environment)
        arrived = partial(counted, console, route)
        printed = 0
        for case in CASES:
            try:
                check_case(case, service, Workers(service, printed), proxy, signals=signals, arrived=arrived)
                proxy.fault = PASS
                printed = len(service.output)
                workers = Workers(service, printed)  # the next; a stop would not reach them before they are there
                if route.mode == "direct":
                    check_scrape(service, workers)
            except BaseException as error:
                error.add_note(f"backend: {case.name}")
                raise
        proxy.fault = Fault("black_hole")
        assert service.stop() < BUDGET + MARGIN
        assert service.process.returncode == 0
        assert "Traceback" not in service.output


def counted(console: Console, route: Route) -> dict[str, int]:
    """Return what has arrived at the receiver, by signal."""
    totals = console.store.mode(route.mode)
    return {"traces": totals.spans, "logs": totals.log_records}


def check_case(
    case: Case,
    service: Service,
    workers: Workers,
    proxy: FaultProxy,
    *,
    signals: set[str],
    arrived: Callable[[], dict[str, int]],
) -> None:
    """No request fails, each outage is told once, the numbers add up, and a stop ends in time."""
    before = arrived()
    if case is not ABSENT:
        workers.send()
        workers.settle()
        assert workers.warnings() == {}
        proxy.fault = case.fault
    workers.send()
    if case is FULL_QUEUE:
        for _ in range(MOST_BURSTS):
            if all(workers.fates(signal)["queue_full"] for signal in ITEMS):
                break
            workers.send()
    workers.settle()
    for _ in range(MOST_BURSTS):  # until each worker had enough to send
        if workers.failing() == dict.fromkeys(signals, WORKERS):
            break
        workers.send()
        workers.settle()
        sleep(0.5)  # metrics come by themselves
    assert workers.failing() == dict.fromkeys(signals, WORKERS)
    workers.send()
    workers.settle()
    assert workers.warnings() == dict.fromkeys(signals, WORKERS)
    after = arrived()
    for signal in ITEMS:
        found = workers.fates(signal)
        assert found[case.reason] > 0, found
        assert found.keys() <= {"accepted", "queue", "queue_full", "timeout", case.reason}, found
        assert (found["accepted"] > 0) is (case is not ABSENT), found
        came = after[signal] - before[signal]
        assert came >= found["accepted"] if case.may_arrive else came == found["accepted"], (came, found)
    if case is ABSENT:
        told = wait_until(lambda: told_by_command(service), 60)
        assert {signal: fates(told, signal) for signal in ITEMS} == {signal: workers.fates(signal) for signal in ITEMS}
    check_stop(workers)


def check_stop(workers: Workers) -> None:
    """A stop keeps its budget and tells what it drops: all that waited."""
    waited = {signal: workers.fates(signal)["queue"] for signal in ITEMS}
    ended = {signal: workers.ended(signal) for signal in ITEMS}
    warned = workers.warnings()
    workers.stop()
    assert {signal: workers.dropped(item) for signal, item in ITEMS.items()} == waited
    assert {signal: workers.ended(signal) for signal in ITEMS} == ended
    assert workers.warnings() == warned
    assert "Traceback" not in workers.output


def check_scrape(service: Service, workers: Workers) -> None:
    """What was dropped at stops is among the numbers at /metrics, which add up over all workers that ever were."""

    def sides(signal: str, item: str, created: str) -> tuple[int, int]:
        exported = scraped(service, f"otel_sdk_exporter_{item}_exported_total")
        processed = scraped(service, f"otel_sdk_processor_{item}_processed_total")
        del processed[""]  # the exporter's
        ended = scraped(service, f"otel_sdk_{created}_total")
        return exported.total() + processed.total() + workers.fates(signal)["queue"], ended.total()

    for names in (("traces", "span", "span_started"), ("logs", "log", "log_created")):
        # A worker that answers may still be about to write that it starts.
        wait_until(lambda names=names: len({*sides(*names)}) == 1, what=" ".join(names))  # type: ignore[misc]
