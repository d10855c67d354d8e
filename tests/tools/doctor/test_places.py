"""Which servers are asked, where nothing or several are given."""

from base64 import b64decode
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from telemetry.config import TelemetryConfig
from telemetry.tools.backends import Console, Jaeger, Tempo
from telemetry.tools.console.server import Console as ConsoleServer
from telemetry.tools.doctor.configuration import otlp_receivers
from telemetry.tools.doctor.network import port_offset
from telemetry.tools.doctor.places import Places
from tests.support.answering import Answering
from tests.support.service import free_port


def places(**given: str) -> Places:
    return Places.read(given, 10.0, {})


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A console at the default place."""
    with ConsoleServer(grpc_port=0, http_port=0, api_port=0) as server:
        monkeypatch.setattr(Console, "default_url", server.url)
        yield server.url


def test_console_found_by_itself(console: str) -> None:
    found = places().console()
    assert found is not None
    assert found.base == console


def test_console_moved_by_the_offset_of_the_receivers(console: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = urlsplit(console).port or 0
    monkeypatch.setattr(Console, "default_url", f"http://127.0.0.1:{port - 1000}")
    assert places().console() is None
    found = places().console(offset=1000)
    assert found is not None
    assert urlsplit(found.base).port == port


@pytest.mark.parametrize(
    ("environ", "offset"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:14317"}, 10_000),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, 0),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:14317"}, 0),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:14317"}, 0),
        ({"TELEMETRY_MODE": "direct", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9317"}, 5000),
    ],
)
def test_offset_of_receivers(environ: dict[str, str], offset: int) -> None:
    assert port_offset(otlp_receivers(TelemetryConfig.from_env(environ))) == offset


@pytest.mark.parametrize("password", ["pa/ss#w?rd%41 @:x", "admin"])
def test_grafana_password_of_any_characters(password: str) -> None:
    environ = {"TELEMETRY_GRAFANA_USER": "boss", "TELEMETRY_GRAFANA_PASSWORD": password}
    with Answering({"/api/health": {"database": "ok", "version": "13"}}) as server:
        grafana = Places.read({}, 10.0, environ | {"TELEMETRY_GRAFANA_URL": server.url}).grafana()
        assert grafana.version() == "13"
    assert b64decode(server.headers[0]["Authorization"].removeprefix("Basic ")) == f"boss:{password}".encode()
    assert "boss" not in f"{grafana!r} {grafana.base}"


def test_grafana_login_in_the_url_wins() -> None:
    environ = {"TELEMETRY_GRAFANA_PASSWORD": "other", "TELEMETRY_GRAFANA_URL": "http://me:mine@localhost:3000"}
    assert Places.read({}, 10.0, environ).grafana().url == "http://me:mine@localhost:3000"


@pytest.mark.parametrize("given", [{"console": "none"}, {"tempo": "http://tempo:3200"}, {"loki": "none"}])
@pytest.mark.usefixtures("console")
def test_console_not_wanted(given: dict[str, str]) -> None:
    assert places(**given).console() is None


def test_grafana_at_the_place_of_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers /healthz too."""
    with Answering({"/healthz": "Ok", "/api/summary": "<html>"}) as server:
        monkeypatch.setattr(Console, "default_url", server.url)
        assert places().console() is None


def test_option_wins() -> None:
    environ = {"TELEMETRY_TEMPO_URL": "http://one:1", "TELEMETRY_LOKI_URL": "http://loki:1"}
    found = Places.read({"tempo": "http://two:2"}, 1.0, environ)
    assert (found.url("tempo"), found.url("loki")) == ("http://two:2", "http://loki:1")


@pytest.mark.parametrize(
    ("options", "environ", "message"),
    [
        (
            {"console": "http://a:1", "tempo": "http://b:2", "loki": "http://c:3", "jaeger": "none"},
            {},
            "--console replaces all servers: --tempo and --loki would have no effect",
        ),
        ({"service": "none"}, {}, "--service: invalid URL 'none'"),
        ({}, {"TELEMETRY_SERVICE_URL": "none"}, "TELEMETRY_SERVICE_URL: invalid URL 'none'"),
    ],
)
def test_what_has_no_effect_is_refused(options: dict[str, str], environ: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Places.read(options, 1.0, environ)


def test_option_of_a_server_wins_over_the_variable_of_the_console() -> None:
    environ = {"TELEMETRY_CONSOLE_URL": "http://127.0.0.1:1"}
    assert Places.read({"tempo": "http://127.0.0.1:2"}, 1.0, environ).console() is None
    assert Places.read({"tempo": "none"}, 1.0, environ).console() is not None


def test_traces_of_one_given() -> None:
    assert isinstance(places(jaeger="http://127.0.0.1:1").traces(), Jaeger)
    assert isinstance(places(tempo="http://127.0.0.1:1").traces(), Tempo)
    assert isinstance(places(tempo="none").traces(), Jaeger)
    assert places(tempo="none", jaeger="none").traces() is None


def test_traces_of_two_given() -> None:
    """The one that answers; Tempo where both or neither do."""
    with Answering({"/api/v3/services": {"services": []}, "/ready": "ready"}) as server:
        down = f"http://127.0.0.1:{free_port()}"
        assert isinstance(places(tempo=down, jaeger=server.url).traces(), Jaeger)
        assert isinstance(places(tempo=server.url, jaeger=server.url).traces(), Tempo)
        assert isinstance(places(tempo=down, jaeger=down).traces(), Tempo)
