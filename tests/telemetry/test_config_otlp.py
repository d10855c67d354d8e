"""How OTLP is sent: encryption, headers, time-outs and compression; a signal's own variables win."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from telemetry.config.values import SIGNALS
from tests.telemetry.environments import config, error, traces

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
INSECURE = "OTEL_EXPORTER_OTLP_INSECURE"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
TIMEOUT = "OTEL_EXPORTER_OTLP_TIMEOUT"
KEY = "OTEL_EXPORTER_OTLP_CLIENT_KEY"
CERTIFICATE = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"


# --- Encryption -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "insecure", "plaintext"),
    [
        ("alloy:4317", "", True),
        ("alloy:4317", "true", True),
        ("alloy:4317", "FALSE", False),
        ("alloy:4318", "", True),
        ("alloy:4318", "false", False),
        ("http://alloy:4317", "", True),
        ("http://alloy:4317", "false", True),
        ("https://alloy:4317", "", False),
        ("https://alloy:4317", "true", False),
    ],
)
def test_insecure(endpoint: str, insecure: str, plaintext: bool) -> None:
    signal = config({ENDPOINT: endpoint, INSECURE: insecure}).traces
    assert (signal.insecure, signal.endpoint.startswith("http://")) == (plaintext, plaintext)


@pytest.mark.parametrize(("endpoint", "insecure"), [("http://alloy:4317", "false"), ("https://alloy:4317", "true")])
def test_insecure_contradicts_scheme(endpoint: str, insecure: str) -> None:
    assert any(INSECURE in warning for warning in config({ENDPOINT: endpoint, INSECURE: insecure}).warnings)


@pytest.mark.parametrize(
    ("environ", "source"),
    [
        ({}, "default"),
        ({ENDPOINT: "alloy:4317"}, "default"),
        ({ENDPOINT: "alloy:4317", INSECURE: "false"}, INSECURE),
        ({ENDPOINT: "https://alloy", INSECURE: "true"}, f"derived from {ENDPOINT}"),
    ],
)
def test_insecure_source(environ: Mapping[str, str], source: str) -> None:
    assert config(environ).sources["traces.insecure"] == source


def test_certificate(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("x")
    assert traces(OTEL_EXPORTER_OTLP_CERTIFICATE=str(file)).certificate == str(file)


def test_certificate_directory(tmp_path: Path) -> None:
    assert "is a directory" in str(error({"OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path)}))


def test_certificate_nul_byte() -> None:
    """The operating system's own error for such a path is not one of files."""
    assert "cannot be read" in str(error({"OTEL_EXPORTER_OTLP_CERTIFICATE": "a\0b"}))


def test_certificate_unused_in_plaintext(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("x")
    warnings = config({ENDPOINT: "alloy:4317", "OTEL_EXPORTER_OTLP_CERTIFICATE": str(file)}).warnings
    assert all("plaintext" in warning for warning in warnings)
    assert warnings


@pytest.mark.parametrize(
    ("given", "missing"),
    [(KEY, CERTIFICATE), (CERTIFICATE, KEY), (KEY.replace("OTLP_", "OTLP_LOGS_"), CERTIFICATE)],
)
def test_client_certificate_half(tmp_path: Path, given: str, missing: str) -> None:
    file = tmp_path / "half.pem"
    file.write_text("x")
    found = error({given: str(file)})
    assert (found.variable, missing in found.accepted) == (given, True)


def test_client_certificate_of_signal_completed_by_general_one(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key.write_text("x")
    certificate.write_text("x")
    own = {CERTIFICATE.replace("OTLP_", "OTLP_TRACES_"): str(certificate)}
    signal = config({**own, KEY: str(key), CERTIFICATE: str(key), ENDPOINT: "https://h"}).traces
    assert (signal.client_key, signal.client_certificate) == (str(key), str(certificate))


# --- Headers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", (("a", "b"),)),
        ("Authorization=Bearer abc", (("authorization", "Bearer abc"),)),
        ("authorization=Basic dXNlcjpwYXNz==", (("authorization", "Basic dXNlcjpwYXNz=="),)),
        ("authorization=Basic%20abc%3D%2C", (("authorization", "Basic abc=,"),)),
        (" a = b , c=d ,", (("a", "b"), ("c", "d"))),
        ("x-scope-orgid=", (("x-scope-orgid", ""),)),
        ("a=1,A=2", (("a", "2"),)),
        ("a=100%", (("a", "100%"),)),
        ("a=b;c=d", (("a", "b;c=d"),)),
        ('a="b"', (("a", '"b"'),)),
    ],
)
def test_headers(text: str, expected: tuple[tuple[str, str], ...]) -> None:
    assert config({HEADERS: text}).traces.headers == expected


