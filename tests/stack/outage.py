"""An outage with real servers: what is sent in collector mode, and what is stored in the end.

    python -m tests.stack.outage --bin FOLDER

Runs the service, Alloy, Tempo, Loki and Prometheus with the files of deploy/, sends requests at a steady rate, stops
all three backends, kills Alloy with SIGKILL in the middle of the outage and starts it again, and brings the
backends back. Then every span, every record and every sample of the requests' counter is counted. Once for each way of
the metrics (ALLOY_METRICS).

Exit code 0 where no span, no record, no count and, with `otlp`, no sample was lost and nothing came twice; 1 where
one was; 2 where it could not run. `--memory` takes the queues off the disk, to see it fail.
"""

import argparse
import re
import secrets
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import monotonic, sleep, time

import tests.support.environment  # noqa: F401  (the service's settings need it)
from tests.conftest import migrate
from tests.stack.outcome import HEADING, Outcome
from tests.stack.servers import Binaries, Server, Stack
from tests.stack.stored import Backend, received, records, samples, spans
from tests.support.service import Service, wait_until

WAYS = ("remote_write", "otlp")
INTERVAL = 5.0
"""Seconds between two pushes of metrics."""
_CALIBRATION = 5
_DRAIN_SECONDS = 180
_SETTLE_SECONDS = 10
_SEARCHABLE_SECONDS = 240
"""Until Tempo finds spans of more than 15 minutes ago, and Alloy has sent what it tries again."""
_QUIET_SECONDS = 5
"""Until what was sent has arrived, so that it can be counted before the backends stop."""


@dataclass(frozen=True)
class Plan:
    """Seconds before, in and after the outage; requests per second; whether the queues are in memory only."""

    before: float
    outage: float
    after: float
    rate: float
    memory: bool


class Requests:
    """Sends `GET /users` with a trace id of its own each, at a steady rate in one thread."""

    def __init__(self, service: Service, rate: float) -> None:
        self.trace_ids: list[str] = []
        self.failed = 0
        self._service = service
        self._rate = rate
        self._stopping = threading.Event()

    def one(self) -> None:
        trace_id = secrets.token_hex(16)
        try:
            status, _, _ = self._service.get(
                "/users?page_size=1", traceparent=f"00-{trace_id}-{secrets.token_hex(8)}-01"
            )
        except OSError:
            status = 0
        if status == 200:
            self.trace_ids.append(trace_id)
        else:
            self.failed += 1

    def _work(self) -> None:
        start = monotonic()
        for number in count():
            if self._stopping.wait(max(0.0, start + number / self._rate - monotonic())):
                return
            self.one()

    def start(self) -> None:
        """Begin, or go on."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)


class Received:
    """The spans that Tempo counts as received, through a restart of it, which begins at 0 again."""

    def __init__(self, stack: Stack) -> None:
        self._port = stack.tempo_port
        self._before = 0

    def _now(self) -> int:
        return received(self._port, "tempo_distributor_spans_received_total")

    def note(self) -> None:
        """To be called before it stops, once it has got what was sent."""
        self._before = self._now()

    def total(self) -> int:
        return self._before + self._now()


def run(way: str, plan: Plan, binaries: Binaries, folder: Path) -> Outcome:
    """Run the outage once."""
    database = f"sqlite:///{folder}/db.sqlite3"
    migrate(database)
    stack = Stack(folder, binaries, {"ALLOY_METRICS": way, "ALLOY_TRACES": "all"})
    if plan.memory:
        forget_storage(folder / "alloy")
    env = {
        "USERAPI_OPEN_ACCESS": "true",
        "TELEMETRY_MODE": "collector",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{stack.otlp_grpc}",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        "OTEL_METRIC_EXPORT_INTERVAL": str(int(INTERVAL * 1000)),
    }
    began = time()
    with ExitStack() as running:
        running.enter_context(stack.running())
        service = running.enter_context(Service(folder, database, env, "--workers=2"))
        requests = Requests(service, plan.rate)
        spans_each = calibrate(requests, Backend(stack.tempo_port), began)
        arrived = Received(stack)
        say(f"{way}: {plan.rate:g} requests per second, {spans_each} spans each")
        suffer(stack, plan, requests, arrived)
        service.stop()
        return settled(lambda: counted(way, stack, requests, arrived, spans_each, began), stack)


def forget_storage(folder: Path) -> None:
    """Take the queues off the disk: their settings stand two tabs deep or deeper."""
    for file in folder.glob("*.alloy"):
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(r"(?m)^\t\t+storage +=.*\n", "", text), encoding="utf-8")


def calibrate(requests: Requests, tempo: Backend, began: float) -> int:
    """Return how many spans a request leaves, while all is well."""
    for _ in range(_CALIBRATION):
        requests.one()
    last: set[int] = set()
    deadline = monotonic() + 60
    while monotonic() < deadline:
        sleep(3)
        found = spans(tempo, began, time(), 100)
        numbers = {found[trace_id] for trace_id in requests.trace_ids}
        if len(numbers) == 1 and numbers == last and 0 not in numbers:
            return numbers.pop()
        last = numbers
    raise SystemExit("the first traces did not arrive within 60 s, with every server up")


def suffer(stack: Stack, plan: Plan, requests: Requests, arrived: Received) -> None:
    """Wait, stop the backends, kill Alloy in the middle, bring them back, wait."""
    requests.start()
    sleep(plan.before)
    requests.stop()
    sleep(_QUIET_SECONDS)
    arrived.note()
    start = monotonic()
    say(f"  {plan.before:g} s: Prometheus, Tempo and Loki stop")
    with ThreadPoolExecutor() as threads:
        # They take nothing more from the first moment of their stop on, which can take Tempo half a minute.
        stops = [threads.submit(server.stop) for server in stack.backends]
        sleep(1)
        requests.start()
        sleep(max(0.0, plan.outage / 2 - (monotonic() - start)))
        held = waiting_in(stack.alloy_port)
        say(f"  {plan.before + monotonic() - start:.0f} s: kill -9 of Alloy, which holds {held} bytes")
        stack.alloy.stop(signal.SIGKILL)
        stack.alloy.start()
        sleep(max(0.0, plan.outage - (monotonic() - start)))
        for stop in stops:
            stop.result()
        list(threads.map(Server.start, stack.backends))
    say(f"  {plan.before + monotonic() - start:.0f} s: they are back")
    sleep(plan.after)
    requests.stop()


def settled(count_all: Callable[[], Outcome], stack: Stack) -> Outcome:
    """Wait until Alloy's queues are empty, then count, again and again where something is missing."""
    wait_until(lambda: waiting_in(stack.alloy_port) == 0, _DRAIN_SECONDS, "the number of bytes in Alloy's queues")
    deadline = monotonic() + _SEARCHABLE_SECONDS
    while True:
        sleep(_SETTLE_SECONDS)
        outcome = count_all()
        if not outcome.problems() or monotonic() > deadline:
            return outcome


