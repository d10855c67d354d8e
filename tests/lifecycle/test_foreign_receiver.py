"""A collector that this project did not write, Rotel, understands what the service sends, over each protocol."""

from collections.abc import Callable
from pathlib import Path

import pytest

from telemetry.tools.compare.setups.collectors import BackendPorts, Rotel
from telemetry.tools.console.server import Console
from telemetry.tools.demo.processes import Processes
from tests.support.rotel import needs_rotel
from tests.support.routes import LAZY, Route, expect, send
from tests.support.service import Service

pytestmark = needs_rotel


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_foreign_collector_passes_everything_on(
    console: Console, start_service: Callable[..., Service], tmp_path: Path, protocol: str
) -> None:
    with Processes(tmp_path) as processes:
        rotel = Rotel(processes, tmp_path, protocol, BackendPorts(console.grpc_port, console.http_port))
        rotel.start()
        env = Route("collector", protocol).env_for(rotel.port, rotel.port)
        service = start_service("--workers=1", **env, **LAZY)
        send(service, 12)
        service.stop()
        expect(console, "collector", 12)
