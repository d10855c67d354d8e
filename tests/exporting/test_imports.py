"""The exporter stays small: what it does not use, it does not import."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import ROOT

PROGRAM = """
import sys
from telemetry.config import TelemetryConfig
from telemetry.exporting.sending.sender import Sender
from telemetry.exporting.encoding import encode_span
from telemetry.exporting.transports import make_transport
protocol = sys.argv[1]
make_transport(TelemetryConfig.from_env({"OTEL_EXPORTER_OTLP_PROTOCOL": protocol}).traces, "traces")
print(*sorted({name.partition(".")[0] for name in sys.modules}), *(n for n in sys.modules if "opentelemetry.sdk" in n))
"""


@pytest.mark.parametrize(
    ("protocol", "needed", "unneeded"),
    [("http/protobuf", "urllib3", "grpc"), ("grpc", "grpc", "urllib3")],
)
def test_imports_of_delivery(protocol: str, needed: str, unneeded: str) -> None:
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM, protocol], cwd=ROOT, check=True, capture_output=True, text=True
    )
    found = set(program.stdout.split())
    assert needed in found
    assert not found & {unneeded, "django", "google", "requests", "userapi"}
    assert not [name for name in found if name.startswith("opentelemetry.sdk")]


OUTLETS = """
import sys
from pathlib import Path
from telemetry.config import TelemetryConfig
from telemetry.exporting import collector, direct, service
config = TelemetryConfig.from_env({"TELEMETRY_MODE": sys.argv[1]})
ways = {"collector": collector, "direct": direct}[config.mode].ways(config)
folder = Path(sys.argv[2])
service.Outlets(config, ways, folder, None, {"service.instance.id": "test"}, {}, service.State([folder]))
print(*sys.modules)
"""


@pytest.mark.parametrize(("mode", "needed"), [("collector", True), ("direct", False)])
def test_imports_of_modes(mode: str, *, needed: bool, tmp_path: Path) -> None:
    """The SDK encodes metrics that are pushed; nothing else needs it."""
    command = [sys.executable, "-c", OUTLETS, mode, str(tmp_path)]
    program = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert any(name.startswith("opentelemetry.sdk") for name in program.stdout.split()) is needed