def waiting_in(alloy_port: int) -> int:
    """Return what waits in Alloy's queues: bytes of the exporters, samples of the remote write."""
    names = "otelcol_exporter_queue_size", "prometheus_remote_storage_samples_pending"
    return sum(received(alloy_port, name) for name in names)


def counted(  # noqa: PLR0917
    way: str, stack: Stack, requests: Requests, arrived: Received, spans_each: int, began: float
) -> Outcome:
    """Ask the backends for everything."""
    ours = set(requests.trace_ids)
    found = spans(Backend(stack.tempo_port), began, time(), 2 * len(ours))
    logged = records(Backend(stack.loki_port), began)
    access = Counter(trace_id for trace_id, scope in logged if trace_id in ours and scope == "userapi.access")
    return Outcome(
        way=way,
        sent=len(ours),
        failed=requests.failed,
        spans_each=spans_each,
        spans=sum(number for trace_id, number in found.items() if trace_id in ours),
        spans_received=arrived.total(),
        access_records=len(access),
        records_twice=access.total() - len(access),
        samples=samples(Backend(stack.prometheus_port), int((time() - began) / 60) + 2, INTERVAL),
    )


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, help="a folder with alloy, tempo, loki and prometheus (default: the PATH)")
    parser.add_argument("--way", choices=WAYS, action="append", help="one ALLOY_METRICS (default: both)")
    parser.add_argument("--outage", type=float, default=42, help="seconds without backends (%(default)s)")
    parser.add_argument("--before", type=float, default=20, help="seconds before (%(default)s)")
    parser.add_argument("--after", type=float, default=38, help="seconds after (%(default)s)")
    parser.add_argument("--rate", type=float, default=50, help="requests per second (%(default)s)")
    parser.add_argument("--memory", action="store_true", help="queues in memory only: must fail")
    given = parser.parse_args()
    plan = Plan(given.before, given.outage, given.after, given.rate, given.memory)
    outcomes = []
    print(HEADING, flush=True)
    for way in given.way or WAYS:
        with tempfile.TemporaryDirectory(prefix="outage-") as folder:
            outcomes.append(run(way, plan, Binaries(given.bin), Path(folder)))
        print(outcomes[-1].line(), flush=True)
    problems = [f"{outcome.way}: {problem}" for outcome in outcomes for problem in outcome.problems()]
    for problem in problems:
        print(f"FAILED: {problem}")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
