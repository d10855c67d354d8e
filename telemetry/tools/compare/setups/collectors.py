"""Real collectors between the service and the backend in collector mode, each a process."""

import os
import re
import shutil
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Protocol

import psutil
import requests

from telemetry.tools.compare.setups.sockets import free_port, listens, wait_until
from telemetry.tools.compare.setups.usage import memory_of, seconds_of
from telemetry.tools.demo.environment import ROOT
from telemetry.tools.demo.processes import Child, Processes

_START_SECONDS = 30.0
_STOP_SECONDS = 30.0
# The load generator has priority on the cores that they share: otherwise a request takes longer during a batch.
# With Linux autogrouping a session has a nice value, too, and that of a process applies only within its session.
_YIELDING = ("/bin/sh", "-c", '{ echo 10 >/proc/self/autogroup; } 2>/dev/null; exec nice -n 10 "$@"', "sh")


class Collector(Protocol):
    """A running collector. `port` receives OTLP over the protocol that it was created for."""

    name: str
    queue_on_disk: bool
    port: int

    def start(self) -> None:
        """Start the collector; a restart uses the same ports and folder."""

    def stop(self) -> None:
        """Stop it gracefully: it delivers what it can."""

    def kill(self) -> None:
        """End it at once."""

    def cpu_seconds(self) -> float:
        """CPU time of all its runs."""

    def memory(self) -> float:
        """Bytes of memory of the running process, 0 if none runs."""

    def losses(self, item: str) -> Counter[str]:
        """Undelivered items ("spans" or "log records") by its own counters; empty if it has none."""


class _Process:
    """Common base of both collectors: one process that can be restarted."""

    name = ""

    def __init__(self, processes: Processes, folder: Path, protocol: str) -> None:
        self._processes = processes
        self._folder = folder
        self._ports = {"grpc": free_port(), "http/protobuf": free_port()}
        self.port = self._ports[protocol]
        self._child: Child | None = None
        self._past_cpu = 0.0
        self._number = 0

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        self._number += 1
        log = f"{self._folder.name}-collector-{self._number}.log"
        self._child = self._processes.execute(self.name, log, [*_YIELDING, *self._command()], self._environment())
        wait_until(self._listens, _START_SECONDS, f"{self.name}'s port")

    def _listens(self) -> bool:
        if self._child is not None:
            self._child.check()
        return all(listens(port) for port in self._ports.values())

    def stop(self) -> None:
        self._end(Child.stop)

    def kill(self) -> None:
        self._past_cpu = self.cpu_seconds()
        self._end(Child.kill)

    def _end(self, end: Callable[[Child], None]) -> None:
        child, self._child = self._child, None
        if child is not None:
            end(child)
            child.wait(_STOP_SECONDS, lambda: False)
            self._past_cpu += child.cpu_seconds
            self._processes.forget(child)

    def cpu_seconds(self) -> float:
        if self._child is not None:
            with suppress(psutil.NoSuchProcess):
                return self._past_cpu + seconds_of(psutil.Process(self._child.pid))
        return self._past_cpu

    def memory(self) -> float:
        if self._child is not None:
            with suppress(psutil.NoSuchProcess):
                return memory_of(psutil.Process(self._child.pid))[1]
        return 0.0


class BackendPorts(NamedTuple):
    """The ports on the loopback address that a collector sends to."""

    grpc: int
    http: int


class Rotel(_Process):
    """Rotel, from its wheel: a small collector whose queue is in memory."""

    queue_on_disk = False

    def __init__(self, processes: Processes, folder: Path, protocol: str, backend: BackendPorts) -> None:
        super().__init__(processes, folder, protocol)
        self.name = f"Rotel {version('rotel')}"
        self._backend_port = backend.grpc

    def _command(self) -> list[str]:
        found = find_spec("rotel")
        if found is None or found.origin is None:
            raise FileNotFoundError("rotel is not installed; make test installs it")
        return [
            str(Path(found.origin).parent / "rotel-agent"),
            "start",
            f"--otlp-grpc-endpoint=127.0.0.1:{self._ports['grpc']}",
            f"--otlp-http-endpoint=127.0.0.1:{self._ports['http/protobuf']}",
            "--exporter=otlp",
            f"--otlp-exporter-endpoint=http://127.0.0.1:{self._backend_port}",
            # The OpenTelemetry Collector and Alloy back off from 5 s as well, but a comparison waits for retries.
            "--otlp-exporter-retry-initial-backoff=1s",
            "--otlp-exporter-retry-max-backoff=5s",
            f"--pid-file={self._folder}/rotel.pid",
            f"--log-file={self._folder}/rotel.log",
        ]

    def _environment(self) -> dict[str, str]:
        """Set the path of this Python's library, which it is linked with, in case the system does not find it."""
        folders = (sysconfig.get_config_var("LIBDIR"), os.environ.get("LD_LIBRARY_PATH"))
        return {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, folders))}

    def losses(self, _item: str) -> Counter[str]:
        """It keeps no counters."""
        return Counter()