@pytest.mark.parametrize(
    "text", ["Bearer", "a=b,c", "=b", "a b=c", "a=%0d%0aX: y", "a=%C3%A9", "a=é", "a=\x00", "a:b=c", "a=%FF"]
)
def test_headers_malformed(text: str) -> None:
    assert str(error({HEADERS: text})).startswith(f"{HEADERS}: '***' has ")


@pytest.mark.parametrize("name", ["trace-bin", "grpc-timeout", "x!y"])
def test_headers_illegal_for_grpc(name: str) -> None:
    assert "gRPC" in str(error({HEADERS: f"{name}=1"}))


def test_headers_legal_for_http() -> None:
    assert config({HEADERS: "x!y=1", PROTOCOL: "http/protobuf"}).traces.headers == (("x!y", "1"),)


def test_headers_of_signal_replace_general_ones() -> None:
    both = config({HEADERS: "a=1,b=2", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "c=3"})
    assert (both.metrics.headers, both.logs.headers) == ((("c", "3"),), (("a", "1"), ("b", "2")))


# --- Time-out and compression ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "seconds"), [("", 10.0), ("30000", 30.0), ("1", 0.001), ("100", 0.1)])
def test_timeout_in_milliseconds(text: str, seconds: float) -> None:
    assert config({TIMEOUT: text}).traces.timeout == seconds


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "10s", "1e3", "86400001"])
def test_timeout_refused(text: str) -> None:
    assert "milliseconds" in error({TIMEOUT: text}).accepted


@pytest.mark.parametrize(("text", "warned"), [("99", True), ("100", False)])
def test_timeout_short(text: str, warned: bool) -> None:
    assert bool(config({TIMEOUT: text}).warnings) is warned


@pytest.mark.parametrize(("text", "expected"), [("", "none"), ("none", "none"), ("GZIP", "gzip")])
def test_compression(text: str, expected: str) -> None:
    assert config({"OTEL_EXPORTER_OTLP_COMPRESSION": text}).traces.compression == expected


VALUES = {
    "ENDPOINT": ("http://own:4317", "http://general:4317"),
    "PROTOCOL": ("http/protobuf", "grpc"),
    "HEADERS": ("a=own", "a=general"),
    "TIMEOUT": ("1000", "2000"),
    "COMPRESSION": ("gzip", "none"),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("signal", SIGNALS)
def test_signal_wins_over_general(signal: str, name: str) -> None:
    own, general = VALUES[name]
    variable = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}"
    both = config({variable: own, f"OTEL_EXPORTER_OTLP_{name}": general})
    only_own, field = config({variable: own}), name.lower()
    assert both.sources[f"{signal}.{field}"] == variable
    assert getattr(getattr(both, signal), field) == getattr(getattr(only_own, signal), field)


@pytest.mark.parametrize("name", VALUES)
def test_signal_empty_falls_back_to_general(name: str) -> None:
    own, _ = VALUES[name]
    general = {f"OTEL_EXPORTER_OTLP_{name}": own}
    assert config({**general, f"OTEL_EXPORTER_OTLP_TRACES_{name}": ""}) == config(general)


@pytest.fixture
def _without_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telemetry.config.otlp.has_grpc", lambda: False)


@pytest.mark.usefixtures("_without_grpc")
def test_without_the_package_of_grpc_http_is_the_default() -> None:
    assert (traces().protocol, traces().endpoint) == ("http/protobuf", "http://localhost:4318/v1/traces")


@pytest.mark.usefixtures("_without_grpc")
@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://alloy:4317")],
)
def test_grpc_without_its_package_is_refused(variable: str, value: str) -> None:
    text = str(error({variable: value}))
    assert text.startswith(f"{variable}: ")
    assert "django-otel-journal[grpc]" in text
    assert config({"TELEMETRY_MODE": "off", variable: value}).mode == "off"
