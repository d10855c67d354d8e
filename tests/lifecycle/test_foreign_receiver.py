"""A collector that this project did not write, `rotel`, understands what the service sends, over each protocol."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from telemetry.tools.console.server import Console
from tests.support.routes import LAZY, Route, expect, send
from tests.support.service import Service, free_port, listens, wait_until

rotel = pytest.importorskip("rotel", reason="rotel has no wheel for this Python")
BINARY = Path(rotel.__file__).parent / "rotel-agent"


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_foreign_collector_passes_everything_on(
    console: Console, start_service: Callable[..., Service], tmp_path: Path, protocol: str
) -> None:
    grpc_port, http_port = free_port(), free_port()
    command = [
        str(BINARY),
        "start",
        f"--otlp-grpc-endpoint=127.0.0.1:{grpc_port}",
        f"--otlp-http-endpoint=127.0.0.1:{http_port}",
        "--exporter=otlp",
        f"--otlp-exporter-endpoint=http://127.0.0.1:{console.grpc_port}",
        f"--pid-file={tmp_path}/pid",
        f"--log-file={tmp_path}/rotel.log",
    ]
    with (tmp_path / "output").open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as agent:
        try:
            wait_until(lambda: listens(grpc_port) and listens(http_port), 60, "rotel's ports")
            service = start_service("--workers=2", **Route("collector", protocol).env_for(grpc_port, http_port), **LAZY)
            send(service, 24)
            service.stop()
            expect(console, "collector", 24)
        finally:
            agent.terminate()
