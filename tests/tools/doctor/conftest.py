"""The doctor as people run it, and what it looks at."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from telemetry.tools.console.receiving.scraper import ScrapeTarget
from telemetry.tools.console.server import Console
from telemetry.tools.doctor.doctor import Doctor
from telemetry.tools.doctor.places import Places
from telemetry.tools.doctor.report import as_data
from telemetry.tools.doctor.service import PATH
from telemetry.tools.doctor.walk import Result, Walk
from tests.support.routes import Route
from tests.support.service import ROOT, Service, free_port

# Everything is sent at once, so that little is waited for.
EAGER = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "500"}


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found."""

    report: dict[str, Any]

    @property
    def text(self) -> str:
        return json.dumps(self.report, indent=1)

    @property
    def passed(self) -> bool:
        passed: bool = self.report["passed"]
        return passed

    def hop(self, name: str, target: str | None = None) -> dict[str, Any]:
        """Return the first hop of that name (and target)."""
        found: dict[str, Any] = next(
            hop for hop in self.report["hops"] if hop["hop"] == name and target in {None, hop["target"]}
        )
        return found

    def states(self) -> dict[str, str]:
        """Return the state of each hop by its label."""
        return {f"{hop['hop']} {hop['target'] or ''}".strip(): hop["state"] for hop in self.report["hops"]}

    @property
    def failed(self) -> list[str]:
        return [label for label, state in self.states().items() if state == "failed"]


def run_doctor(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py doctor` with `arguments`; variables of the environment are added."""
    return subprocess.run(
        [sys.executable, "manage.py", "doctor", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": "postgres://nobody:x@127.0.0.1:1/none", **env},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


class Quiet:
    """Shows nothing."""

    def begin(self, label: str) -> None:
        pass

    def result(self, result: Result) -> None:
        pass


def diagnose(
    places: Mapping[str, str], environ: Mapping[str, str], wait: float = 30.0, timeout: float = 10.0
) -> Diagnosis:
    """Run the doctor in this process, with an environment of its own; `places` are URLs by server."""
    walk = Walk(Quiet(), poll=0.2)
    doctor = Doctor(Places.read(places, timeout, environ), walk, PATH, wait, environ)
    doctor.run()
    service = doctor.service.base if doctor.service else ""
    report = as_data(walk.results, mode=doctor.mode, service=service, trace_id=doctor.trace_id)
    return Diagnosis(report)


@dataclass(frozen=True)
class Pair:
    """A service and the console that it sends to."""

    service: Service
    console: Console
    env: dict[str, str]

    @property
    def places(self) -> dict[str, str]:
        return {"service": f"http://127.0.0.1:{self.service.port}", "console": self.console.url}

    def diagnose(self, **env: str) -> Diagnosis:
        """Examine the service from a shell with its own environment."""
        return diagnose(self.places, {**self.env, **env})


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Callable[..., Pair]]:
    """A function that starts a service on a route to a console, which scrapes it in direct mode.

    They run until the module's end, for tests that share them: each costs CPU time as long as it runs.
    """
    with pairs(tmp_path_factory.mktemp("pair"), migrated_sqlite) as start:
        yield start


@pytest.fixture
def own_pair(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Callable[..., Pair]]:
    """`pair` for what one test alone examines; they run until its end."""
    with pairs(tmp_path, migrated_sqlite) as start:
        yield start


@contextmanager
def pairs(folder: Path, migrated_sqlite: Path) -> Iterator[Callable[..., Pair]]:
    """Yield what `pair` is; what it has started is stopped at the end."""
    with ExitStack() as stack:

        def start(route: Route, **env: str) -> Pair:
            grpc_port, http_port = free_port(), free_port()
            env = {**EAGER, **route.env_for(grpc_port, http_port), **env}
            database = shutil.copy(migrated_sqlite, folder / f"{grpc_port}.sqlite3")
            service = Service(folder, f"sqlite:///{database}", {"USERAPI_OPEN_ACCESS": "true", **env}, "--workers=2")
            url = f"http://127.0.0.1:{service.port}/metrics"
            target = ScrapeTarget("direct", url, env.get("METRICS_TOKEN"))
            console = Console(
                grpc_port=grpc_port,
                http_port=http_port,
                api_port=0,
                scrape_targets=[target] if route.mode == "direct" else [],
                scrape_interval=0.5,
            )
            stack.enter_context(console)
            stack.enter_context(service)
            return Pair(service, console, env)

        yield start
