"""Where OTLP is sent: the address, and the protocol that follows from it."""

from collections.abc import Mapping

import pytest

from tests.telemetry.environments import config, error, traces

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
LOGS_ENDPOINT = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"


@pytest.mark.parametrize(
    ("endpoint", "protocol", "url"),
    [
        ("", "grpc", "http://localhost:4317"),
        ("alloy:4317", "grpc", "http://alloy:4317"),
        ("alloy", "grpc", "http://alloy:4317"),
        ("http://alloy", "grpc", "http://alloy:4317"),
        ("http://alloy:4317/", "grpc", "http://alloy:4317"),
        ("https://api.example.com", "grpc", "https://api.example.com:443"),
        ("https://api.example.com:4317", "grpc", "https://api.example.com:4317"),
        ("HTTP://Alloy:4317", "grpc", "http://alloy:4317"),
        ("http://otel_collector:4317", "grpc", "http://otel_collector:4317"),
        ("http://127.0.0.1:1", "grpc", "http://127.0.0.1:1"),
        ("http://[::1]:65535", "grpc", "http://[::1]:65535"),
        ("[::1]:4317", "grpc", "http://[::1]:4317"),
        (" alloy:4317 ", "grpc", "http://alloy:4317"),
        ("http://alloy:4318", "http/protobuf", "http://alloy:4318/v1/traces"),
        ("alloy:4318", "http/protobuf", "http://alloy:4318/v1/traces"),
        ("http://alloy:4318/", "http/protobuf", "http://alloy:4318/v1/traces"),
        ("http://alloy:4318/x/", "http/protobuf", "http://alloy:4318/x/v1/traces"),
        ("http://alloy:4318/x", "http/protobuf", "http://alloy:4318/x/v1/traces"),
        ("https://example.com/otlp", "http/protobuf", "https://example.com/otlp/v1/traces"),
        ("alloy/otlp", "http/protobuf", "http://alloy:4318/otlp/v1/traces"),
    ],
)
def test_endpoint_and_derived_protocol(endpoint: str, protocol: str, url: str) -> None:
    signal = traces(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    assert (signal.protocol, signal.endpoint) == (protocol, url)


@pytest.mark.parametrize(
    ("endpoint", "protocol", "url"),
    [
        ("", "http/protobuf", "http://localhost:4318/v1/traces"),
        ("alloy", "http/protobuf", "http://alloy:4318/v1/traces"),
        ("http://alloy", "http/protobuf", "http://alloy/v1/traces"),
        ("http://alloy:9000", "HTTP/Protobuf", "http://alloy:9000/v1/traces"),
        ("http://alloy:4318", "grpc", "http://alloy:4318"),
    ],
)
def test_endpoint_with_given_protocol(endpoint: str, protocol: str, url: str) -> None:
    signal = traces(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    assert (signal.protocol, signal.endpoint) == (protocol.lower(), url)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://loki:3100/otlp/v1/logs", "http://loki:3100/otlp/v1/logs"),
        ("http://loki:4318", "http://loki:4318/"),
        ("http://loki:4318/", "http://loki:4318/"),
        ("http://loki:4318/x/", "http://loki:4318/x/"),
    ],
)
def test_endpoint_of_signal_is_used_unchanged(endpoint: str, url: str) -> None:
    assert config({LOGS_ENDPOINT: endpoint, ENDPOINT: "http://alloy:4318"}).logs.endpoint == url


def test_endpoint_of_signal_leaves_others_alone() -> None:
    mixed = config({LOGS_ENDPOINT: "http://loki:3100/otlp/v1/logs", ENDPOINT: "http://alloy:4317"})
    assert (mixed.logs.protocol, mixed.traces.protocol) == ("http/protobuf", "grpc")


@pytest.mark.parametrize(
    ("environ", "source"),
    [
        ({}, "default"),
        ({ENDPOINT: "http://alloy:4318"}, f"derived from {ENDPOINT}"),
        ({LOGS_ENDPOINT: "http://alloy:4318", ENDPOINT: "http://alloy:4317"}, f"derived from {LOGS_ENDPOINT}"),
        ({PROTOCOL: "grpc"}, PROTOCOL),
    ],
)
def test_protocol_source(environ: Mapping[str, str], source: str) -> None:
    assert config(environ).sources["logs.protocol"] == source


@pytest.mark.parametrize(
    "endpoint",
    [
        "unix:///tmp/otlp.sock",
        "unix:/tmp/otlp.sock",
        "grpc://alloy:4317",
        "http:/alloy:4317",
        "http:alloy:4317",
        "dns:///alloy:4317",
        "//alloy:4317",
        "http://",
        "http://:4317",
        "http://alloy:",
        "http://alloy:0",
        "http://alloy:65536",
        "http://alloy:port",
        "http://alloy:+4317",
        "http://al loy:4317",
        "http://alloy:4317\nx",
        "http://${HOST}:4317",
        "http://alloy:4318/v1?tenant=a",
        "http://alloy:4318/#a",
        "http://user:password@alloy:4317",
        "user@alloy:4317",
        "http://[::1:4317",
        "http://[nonsense]:4317",
        "http://[::1]x:4317",
        "::1:4317",
        "http://älloy:4317",
        "http://alloy,tempo:4317",
        "http://-alloy:4317",
    ],
)
def test_endpoint_refused(endpoint: str) -> None:
    assert error({ENDPOINT: endpoint}).variable == ENDPOINT


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("https://me:hunter2@h", "'https://***@h'"),
        ("me:hunter2@h:4317", "'***@h:4317'"),
        ("https://me:hunter2@evil@h", "'https://***@h'"),
        ("https://me:hun/ter2@h", "'https://***@h'"),
        ("https://me:hun#ter2@h", "'https://***'"),
        ("https://h/?key=hun@ter2", "'https://***'"),
        ("https://h?key=hunter2", "'https://h?***'"),
        ("https://h/#hunter2", "'https://h/#***'"),
        ("me%3Ahunter2%40h", "'***@h'"),
    ],
)
def test_endpoint_secret_masked(endpoint: str, shown: str) -> None:
    found = error({ENDPOINT: endpoint})
    assert (shown in str(found), "ter2" in repr(vars(found)) + repr(found)) == (True, False)


def test_endpoint_path_with_grpc() -> None:
    found = error({LOGS_ENDPOINT: "http://loki:3100/otlp/v1/logs", PROTOCOL: "grpc"})
    assert (found.variable, PROTOCOL in str(found)) == (LOGS_ENDPOINT, True)


@pytest.mark.parametrize(
    "environ",
    [
        {ENDPOINT: "http://alloy:4318", PROTOCOL: "grpc"},
        {ENDPOINT: "http://alloy:4317", PROTOCOL: "http/protobuf"},
        {ENDPOINT: "http://alloy:4317/v1/traces"},
        {ENDPOINT: "http://alloy:4318/v1/traces"},
        {LOGS_ENDPOINT: "http://alloy:4318"},
    ],
)
def test_endpoint_doubtful(environ: Mapping[str, str]) -> None:
    """Mixed-up ports, a signal's URL as the base, a base as a signal's URL."""
    assert any("ENDPOINT" in warning for warning in config(environ).warnings)


def test_doubtful_endpoint_is_logged_once() -> None:
    assert len(config({ENDPOINT: "http://alloy:4318", PROTOCOL: "grpc"}).warnings) == 1


def test_endpoint_not_doubted_unless_used() -> None:
    environ = {ENDPOINT: "http://alloy:4318", PROTOCOL: "grpc", "TELEMETRY_MODE": "off"}
    assert config(environ).warnings == ()
