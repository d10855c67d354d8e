"""A real demo on free ports, in a folder of its own."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import cycle
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from telemetry.tools.demo.arrivals import Arrivals
from telemetry.tools.demo.environment import database_file
from telemetry.tools.demo.ports import MODES, Mode, Ports, busy_port
from telemetry.tools.traffic.client import call
from tests.support.service import ROOT, forget_former, free_port, wait_until
from tests.support.shared import made_once


class RunningDemo:
    """`manage.py demo --json` with `arguments`; at the end of its block nothing of it is left."""

    def __init__(self, folder: Path, offset: int, *arguments: str) -> None:
        self.folder = folder
        self.ports = Ports(offset)
        self._stderr = folder.with_suffix(".stderr")
        self._stdout = folder.with_suffix(".stdout")
        command = [sys.executable, "manage.py", "demo", "--json", "--folder", str(folder), "--port-offset", str(offset)]
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self._process = subprocess.Popen(
                [*command, *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.wait_until_gone("processes of the demo")

    @property
    def errors(self) -> str:
        return self._stderr.read_text()

    @property
    def output(self) -> str:
        return self._stdout.read_text()

    @property
    def runs(self) -> bool:
        """Whether the command has not ended."""
        return self._process.poll() is None

    def processes(self) -> list[psutil.Process]:
        """Return all that runs of this demo, the command itself too."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            arguments = process.cmdline()
            return str(self.folder) in arguments or str(self.folder) in process.environ().get("DATABASE_URL", "")
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            return False

    def wait_until_gone(self, what: str = "the demo's end", seconds: float = 60) -> None:
        """Wait until the command has ended and nothing of it runs, without looking at all processes again and again."""
        wait_until(lambda: not self.runs, seconds, what)
        psutil.wait_procs(self.processes(), seconds)
        wait_until(lambda: not self.processes(), seconds, what)

    def part(self, argument: str, service: str = "") -> psutil.Process:
        """Return the first process with `argument` on its command line, of the greeter or worker if that is named."""
        found: dict[psutil.Process, float] = {}
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):  # it has ended just now
                if argument in process.cmdline() and process.environ().get("OTEL_SERVICE_NAME", "") == service:
                    found[process] = process.create_time()
        return min(found, key=found.__getitem__)

    def wait_for_traffic(self) -> None:
        """Wait until the links are printed, after which traffic begins."""
        wait_until(lambda: "Try:" in self.errors or self._process.poll() is not None, 120, "the demo's links")
        assert self._process.poll() is None, self.errors

    def wait_for_arrivals(self, mode: Mode, requests: int = 1) -> None:
        """Wait until the console has so many requests of `mode`."""
        arrivals = Arrivals(self.ports.console)
        wait_until(
            lambda: arrivals.refresh() is None and arrivals.of(mode).server_spans >= requests, 60, "requests' spans"
        )

    def wait_for_failures(self) -> dict[str, Any]:
        """Wait until the console has a failing request of each mode with its error record; return the traces."""
        return {mode: wait_until(partial(self._failure, mode), 60, "a failing request") for mode in MODES}

    def _failure(self, mode: Mode) -> Any:
        listed = call(self.ports.console, "GET", f"/api/traces?mode={mode}&limit=500").body["traces"]
        failed = [trace["trace_id"] for trace in listed if trace["root_name"] == "GET /demo/failure"]
        traces = (call(self.ports.console, "GET", f"/api/traces/{one}").body for one in failed)
        return next((one for one in traces if any(log["severity"].lower() == "error" for log in one["logs"])), None)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout: float = 120) -> int:
        """Return the exit code; nothing may be running then."""
        code = self._process.wait(timeout)
        # What was killed takes a moment to be gone, and its exporter delivers for as long as TELEMETRY_FLUSH_TIMEOUT.
        self.wait_until_gone(f"processes of the demo after its end ({self.errors})")
        assert busy_port(self.ports.used(MODES)) is None
        return code

    def left(self) -> "EndedDemo":
        """Return what it has left after its end."""
        secret = (self.folder / "secret-key").read_text()
        return EndedDemo(self.folder, secret, self._process.wait(), self.output, self.errors)

    def tally(self) -> dict[str, Any]:
        """Return the last line of standard output."""
        decoded: dict[str, Any] = json.loads(self.output.splitlines()[-1])
        return decoded