# Values in the deployment's configuration that a comparison replaces.
_RECEIVERS = {"grpc": ":4317", "http/protobuf": ":4318"}
_QUEUE = "/var/lib/alloy/data/otel-queue"
_PROMETHEUS_PATH = "/api/v1/otlp"
CONFIGURATION = ROOT / "deploy" / "alloy"


class Alloy(_Process):
    """Grafana Alloy with the deployment's configuration, whose queue is on disk.

    A copy of it is changed in: the ports of its receiver, the folder of its queue, and the path of Prometheus' OTLP
    receiver, which is the console's here. The privacy rules and the batches are the deployment's.
    """

    queue_on_disk = True

    def __init__(
        self, processes: Processes, folder: Path, protocol: str, backend: BackendPorts, *, binary: Path
    ) -> None:
        super().__init__(processes, folder, protocol)
        self.name = alloy_title(binary)
        self._binary = binary
        self._http_port = free_port()
        self._failed: dict[str, Counter[str]] = {}
        self._backend = backend
        self._configure(folder / "alloy", folder / "queue")

    def _configure(self, configuration: Path, queue: Path) -> None:
        shutil.copytree(CONFIGURATION, configuration)
        queue.mkdir()
        changes = {address: f"127.0.0.1:{self._ports[name]}" for name, address in _RECEIVERS.items()}
        changes |= {_QUEUE: str(queue), _PROMETHEUS_PATH: ""}
        for path in configuration.glob("*.alloy"):
            text = path.read_text()
            for old, new in changes.items():
                text = text.replace(f'"{old}"', f'"{new}"')
            path.write_text(text)

    def _environment(self) -> dict[str, str]:
        http = f"http://127.0.0.1:{self._backend.http}"
        return {
            "ALLOY_METRICS": "otlp",
            "PROMETHEUS_URL": http,
            "LOKI_OTLP_URL": http,
            "TEMPO_OTLP_GRPC": f"127.0.0.1:{self._backend.grpc}",
        }

    def _command(self) -> list[str]:
        return [
            str(self._binary),
            "run",
            str(self._folder / "alloy" / "config.alloy"),
            f"--server.http.listen-addr=127.0.0.1:{self._http_port}",
            f"--storage.path={self._folder}/storage",
            "--stability.level=public-preview",
            "--disable-reporting",
        ]

    def losses(self, item: str) -> Counter[str]:
        """Return the items that its exporter failed to send or to queue."""
        with suppress(requests.RequestException):
            text = requests.get(f"http://127.0.0.1:{self._http_port}/metrics", timeout=5).text
            kind = item.replace(" ", "_")
            found: Counter[str] = Counter()
            pattern = rf"^(otelcol_exporter_(?:send|enqueue)_failed_{kind})(?:_total)?{{[^}}]*}} (\S+)$"
            for name, value in re.findall(pattern, text, re.MULTILINE):
                found[name] += int(float(value))
            self._failed[item] = +found
        return self._failed.get(item, Counter())


def alloy_binary(given: str) -> Path:
    """Return the executable that `--alloy` names; raises FileNotFoundError."""
    found = shutil.which(given)
    if found is None:
        raise FileNotFoundError(f"--alloy {given} is no executable file; expected the path of Grafana Alloy's binary")
    if not CONFIGURATION.is_dir():
        raise FileNotFoundError(f"{CONFIGURATION.relative_to(ROOT)} is missing: the configuration of Alloy")
    return Path(found).resolve()


@cache
def alloy_title(binary: Path) -> str:
    """Return the name and version that the binary prints."""
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    found = re.search(r"v(\d+\.\d+\.\d+\S*)", answer.stdout)
    return f"Alloy {found[1]}" if found else "Alloy"
