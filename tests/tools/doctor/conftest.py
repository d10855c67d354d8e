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
from tests.support.routes import ROUTES, Route
from tests.support.service import ROOT, Service, free_port, wait_until

# Everything is sent at once, so that little is waited for.
EAGER = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
SECRETS = {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=hush-hush", "METRICS_TOKEN": "hush-hush-hush-hush"}


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
    places: Mapping[str, str], environ: Mapping[str, str], wait: float = 30.0, timeout: float = 10.0, poll: float = 0.2
) -> Diagnosis:
    """Run the doctor in this process, with an environment of its own; `places` are URLs by server.

    It asks again for what has not come every `poll` seconds.
    """
    walk = Walk(Quiet(), poll=poll)
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


@dataclass(frozen=True)
class Examined(Pair):
    """A pair that tests share, with what the doctor found at first."""

    first: Diagnosis
    counts: tuple[int, ...]
    """Server spans, spans, access records and requests that the console then had of the mode."""
    own_spans: list[tuple[str, str, str]]
    """The doctor's own spans by then: scope, kind and mode of each."""


@pytest.fixture(scope="package", params=[ROUTES[0]], ids=str)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path
) -> Iterator[Examined]:
    """A service in collector mode and its console, for all tests that leave them as they were.

    The service's own status alone may be a warning: it remembers for a minute what a test had refused.

    Those of another route (`routes`) run one after the other, because each pair costs CPU time as long as it runs.
    """
    route = request.param
    with pairs(tmp_path_factory.mktemp("pair"), migrated_sqlite) as start:
        examined = start(route, **SECRETS)
        first = examined.diagnose()
        totals = examined.console.store.mode(route.mode)
        requests = totals.requests_otlp if route.mode == "collector" else totals.requests_scraped
        counts = (totals.server_spans, totals.spans, totals.access_records, requests)
        sent = [span for span in examined.console.store.spans() if span.resource.service == "user-api-doctor"]
        own = [(span.scope.name, span.kind, span.resource.mode) for span in sent]
        yield Examined(examined.service, examined.console, examined.env, first, counts, own)


def routes(*routes: Route) -> pytest.MarkDecorator:
    """Mark a test that examines a pair on each of these routes."""
    return pytest.mark.parametrize("pair", routes, ids=str, indirect=True)


@pytest.fixture
def own_pair(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Callable[..., Pair]]:
    """A function that starts a service on a route to a console for one test alone; they run until its end."""
    with pairs(tmp_path, migrated_sqlite) as start:
        yield start


@contextmanager
def pairs(folder: Path, migrated_sqlite: Path) -> Iterator[Callable[..., Pair]]:
    """Yield what `own_pair` is; what it has started is stopped at the end."""
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
                scrape_interval=1,
            )
            stack.enter_context(console)
            stack.enter_context(service)
            if env["TELEMETRY_MODE"] != "off":
                wait_until(service.status, 60, "the exporter's status")
            return Pair(service, console, env)

        yield start