StartDemo = Callable[..., RunningDemo]


@cache
def _offsets() -> Iterator[int]:
    """Return offsets, over and over: no port of theirs is that of another process' demo, nor of any other test.

    The ports of a demo differ by one or two, or by numbers that are no multiple of 5 or above 3,000.
    """
    first = free_port() // 200 * 100 - 8_000  # from 2,000, as the process' block of 200 ports is from 20,000
    return cycle(range(first, first + 100, 5))


def free_offset() -> int:
    """Return an offset at which all ports are free."""
    found = next(offset for offset in _offsets() if busy_port(Ports(offset).used(MODES)) is None)
    for port in Ports(found).used(MODES):
        forget_former(port)
    return found


@pytest.fixture
def offset() -> int:
    """An offset at which all ports are free."""
    return free_offset()


@dataclass(frozen=True)
class EndedDemo:
    """What a demo has left: its folder, the secret in it, and what it printed."""

    folder: Path
    secret: str
    code: int
    output: str
    errors: str


@pytest.fixture(scope="session")
def killed_demo(run_folder: Path) -> EndedDemo:
    """A demo of one mode that was killed while it sent; something else listened on the port of the other mode."""

    def run() -> EndedDemo:
        with RunningDemo(run_folder / "demo", free_offset(), "--mode", "direct") as demo:
            with occupied(demo.ports.collector):
                demo.wait_for_traffic()
                demo.wait_for_arrivals("direct", 40)
                demo.signal(signal.SIGKILL)
                demo.wait_until_gone()
            return demo.left()

    return made_once(run_folder, "killed-demo", run)


@dataclass(frozen=True)
class VisitedDemo:
    """A demo of both modes, in the folder of an earlier one, after some visits and its end."""

    ended: EndedDemo
    emails: list[str]
    """Those of the users."""
    failures: dict[str, Any]
    """By mode, the trace of a request to the route that fails on purpose."""


@pytest.fixture(scope="session")
def visited_demo(run_folder: Path, killed_demo: EndedDemo) -> VisitedDemo:
    """A demo in the folder of the killed one. It is visited five times in each mode, and asked to stop."""

    def run() -> VisitedDemo:
        with RunningDemo(killed_demo.folder, free_offset(), "--rate", "20") as demo:
            demo.wait_for_traffic()
            users = call(demo.ports.collector, "GET", "/users?page_size=100").body["results"]
            failures = demo.wait_for_failures()
            missing = call(demo.ports.collector, "GET", "/nowhere")
            assert (missing.status, missing.body["status"]) == (404, 404)
            for port, count in ((demo.ports.collector, 3), (demo.ports.direct, 5)):
                for _ in range(count):
                    assert call(port, "GET", "/users").status == 200
            demo.signal(signal.SIGTERM)
            demo.wait()
            return VisitedDemo(demo.left(), [user["email"] for user in users], failures)

    return made_once(run_folder, "visited-demo", run)


@pytest.fixture
def start_demo(tmp_path: Path, offset: int, migrated_sqlite: Path) -> Iterator[StartDemo]:
    """A function that starts the demo: `start_demo("--for", "4")`, with a database that has its tables."""
    folder = tmp_path / "demo"
    folder.mkdir()
    shutil.copy(migrated_sqlite, database_file(folder))
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(RunningDemo(folder, offset, *arguments))


@contextmanager
def occupied(port: int) -> Iterator[None]:
    """Have another process listen on `port`."""
    with socket.create_server(("127.0.0.1", port)):
        yield


def assert_exact(mode: str, tally: dict[str, int], visitors: int = 0) -> None:
    """Check that each request is in every signal, once, and that no other is."""
    assert tally["sent"] > 0
    assert tally["answered"] == tally["sent"]
    counts = {tally[name] for name in ("server_spans", "access_records", "requests")}
    assert counts == {tally["sent"] + tally["calls"] + visitors}
    assert [tally[name] for name in ("visitors", "failed", "dropped", "duplicate_spans")] == [visitors, 0, 0, 0]
    assert tally["spans"] > tally["server_spans"]
    assert tally["log_records"] >= tally["access_records"]
    points = tally["data_points"] > 0, tally["scraped_samples"] > 0
    assert points == ((True, False) if mode == "collector" else (False, True))
