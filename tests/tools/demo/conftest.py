"""A real demo on free ports, in a folder of its own."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from telemetry.tools.demo.arrivals import Arrivals
from telemetry.tools.demo.ports import MODES, Mode, Ports, busy_port
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

    def part(self, argument: str) -> psutil.Process:
        """Return the first process with `argument` on its command line; none of the greeter or the worker."""
        found: dict[psutil.Process, float] = {}
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):  # it has ended just now
                if argument in process.cmdline() and "OTEL_SERVICE_NAME" not in process.environ():
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

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout: float = 120) -> int:
        """Return the exit code; nothing may be running then."""
        code = self._process.wait(timeout)
        # What was killed takes a moment to be gone, and its exporter delivers for as long as TELEMETRY_FLUSH_TIMEOUT.
        self.wait_until_gone(f"processes of the demo after its end ({self.errors})")
        assert busy_port(self.ports.used(MODES)) is None
        return code

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
    """What a demo has left: its folder, and what it printed."""

    folder: Path
    code: int
    output: str
    errors: str


@pytest.fixture(scope="session")
def ended_demo(run_folder: Path) -> EndedDemo:
    """A demo of both modes that has ended after eight seconds of traffic. Its folder is to be copied."""

    def run() -> EndedDemo:
        with RunningDemo(run_folder / "ended-demo", free_offset(), "--for", "8", "--rate", "20") as demo:
            code = demo.wait()
            return EndedDemo(demo.folder, code, demo.output, demo.errors)

    return made_once(run_folder, "ended-demo", run)


@pytest.fixture
def start_demo(tmp_path: Path, offset: int) -> Iterator[StartDemo]:
    """A function that starts the demo: `start_demo("--for", "4")`."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(RunningDemo(tmp_path / "demo", offset, *arguments))


@contextmanager
def occupied(port: int) -> Iterator[None]:
    """Have another process listen on `port`."""
    with socket.create_server(("127.0.0.1", port)):
        yield
