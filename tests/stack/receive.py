"""The servers of docs/use-it.md, counted by receivers that are not ours.

    python -m tests.stack.receive --bin FOLDER

Installs the wheel beside a project of `startproject`, runs it under each server of the document in both modes, and
asks Tempo for the spans, Loki for the access records and Prometheus for the requests: in collector mode through Alloy,
in direct mode straight.

Exit code 0 where each of the three is the number of requests, 1 where one is not, 2 where a program is missing.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep, time

import tests.support.environment  # noqa: F401
from telemetry.tools.backends import Tempo
from tests.stack.check import Report
from tests.stack.scraping import Asked, scrape, scrape_service
from tests.stack.servers import Stack, given_binaries
from tests.stack.stored import Backend
from tests.support.service import ROOT
from tests.use_it.project import commands, make_project, running, start_project
from tests.use_it.test_servers import ask

_ROUNDS = 10
_ARRIVAL_SECONDS = 90


class Counts:
    """What the stack's servers have of one service."""

    def __init__(self, stack: Stack) -> None:
        self._tempo = Tempo(f"http://127.0.0.1:{stack.tempo_port}")
        self._loki = Backend(stack.loki_port)
        self._prometheus = Asked(stack.prometheus_port)
        self._began = time()

    def of(self, service: str) -> dict[str, int]:
        """Return server spans, access records and requests counted."""
        name = json.dumps(service)
        spans = self._tempo.count(f"{{ resource.service.name = {name} && kind = server }}", self._began, time())
        query = f'sum(count_over_time({{service_name={name}}} | scope_name="telemetry.access" [1h]))'
        lines = self._loki.get("/loki/api/v1/query", query=query)["data"]["result"]
        requests = self._prometheus.value(f"sum(http_server_request_duration_seconds_count{{service_name={name}}})")
        return {
            "spans": spans,
            "records": int(lines[0]["value"][1]) if lines else 0,
            "requests": int(requests or 0),
        }


def endpoints(stack: Stack, mode: str) -> dict[str, str]:
    if mode == "collector":
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{stack.otlp_http}", "TELEMETRY_MODE": mode}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{stack.tempo_otlp}",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"http://127.0.0.1:{stack.loki_port}/otlp/v1/logs",
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/protobuf",
        "TELEMETRY_MODE": mode,
    }


def counted(counts: Counts, service: str, requests: int) -> str:
    """Wait until all is there and return what differs, empty where nothing does."""
    wanted = dict.fromkeys(("spans", "records", "requests"), requests)
    deadline = monotonic() + _ARRIVAL_SECONDS
    while (found := counts.of(service)) != wanted and monotonic() < deadline:
        sleep(1)
    return "" if found == wanted else f"{found}; {requests} requests were answered"


def receive(report: Report, stack: Stack, folder: Path) -> None:
    """Run each server in both modes."""
    site, project = folder / "site", make_project(start_project(folder / "stock"), folder / "project")
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "install", *options, str(ROOT)], check=True)
    counts = Counts(stack)
    for number, (name, command) in enumerate(commands().items()):
        for mode in ("collector", "direct"):
            service = f"shop-{number}-{mode}"
            protocol = "http/protobuf" if mode == "collector" else "grpc"
            env = {
                **endpoints(stack, mode),
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                "OTEL_SERVICE_NAME": service,
                "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            }
            with running(project, site, command, env) as server:
                requests = ask(server, _ROUNDS).total()
                if mode == "direct":
                    scrape_service(folder, server.port)
                problem = counted(counts, service, requests)
            report.line(f"{name}, {mode}: {requests} requests", problem)


def main() -> int:
    binaries = given_binaries(__doc__, ("alloy", "tempo", "loki", "prometheus"))
    report = Report()
    with tempfile.TemporaryDirectory(prefix="receive-") as name:
        folder = Path(name)
        stack = Stack(folder, binaries, {"ALLOY_METRICS": "otlp"})
        scrape(folder, {"alloy": stack.alloy_port})
        with stack.running():
            receive(report, stack, folder)
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(main())
