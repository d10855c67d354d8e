"""Which servers are asked, where nothing or several are given."""

from collections.abc import Iterator

import pytest

from telemetry.backends import Console, Jaeger, Tempo
from telemetry.console.server import Console as ConsoleServer
from telemetry.doctor.places import Places
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


def test_traces_of_one_given() -> None:
    assert isinstance(places(jaeger="http://127.0.0.1:1").traces(), Jaeger)
    assert isinstance(places(tempo="http://127.0.0.1:1").traces(), Tempo)
    assert isinstance(places(tempo="none").traces(), Jaeger)
    assert places(tempo="none", jaeger="none").traces() is None


def test_traces_of_two_given() -> None:
    """The one that answers; Tempo where both or neither do."""
    with Answering({"/api/v3/services": {"services": []}, "/ready": "ready"}) as server:
        away = f"http://127.0.0.1:{free_port()}"
        assert isinstance(places(tempo=away, jaeger=server.url).traces(), Jaeger)
        assert isinstance(places(tempo=server.url, jaeger=server.url).traces(), Tempo)
        assert isinstance(places(tempo=away, jaeger=away).traces(), Tempo)
