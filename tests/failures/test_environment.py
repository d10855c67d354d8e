"""What the environment has for HTTP clients holds for OTLP over HTTP, too."""

import pytest

from telemetry.compare.faults_proxy import FaultProxy
from telemetry.console.server import Console
from tests.failures.conftest import StartSender


@pytest.mark.parametrize("protocol", ["http/protobuf"])
def test_environment_names_the_proxy(
    console: Console, start_sender: StartSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with FaultProxy(console.http_port) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        sender = start_sender(0, OTEL_EXPORTER_OTLP_ENDPOINT="http://backend.invalid:4318")
        for _ in range(2):
            sender.send_and_flush(1)
        assert proxy.received > 0
    assert len(console.store.spans()) == 2
