"""What is wrong on the way to a receiver, with real sockets, TLS and gRPC servers."""

import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import grpc
import pytest
import trustme

from telemetry.config import TelemetryConfig
from telemetry.tools.console.server import Console
from telemetry.tools.doctor.configuration import otlp_receivers
from telemetry.tools.doctor.network import Receiver, connect, handshake, protocol, resolve
from telemetry.tools.doctor.walk import Finding, HopError, State
from tests.support.routes import black_hole
from tests.support.service import free_port

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TIMEOUT = 5.0

Check = Callable[[Receiver, float], Finding]


def receiver(endpoint: str, spoken: str, **env: str) -> Receiver:
    environ = {ENDPOINT: endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": spoken, **env}
    (found,) = otlp_receivers(TelemetryConfig.from_env(environ))
    assert found.signals == ("traces", "metrics", "logs")
    return found


def failure(check: Check, endpoint: str, spoken: str, **env: str) -> HopError:
    with pytest.raises(HopError) as caught:
        check(receiver(endpoint, spoken, **env), TIMEOUT)
    return caught.value


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def authority_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="module")
def https(authority: trustme.CA) -> Iterator[int]:
    """A port on which HTTP over TLS is spoken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def grpcs(authority: trustme.CA) -> Iterator[int]:
    """A port on which gRPC over TLS is spoken."""
    issued = authority.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    server = grpc.server(ThreadPoolExecutor(2))
    credentials = grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), chain)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield port
    server.stop(0).wait()


def test_name_unknown() -> None:
    error = failure(resolve, "http://nowhere.invalid:4317", "grpc")
    assert error.detail.startswith("the name nowhere.invalid cannot be resolved: ")
    assert error.remedy == f"correct the host in {ENDPOINT}"


def test_name_known() -> None:
    assert "127.0.0.1" in resolve(receiver("http://localhost:4317", "grpc"), TIMEOUT).detail


def test_name_variable_of_the_signal() -> None:
    """The remedy names the variable that decides, signal by signal."""
    environ = {ENDPOINT: "http://alloy:4317", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://loki:3100/otlp/v1/logs"}
    first, second = otlp_receivers(TelemetryConfig.from_env(environ))
    assert (first.address, first.signals, first.variable) == ("alloy:4317", ("traces", "metrics"), ENDPOINT)
    assert (second.address, second.signals) == ("loki:3100", ("logs",))
    assert second.variable == "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"


def test_port_closed() -> None:
    port = free_port()
    error = failure(connect, f"http://127.0.0.1:{port}", "grpc")
    assert error.detail == "connection refused"
    assert error.remedy == (
        f"start the receiver at 127.0.0.1:{port} (inside a container, localhost is the container itself), "
        f"or correct the host and port in {ENDPOINT}"
    )


def test_port_without_answer() -> None:
    """A full backlog, as behind a firewall that drops."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        try:
            with pytest.raises(HopError, match=r"^no connection within 0\.3 s; check firewalls"):
                connect(receiver(f"http://127.0.0.1:{port}", "grpc"), 0.3)
        finally:
            for filler in fillers:
                filler.close()


@pytest.mark.parametrize("spoken", ["grpc", "http/protobuf"])
def test_protocol_right(console: Console, spoken: str) -> None:
    port = console.grpc_port if spoken == "grpc" else console.http_port
    assert protocol(receiver(f"http://127.0.0.1:{port}", spoken), TIMEOUT).state is State.OK


def test_protocol_grpc_at_the_port_of_http(console: Console) -> None:
    error = failure(protocol, f"http://127.0.0.1:{console.http_port}", "grpc")
    assert error.detail == "the port speaks HTTP, but gRPC is configured"
    assert error.remedy == (
        f"set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or use the port for gRPC (usually 4317) in {ENDPOINT}"
    )


def test_protocol_http_at_the_port_of_grpc(console: Console) -> None:
    error = failure(protocol, f"http://127.0.0.1:{console.grpc_port}", "http/protobuf")
    assert error.detail == "the port speaks gRPC, but HTTP is configured"
    assert (
        error.remedy == f"set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or use the port for HTTP (usually 4318) in {ENDPOINT}"
    )


@pytest.mark.parametrize("spoken", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("server", ["https", "grpcs"])
def test_protocol_plaintext_where_tls_is_wanted(request: pytest.FixtureRequest, server: str, spoken: str) -> None:
    error = failure(protocol, f"http://127.0.0.1:{request.getfixturevalue(server)}", spoken)
    assert error.detail == "the receiver expects TLS, but the endpoint is plaintext"
    assert error.remedy.startswith(f"put https:// in front of the host in {ENDPOINT}")


@pytest.mark.parametrize(("configured", "asked"), [("grpc", "gRPC"), ("http/protobuf", "HTTP")])
def test_protocol_of_a_silent_server(configured: str, asked: str) -> None:
    with black_hole() as port:
        found = protocol(receiver(f"http://127.0.0.1:{port}", configured), 0.3)
    assert (found.state, found.detail) == (State.WARNING, f"no answer to {asked} or TLS within 0.3 s")


@pytest.mark.parametrize("spoken", ["grpc", "http/protobuf"])
def test_tls_where_plaintext_is_spoken(console: Console, spoken: str) -> None:
    port = console.grpc_port if spoken == "grpc" else console.http_port
    error = failure(handshake, f"https://localhost:{port}", spoken)
    assert error.detail == "the receiver speaks plaintext, but TLS is configured"
    assert error.remedy.startswith(f"use http:// instead of https:// in {ENDPOINT}")


@pytest.mark.parametrize(("server", "spoken"), [("https", "http/protobuf"), ("grpcs", "grpc")])
def test_tls_accepted(request: pytest.FixtureRequest, authority_file: str, server: str, spoken: str) -> None:
    endpoint = f"https://localhost:{request.getfixturevalue(server)}"
    found = handshake(receiver(endpoint, spoken, OTEL_EXPORTER_OTLP_CERTIFICATE=authority_file), TIMEOUT)
    assert (found.state, found.detail) == (State.OK, "TLSv1.3, certificate accepted")


def test_tls_authority_unknown(https: int) -> None:
    error = failure(handshake, f"https://localhost:{https}", "http/protobuf")
    assert error.detail.startswith("the certificate is not accepted: ")
    assert error.remedy == "set OTEL_EXPORTER_OTLP_CERTIFICATE to the certificate file of the authority that signed it"


def test_tls_certificate_of_another_name(https: int, authority_file: str) -> None:
    environ = {"OTEL_EXPORTER_OTLP_CERTIFICATE": authority_file}
    error = failure(handshake, f"https://127.0.0.1:{https}", "http/protobuf", **environ)
    assert error.remedy == f"use a host name in {ENDPOINT} that the certificate is valid for"


def test_tls_without_http2(https: int, authority_file: str) -> None:
    error = failure(handshake, f"https://localhost:{https}", "grpc", OTEL_EXPORTER_OTLP_CERTIFICATE=authority_file)
    assert error.detail == "TLSv1.3, but no HTTP/2, which gRPC needs"
