"""The exporter stays small: what it does not use, it does not import."""

import subprocess
import sys

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
    assert not found & {unneeded, "django", "requests", "userapi"}
    assert not [name for name in found if name.startswith("opentelemetry.sdk")]
