"""Questions are bounded, and what fails says where, how and what to check, without credentials."""

import socket
from base64 import b64encode
from collections.abc import Iterator
from threading import Thread
from time import monotonic, sleep

import pytest

from telemetry.tools.backends import BackendError, Grafana, Loki, Tempo
from tests.support.answering import Answering, Reply
from tests.support.routes import black_hole
from tests.support.service import free_port


def failure(backend: Tempo) -> BackendError:
    with pytest.raises(BackendError) as caught:
        backend.check_ready()
    return caught.value


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (301, "check that Tempo listens there (TELEMETRY_TEMPO_URL)"),
        (401, "put a user and password into its URL (TELEMETRY_TEMPO_URL)"),
        (403, "check the permissions of the user in its URL (TELEMETRY_TEMPO_URL)"),
        (404, "check that Tempo listens there (TELEMETRY_TEMPO_URL)"),
        (500, "see its log"),
        (503, "wait until it is ready, or see its log"),
    ],
)
def test_error_by_status(status: int, remedy: str) -> None:
    with Answering({"/ready": Reply("Ingester not ready", status)}) as server:
        error = failure(Tempo(server.url))
    assert (error.status, error.remedy) == (status, remedy)
    assert str(error).startswith(f"Tempo at {server.url}/ready: HTTP {status} ")
    assert "Ingester not ready" in error.reason


def test_error_without_web_pages() -> None:
    with Answering({"/ready": Reply("<html><body>Bad gateway</body></html>", 502)}) as server:
        assert failure(Tempo(server.url)).reason == "HTTP 502 Bad Gateway"


@pytest.mark.parametrize(
    ("host", "reason", "remedy"),
    [
        ("nowhere.invalid", "the host name cannot be resolved", "correct the host in TELEMETRY_TEMPO_URL"),
        (
            "127.0.0.1",
            "connection refused",
            "check that it is up, and the host and port of its URL (TELEMETRY_TEMPO_URL)",
        ),
    ],
)
def test_error_without_connection(host: str, reason: str, remedy: str) -> None:
    error = failure(Tempo(f"http://{host}:{free_port()}"))
    assert (error.status, error.reason) == (None, reason)
    assert error.remedy == remedy


def test_error_tls_at_plaintext() -> None:
    with Answering({}) as server:
        error = failure(Tempo(server.url.replace("http:", "https:")))
    assert error.reason == "no TLS connection"
    assert "check the scheme of its URL (TELEMETRY_TEMPO_URL)" in error.remedy


@pytest.mark.timing
def test_error_silent_server() -> None:
    started = monotonic()
    with black_hole() as port:
        assert failure(Tempo(f"http://127.0.0.1:{port}", timeout=0.3)).reason == "no answer in time"
    assert monotonic() - started < 4.5  # by default it would be five


@pytest.fixture
def dribbling() -> Iterator[int]:
    """A server whose answer never ends, one byte every 50 ms."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def dribble() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                try:
                    while True:
                        connection.sendall(b"1\r\nx\r\n")
                        sleep(0.05)
                except OSError:
                    return

        Thread(target=dribble, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.timing
def test_error_endless_answer(dribbling: int) -> None:
    started = monotonic()
    assert failure(Tempo(f"http://127.0.0.1:{dribbling}", timeout=3)).reason == "no complete answer within 3 s"
    assert monotonic() - started < 20


def test_credentials_sent_and_hidden() -> None:
    with Answering({"/api/datasources": Reply("no", 403)}) as server:
        grafana = Grafana(server.url.replace("//", "//admin:se%3Acret@"), headers={"X-Scope-OrgID": "hidden"})
        with pytest.raises(BackendError) as caught:
            grafana.data_sources()
    assert server.headers[0]["Authorization"] == f"Basic {b64encode(b'admin:se:cret').decode()}"
    assert server.headers[0]["X-Scope-OrgID"] == "hidden"
    for text in (repr(grafana), str(caught.value), caught.value.url, grafana.base):
        assert not any(secret in text for secret in ("admin", "cret", "hidden")), text


@pytest.mark.parametrize(
    "url", ["", "localhost:9090", "ftp://h", "http://", "http://u:secret@h:99999", "http://u:secret@h?a=secret"]
)
def test_url_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^invalid URL.+ expected http://host:port or https://host:port$") as caught:
        Loki(url)
    assert "secret" not in str(caught.value)


def test_answer_not_json() -> None:
    with Answering({"/api/datasources": "Welcome"}) as server, pytest.raises(BackendError, match="is not JSON"):
        Grafana(server.url).data_sources()
