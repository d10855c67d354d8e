"""The service as its users run it: a real gunicorn in processes of its own."""

import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Self

import psutil

from telemetry.journal import directory
from telemetry.status import read_statuses
from telemetry.tools.compare.setups.sockets import listens, wait_until
from tests.support.ports import free_port

__all__ = [
    "NO_PRELOAD",
    "ROOT",
    "Service",
    "addresses",
    "forget_former",
    "free_port",
    "listens",
    "services",
    "wait_until",
]

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
NO_PRELOAD = "no preload"
"""An argument for `Service`: each worker imports the application by itself, as gunicorn does by default."""


def addresses() -> dict[Path, str]:
    """Return where the services say that they listen, by the directories of their runs."""
    found: dict[Path, str] = {}
    for path in directory.run_directories():
        with suppress(OSError, ValueError, KeyError):  # those of other tests come and go
            found[path] = directory.read_service(path)["address"]
    return found


def forget_former(port: int) -> None:
    """Remove what a killed service of an earlier test has left at this port: a new one would continue its counts."""
    for path, address in addresses().items():
        with suppress(OSError):
            if address.endswith(f":{port}") and not directory.is_alive(path):
                shutil.rmtree(path.parent)


class Service:
    """`python -m gunicorn -c deploy/gunicorn.conf.py userapi.wsgi` on a free port.

    `env` is added to the environment, `args` to the command line. `output` is what it printed, in whole lines.
    """

    def __init__(self, folder: Path, database: str, env: Mapping[str, str], *args: str, script: bool = False) -> None:
        """`script` runs gunicorn's command, not its module, which cannot be executed anew (USR2).

        The application is imported once, before the fork, unless the arguments say what happens then (`NO_PRELOAD`).
        """
        self.port = free_port()
        self._log = folder / f"service-{self.port}.log"
        module = [sys.executable, "-m", "gunicorn"]
        self._command = [str(Path(sys.executable).with_name("gunicorn"))] if script else module
        self._command += ["-c", "deploy/gunicorn.conf.py"]
        # Before the fork the settings know no number of threads, which decides the size of PostgreSQL's pool.
        own = script or "--preload" in args or NO_PRELOAD in args or database.startswith("postgres")
        preload = [] if own else ["--preload"]
        options = [*preload, *(argument for argument in args if argument != NO_PRELOAD)]
        self._command += ["--bind", f"127.0.0.1:{self.port}", *options, "userapi.wsgi"]
        self._env = {**os.environ, "DATABASE_URL": database, **env}
        self._process: subprocess.Popen[bytes] | None = None
        forget_former(self.port)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                for process in [*self.workers(), psutil.Process(self.process.pid)]:
                    process.kill()
                self.process.wait()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the service was not started"
        return self._process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        printed = self._log.read_bytes()
        return printed[: printed.rfind(b"\n") + 1].decode()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, env=self._env, stdout=log, stderr=log)
        wait_until(self._started, START_SECONDS, "the service's answer")

    def _started(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"the service ended with {self.process.returncode}:\n{self.output}")
        return self.answers()

    def answers(self) -> bool:
        """Return whether the port answers."""
        try:
            return self.get(f"{self._env.get('SCRIPT_NAME', '')}/livez")[0] == 200
        except OSError:
            return False

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 30
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request over a connection of its own; return status, headers (lower case) and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        given = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {**given, "Connection": "close", **(headers or {})},
            )
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        return self.request("GET", path, headers=headers)

    def workers(self) -> list[psutil.Process]:
        """Return the living worker processes."""
        living = []
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children():
                with suppress(psutil.NoSuchProcess):  # it has ended just now
                    if child.status() != psutil.STATUS_ZOMBIE:
                        living.append(child)
        return living

    def status(self, server: int | None = None, timeout: float = 10.0) -> dict[str, Any] | None:
        """Return what the exporter of the service, or of another `server` process, reports, if it answers in time."""
        answers = read_statuses(timeout, self.process.pid if server is None else server)
        return next((status for status in answers if "error" not in status), None)

    def has_delivered(self, *, everything: bool = False) -> bool:
        """Return whether the backend has taken spans and log records, some or all that wait, and is being sent none."""
        status = self.status()
        signals = [status["signals"][signal] for signal in ("traces", "logs")] if status else []
        under_way = ["in_flight", "queue"] if everything else ["in_flight"]
        return bool(signals) and all(each["accepted"] and not any(each[key] for key in under_way) for each in signals)

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill the server and its workers."""
        workers = self.workers()
        self.process.kill()
        for worker in workers:
            with suppress(psutil.NoSuchProcess):  # it has noticed that its server is gone
                worker.kill()
        self.process.wait(30)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 40) -> float:
        """Stop it and return how long that took, in seconds."""
        started = monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout)
        return monotonic() - started


@contextmanager
def services(folder: Path, migrated_sqlite: Path) -> Iterator[Callable[..., Service]]:
    """Yield what the fixture `start_service` is; what it has started is stopped at the end."""
    with ExitStack() as stack:

        def start(*args: str, script: bool = False, **env: str) -> Service:
            database = env.pop("DATABASE_URL", None)
            if database is None:
                copy = folder / f"{secrets.token_hex(4)}.sqlite3"
                shutil.copy(migrated_sqlite, copy)
                database = f"sqlite:///{copy}"
            # A stop that delivers has the time for it that gunicorn can give, on a busy machine, too.
            usual = {"USERAPI_OPEN_ACCESS": "true", "TELEMETRY_FLUSH_TIMEOUT": "15"}
            return stack.enter_context(Service(folder, database, {**usual, **env}, *args, script=script))

        yield start
