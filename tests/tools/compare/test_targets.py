"""Only this machine and the project's Compose network are loaded unasked."""

import socket

import pytest

from telemetry.tools.compare.targets import TargetError, check_target


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9090", "http://localhost:3200", "http://[::1]:3100", "postgres://u@/var/run/postgresql/db", ""],
)
def test_this_machine_is_accepted(url: str) -> None:
    check_target("--tempo", url)


@pytest.mark.parametrize("url", ["http://192.0.2.1:9090", "postgres://u:p@203.0.113.7/db", "//198.51.100.1:4317"])
def test_another_machine_is_refused(url: str) -> None:
    with pytest.raises(TargetError, match=r"--tempo: '[\d.]+' is neither .* --allow-remote"):
        check_target("--tempo", url)


@pytest.mark.parametrize(("address", "accepted"), [("172.18.0.5", True), ("93.184.216.34", False)])
def test_compose_service_needs_a_private_address(
    monkeypatch: pytest.MonkeyPatch, address: str, *, accepted: bool
) -> None:
    resolved = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: resolved)
    if accepted:
        check_target("--loki", "http://loki:3100")
    else:
        with pytest.raises(TargetError):
            check_target("--loki", "http://loki:3100")
    with pytest.raises(TargetError):
        check_target("--loki", "http://logs.example.com:3100")
