"""The audit behind a real collector, Rotel, which drops what its backend refuses after it has confirmed it."""

from collections.abc import Callable
from pathlib import Path

from telemetry.tools.compare.setups.collectors import BackendPorts, Rotel
from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from telemetry.tools.demo.processes import Processes
from tests.support.rotel import needs_rotel
from tests.support.routes import Route, send
from tests.support.service import Service, wait_until
from tests.tools.audit.conftest import EAGER, Auditor, missing

pytestmark = needs_rotel


def test_collector_drops_what_its_backend_refuses(
    start_service: Callable[..., Service], console: Console, tmp_path: Path
) -> None:
    with Processes(tmp_path) as processes:
        rotel = Rotel(processes, tmp_path, "grpc", BackendPorts(console.grpc_port, console.http_port))
        rotel.start()
        env = {**EAGER, **Route("collector", "grpc").env_for(rotel.port, rotel.port)}
        service = start_service("--workers=1", **env)
        auditor = Auditor(service, {"console": console.url}, env)
        send(service, 9)
        wait_until(lambda: service.has_delivered(everything=True), 60, "what the collector confirms")
        status = service.status()
        assert status
        spans = status["signals"]["traces"]["accepted"]
        # The collector holds for a moment what it has confirmed.
        auditor.until(
            lambda one: (
                [account.completeness for account in one.values()] == [1, 1, 1]
                and one["traces"].recorded.items == spans >= 9
            ),
            "complete",
        )

        console.receiver.faults = Faults(status=400, signals=("traces",))
        send(service, 9)
        found = auditor.until(
            lambda one: (
                one["traces"].lost >= 9
                and one["traces"].lost == one["traces"].recorded.items - spans
                and one["logs"].completeness == 1
            ),
            "dropped",
        )
        assert found["traces"].recorded.lost == {}  # the collector has confirmed them
        lost = found["traces"].recorded.items - spans
        assert missing(found["traces"]) == {("between the service and the console", "confirmed but not stored"): lost}
