"""What a transport makes of a backend's answer, of one that does not end, and of its surroundings."""

import gzip
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from telemetry.exporting.transports import Answer, make_transport
from telemetry.exporting.transports.answers import shorten
from telemetry.exporting.transports.otlp_grpc import failure
from telemetry.exporting.transports.otlp_http import retry_after
from telemetry.exporting.transports.standard_output import StandardOutput
from telemetry.tools.compare.setups.faults_proxy import FaultProxy
from telemetry.tools.compare.setups.faulty_connection import Fault
from telemetry.tools.console.server import Console
from tests.exporting.conftest import batch, signal_config
from tests.support.service import wait_until

REJECTED = ExportTraceServiceResponse()
REJECTED.partial_success.rejected_spans = 2
REJECTED.partial_success.error_message = "too old"
WARNED = ExportTraceServiceResponse()
WARNED.partial_success.error_message = "slow down"
PROTOBUF = "application/x-protobuf"


class Handler(BaseHTTPRequestHandler):
    """Reads a request and keeps it; `reply` answers."""

    protocol_version = "HTTP/1.1"
    reply: Callable[[Any], object]
    requests: list[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
        type(self).reply(self)

    def answer(self, status: int, content_type: str = "", body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def backend(
    reply: Callable[[Any], object], context: ssl.SSLContext | None = None
) -> Iterator[tuple[int, type[Handler]]]:
    """A server that answers as `reply` does, and its handler's class."""
    handler = type("Replying", (Handler,), {"reply": staticmethod(reply), "requests": []})

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            pass  # the client has gone

    server = Server(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port, handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(port: int, env: Mapping[str, str] | None = None, data: bytes = b"", seconds: float = 20.0) -> Answer:
    transport = make_transport(signal_config("http/protobuf", port, env), "traces")
    try:
        return transport.send(data or batch("traces", 5), monotonic() + seconds)
    finally:
        transport.close()


# --- Answers over HTTP ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason", "rejected"),
    [
        ((200, PROTOBUF, b""), None, 0),
        ((200, PROTOBUF, REJECTED.SerializeToString()), None, 2),
        ((200, PROTOBUF, WARNED.SerializeToString()), None, 0),
        ((200, PROTOBUF, b"\xff\xff garbage"), "refused", 0),
        ((200, "application/json", b"{}"), None, 0),
        ((200, "application/json", b'{"partialSuccess": {"rejectedSpans": "2"}}'), None, 2),
        ((200, "application/json", b"[1]"), "refused", 0),
        ((200, "application/json", b'{"partialSuccess": {"rejectedSpans": 1e999}}'), "refused", 0),
        ((200, "text/html; charset=utf-8", b"<p>Welcome"), "refused", 0),
        ((200, "text/plain", b"ok"), None, 0),
        ((200, PROTOBUF, b"\xff" * 10_000_000), "refused", 0),
        ((204, "", b""), None, 0),  # Loki's
        ((302, "text/html", b"moved"), "refused", 0),
        ((599, "", b""), "refused", 0),
    ],
    ids=lambda value: f"{value[0]} {value[1]}" if isinstance(value, tuple) else None,
)
def test_http_answers_of_other_backends(answer: tuple[int, str, bytes], reason: str | None, rejected: int) -> None:
    with backend(lambda handler: handler.answer(*answer, Location="http://127.0.0.1:1/elsewhere")) as (port, handler):
        found = send(port)
        assert len(handler.requests) == 1
    assert (found.reason, found.rejected, found.retryable) == (reason, rejected, False)
    assert found.attributes == {"http.response.status_code": answer[0]}


def test_http_partial_success_in_several_chunks() -> None:
    data = REJECTED.SerializeToString()

    def reply(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", PROTOBUF)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for byte in data:
            handler.wfile.write(b"1\r\n" + bytes([byte]) + b"\r\n")
            handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")

    with backend(reply) as (port, _):
        transport = make_transport(signal_config("http/protobuf", port), "traces")
        answers = [transport.send(batch("traces", 5), monotonic() + 20) for _ in range(3)]
        transport.close()
    assert [(answer.reason, answer.rejected, answer.detail) for answer in answers] == [(None, 2, "too old")] * 3


def test_http_partial_success_compressed() -> None:
    def reply(handler: Any) -> None:
        handler.answer(200, PROTOBUF, gzip.compress(REJECTED.SerializeToString()), Content_Encoding="gzip")

    with backend(reply) as (port, _):
        assert send(port).rejected == 2


@pytest.mark.parametrize("status", [200, 403])
def test_http_answer_that_is_not_encoded_as_it_says_is_not_sent_again(status: int) -> None:
    """It will say so of the next one, too."""
    with backend(lambda handler: handler.answer(status, PROTOBUF, b"garbage", Content_Encoding="gzip")) as (port, _):
        answer = send(port)
    assert (answer.reason, answer.retryable, answer.attributes) == (
        "refused",
        False,
        {"http.response.status_code": status},
    )


@pytest.mark.parametrize(("status", "retryable"), [(400, False), (503, True)])
@pytest.mark.parametrize("end", ["cut", "chunk", "never"])
def test_http_refusal_is_one_though_its_text_breaks_off(status: int, end: str, *, retryable: bool) -> None:
    stopped = threading.Event()

    def reply(handler: Any) -> None:
        length = "Transfer-Encoding: chunked" if end == "chunk" else "Content-Length: 100"
        handler.wfile.write(f"HTTP/1.1 {status} No\r\n{length}\r\n\r\nno".encode())
        handler.close_connection = True
        if end == "never":
            stopped.wait(30)

    with backend(reply) as (port, _):
        started = monotonic()
        answer = send(port, seconds=5.0 if end == "never" else 20.0)
        assert monotonic() - started < 15
        stopped.set()
    assert (answer.retryable, answer.attributes) == (retryable, {"http.response.status_code": status})


def test_http_interim_answers_are_skipped() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    def reply(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + interim)
        handler.answer(200 if len(handler.requests) == 1 else 503, PROTOBUF, REJECTED.SerializeToString())

    with backend(reply) as (port, handler):
        transport = make_transport(signal_config("http/protobuf", port), "traces")
        answers = [transport.send(batch("traces", 5), monotonic() + 20) for _ in range(2)]
        transport.close()
        assert len(handler.requests) == 2
    statuses = [answer.attributes["http.response.status_code"] for answer in answers]
    assert (statuses, answers[0].rejected) == ([200, 503], 2)


@pytest.mark.parametrize("where", ["status line", "headers", "body", "chunks", "body without a length"])
def test_http_answer_that_trickles_ends_in_time(where: str) -> None:
    """A byte now and then outlives every time-out of a socket: the time is for the whole exchange."""
    stopped = threading.Event()

    def reply(handler: Any) -> None:
        start = b"" if where == "status line" else b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
        start += {
            "body": b"Content-Length: 1000\r\n\r\n",
            "chunks": b"Transfer-Encoding: chunked\r\n\r\n",
            "body without a length": b"\r\n",
        }.get(where, b"")
        handler.wfile.write(start)
        piece = {"status line": b"H", "chunks": b"1\r\nx\r\n", "headers": b"X"}.get(where, b"x")
        while not stopped.wait(0.1):
            handler.wfile.write(piece)
            handler.wfile.flush()

    with backend(reply) as (port, _):
        started = monotonic()
        answer = send(port, seconds=1.0)
        assert 0.9 <= monotonic() - started < 10
        stopped.set()
    assert (answer.reason, answer.retryable) == ("timeout", True)


def test_http_watchdog_leaves_the_next_request_alone() -> None:
    """A transport goes on after an answer that was cut, on a new connection, with the next deadline."""
    slow = threading.Event()
    stopped = threading.Event()
    slow.set()

    def reply(handler: Any) -> None:
        if slow.is_set():
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            stopped.wait(30)
        handler.answer(200, PROTOBUF)

    with backend(reply) as (port, handler):
        transport = make_transport(signal_config("http/protobuf", port), "traces")
        while not handler.requests:  # a busy machine may take longer to send it
            assert transport.send(b"1", monotonic() + 0.5).reason == "timeout"
        slow.clear()
        for _ in range(3):
            assert transport.send(b"2", monotonic() + 20).reason is None
        assert [body for _, _, body in handler.requests].count(b"2") == 3
        stopped.set()
        transport.close()


def test_http_connection_closed_while_idle_is_replaced_at_once() -> None:
    connections = []

    def reply(handler: Any) -> None:
        connections.append(handler.connection)
        handler.answer(200, PROTOBUF)
        if len(connections) == 1:  # it reads the next request, and closes without an answer
            handler.connection.recv(10)
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True

    with backend(reply) as (port, _):
        transport = make_transport(signal_config("http/protobuf", port), "traces")
        answers = [transport.send(b"x", monotonic() + 20) for _ in range(2)]
        transport.close()
    assert [answer.reason for answer in answers] == [None, None]
    assert len(set(connections)) == 2


def test_http_close_ends_what_is_sent() -> None:
    stopped = threading.Event()
    with backend(lambda _: stopped.wait(60)) as (port, handler), ThreadPoolExecutor(1) as pool:
        transport = make_transport(signal_config("http/protobuf", port), "traces")
        future = pool.submit(transport.send, b"x", monotonic() + 60)
        wait_until(lambda: handler.requests)
        started = monotonic()
        transport.close()
        answer = future.result(20)
        assert monotonic() - started < 15
        stopped.set()
        assert (answer.reason, answer.detail) == ("unavailable", "the connection was closed")
        assert transport.send(b"x", monotonic() + 60).detail == "the connection was closed"


@pytest.mark.skipif(not hasattr(socket, "TCP_SYNCNT"), reason="Linux only")
def test_http_address_that_is_dead_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        port, handler = stack.enter_context(backend(lambda handler: handler.answer(200)))
        dead = stack.enter_context(socket.create_server(("127.0.0.2", port), backlog=0))
        for _ in range(4):  # more than it holds until it accepts one
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(dead.getsockname())
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        assert send(port, seconds=10.0).reason is None
        assert len(handler.requests) == 1


# --- What is sent over HTTP -----------------------------------------------------------------------------------------


def test_http_headers_are_the_configured_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~/.netrc` must not replace them."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\ndefault login other password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with backend(lambda handler: handler.answer(200)) as (port, handler):
        assert send(port, {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer abc"}).reason is None
        assert send(port).reason is None
        (path, with_headers, _), (_, without, _) = handler.requests
    assert (path, with_headers["authorization"], with_headers["content-type"]) == ("/v1/traces", "Bearer abc", PROTOBUF)
    assert "authorization" not in without


def test_http_headers_of_ours_are_replaced_by_configured_ones() -> None:
    found: list[tuple[str, str]] = []

    def reply(handler: Any) -> None:
        found.extend((name.lower(), value) for name, value in handler.headers.items())
        handler.answer(200)

    given = "Content-Type=application/x-custom,user-agent=mine,content-encoding=br"
    with backend(reply) as (port, _):
        env = {"OTEL_EXPORTER_OTLP_HEADERS": given, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
        assert send(port, env).reason is None
    ours = {"content-type", "user-agent", "content-encoding"}
    assert sorted(each for each in found if each[0] in ours) == [
        ("content-encoding", "gzip"),
        ("content-type", "application/x-custom"),
        ("user-agent", "mine"),
    ]


def test_http_gzip() -> None:
    data = batch("traces", 50)
    with backend(lambda handler: handler.answer(200)) as (port, handler):
        assert send(port, {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, data).reason is None
        _, headers, body = handler.requests[0]
    assert (headers["content-encoding"], gzip.decompress(body)) == ("gzip", data)
    assert len(body) < len(data)


def test_http_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with backend(lambda handler: handler.answer(200)) as (port, handler):
        monkeypatch.setenv("http_proxy", f"http://user:p%40ss@127.0.0.1:{port}")
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://backend.invalid:4318"}
        assert send(1, env).reason is None
        path, headers, _ = handler.requests[0]
        assert (path, headers["host"]) == ("http://backend.invalid:4318/v1/traces", "backend.invalid:4318")
        assert headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"
        monkeypatch.setenv("no_proxy", "backend.invalid")
        assert send(1, env).detail == "the host name cannot be resolved"
        assert len(handler.requests) == 1


@pytest.mark.parametrize(
    ("host", "entry", "bypasses"),
    [
        ("backend.invalid:4318", "other, backend.invalid:4318", True),
        ("backend.invalid:4318", "backend.invalid:4317", False),
        ("backend.invalid:4318", ".invalid:4318", True),
        ("127.0.0.1:1", "10.0.0.0/8, 127.0.0.0/8", True),
        ("127.0.0.1:1", "127.0.0.5/8", True),
        ("127.0.0.1:1", "127.0.0.1:1", True),
        ("127.0.0.1:1", "10.0.0.0/8", False),
        ("127.0.0.1:1", "::/0", False),
        ("[::1]:1", "::1", True),
        ("[::1]:1", "::/64", True),
        ("[::1]:1", "[::1]", True),
        ("backend.invalid:4318", "10.0.0.0/8", False),
    ],
)
def test_http_proxy_is_bypassed_for_hosts_ports_and_networks(
    monkeypatch: pytest.MonkeyPatch, host: str, entry: str, *, bypasses: bool
) -> None:
    with backend(lambda handler: handler.answer(200)) as (port, handler):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", entry)
        answer = send(1, {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host}"})
        assert (answer.reason is not None, len(handler.requests)) == (bypasses, 1 - bypasses)


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def test_http_tls_with_certificates_of_both_sides(authority: trustme.CA, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    known, client = tmp_path / "ca.pem", authority.issue_cert("client")
    authority.cert_pem.write_to_path(known)
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    client.private_key_pem.write_to_path(key)
    client.cert_chain_pems[0].write_to_path(certificate)
    with backend(lambda handler: handler.answer(200), context) as (port, _):
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://localhost:{port}",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(known),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(key),
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(certificate),
        }
        assert send(port, env).reason is None
        unknown = send(port, {**env, "OTEL_EXPORTER_OTLP_CERTIFICATE": ""})
        assert (unknown.reason, unknown.retryable) == ("unavailable", True)
        assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in unknown.hint


def test_http_tls_certificates_that_were_renewed_are_read_again(authority: trustme.CA, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    known = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(known)
    with backend(lambda handler: handler.answer(200), context) as (port, _):
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://localhost:{port}",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(known),
        }
        transport = make_transport(signal_config("http/protobuf", port, env), "traces")
        assert transport.send(b"x", monotonic() + 20).retryable
        authority.cert_pem.write_to_path(known)
        assert transport.send(b"x", monotonic() + 20).reason is None
        transport.close()


def test_http_tls_handshake_that_never_ends_ends_in_time(authority: trustme.CA, tmp_path: Path) -> None:
    known = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(known)
    with socket.create_server(("127.0.0.1", 0)) as server:
        env = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(known)}
        started = monotonic()
        port = server.getsockname()[1]
        answer = send(port, {**env, "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://127.0.0.1:{port}"}, seconds=0.5)
        assert monotonic() - started < 10
    assert answer.reason == "timeout"


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_certificates_that_cannot_be_read_are_tried_again(protocol: str, tmp_path: Path) -> None:
    """They may be mounted later: an exporter without them waits, and says why."""
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    env = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(path),
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:1",
    }
    config = signal_config(protocol, 1, env)
    path.unlink()
    transport = make_transport(config, "traces")
    answer = transport.send(b"x", monotonic() + 5)
    assert (answer.reason, answer.retryable) == ("unavailable", True)
    assert "certificate" in answer.hint
    assert str(path) not in answer.detail
    transport.close()


# --- Retry-After ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5", 5.0),
        (" 2.5 ", 2.5),
        ("-3", 0.0),
        ("inf", None),
        ("nan", None),
        ("9" * 400, None),
        ("soon", None),
        ("Mon, 99 Foo 2026", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("", None),
    ],
)
def test_http_retry_after_in_seconds(value: str, expected: float | None) -> None:
    assert retry_after({"Retry-After": value}) == expected


def test_http_retry_after_as_a_date() -> None:
    later = datetime.now(UTC) + timedelta(seconds=300)
    seconds = retry_after({"Retry-After": format_datetime(later, usegmt=True)})
    assert seconds is not None
    assert 270 < seconds <= 300


class FailedCall(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, metadata: tuple[tuple[str, str | bytes], ...] = ()) -> None:
        super().__init__()
        self._code = code
        self._metadata = metadata

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "no"

    def trailing_metadata(self) -> Any:
        return self._metadata


def status_details(seconds: int, nanos: int = 0) -> bytes:
    """Return google.rpc.Status with a RetryInfo, as collectors send it."""
    packed = any_pb2.Any()
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.seconds, retry.retry_delay.nanos = seconds, nanos
    packed.Pack(retry)
    data: bytes = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, details=[packed]).SerializeToString()
    return data


@pytest.mark.parametrize(
    ("metadata", "retryable", "seconds"),
    [
        ((), False, None),
        ((("grpc-status-details-bin", status_details(7)),), True, 7.0),
        ((("grpc-status-details-bin", status_details(1, 500_000_000)),), True, 1.5),
        ((("grpc-status-details-bin", status_details(0)),), True, 0.0),
        ((("grpc-status-details-bin", status_details(-7)),), True, 0.0),
        ((("grpc-status-details-bin", status_details(2**63 - 1)),), True, float(2**63)),
        ((("grpc-status-details-bin", b"\xff\xff"),), False, None),
    ],
    ids=["none", "standard", "fraction", "zero", "negative", "huge", "garbage"],
)
def test_grpc_exhausted_is_retried_where_the_backend_says_when(
    metadata: tuple[tuple[str, str | bytes], ...], seconds: float | None, *, retryable: bool
) -> None:
    answer = failure(FailedCall(grpc.StatusCode.RESOURCE_EXHAUSTED, metadata))
    assert (answer.reason, answer.retryable, answer.retry_after) == ("refused", retryable, seconds)


def test_grpc_failure_with_unreadable_details_keeps_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.rpc", None)
    answer = failure(FailedCall(grpc.StatusCode.INVALID_ARGUMENT, (("grpc-status-details-bin", status_details(7)),)))
    assert (answer.reason, answer.detail, answer.retry_after) == ("refused", "INVALID_ARGUMENT no", None)


def test_grpc_failure_that_cannot_be_told_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = make_transport(signal_config("grpc", 1), "traces")

    def fail(*_: object, **__: object) -> None:
        raise grpc.RpcError  # without a code

    monkeypatch.setattr(transport, "_open", lambda: fail)
    answer = transport.send(b"", monotonic() + 1)
    transport.close()
    assert (answer.reason, answer.retryable) == ("_OTHER", True)


def test_damaged_request_is_refused_by_standard_output() -> None:
    answer = StandardOutput("traces").send(b"\xff", monotonic() + 1)
    assert (answer.reason, answer.retryable) == ("refused", False)


@pytest.mark.parametrize("code", grpc.StatusCode)
def test_grpc_retryable_codes_are_the_specifications(code: grpc.StatusCode) -> None:
    """https://opentelemetry.io/docs/specs/otlp/#failures"""
    retried = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
    assert failure(FailedCall(code)).retryable == (code.name in retried)


# --- gRPC -----------------------------------------------------------------------------------------------------------


@contextmanager
def grpc_backend(export: Callable[[Any, Any], Any]) -> Iterator[int]:
    """A server of gRPC with the limits that it has by itself."""

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            return export(request, context)

    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield port
        server.stop(None).wait()


def test_grpc_sends_bytes_headers_and_reads_partial_success() -> None:
    seen: list[tuple[Any, dict[str, Any]]] = []

    def export(request: Any, context: Any) -> Any:
        seen.append((request, dict(context.invocation_metadata())))
        return REJECTED

    data = batch("traces", 5)
    with grpc_backend(export) as port:
        env = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer abc", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
        transport = make_transport(signal_config("grpc", port, env), "traces")
        answer = transport.send(data, monotonic() + 20)
        transport.close()
    assert (answer.reason, answer.rejected, answer.detail) == (None, 2, "too old")
    ((request, metadata),) = seen
    assert request == ExportTraceServiceRequest.FromString(data)
    assert metadata["authorization"] == "Bearer abc"


def test_grpc_time_out_is_for_the_whole_call() -> None:
    stopped = threading.Event()

    def export(*_: Any) -> Any:
        stopped.wait(30)
        return ExportTraceServiceResponse()

    with grpc_backend(export) as port:
        transport = make_transport(signal_config("grpc", port), "traces")
        started = monotonic()
        answer = transport.send(batch("traces", 1), monotonic() + 0.5)
        assert monotonic() - started < 10
        stopped.set()
        assert (answer.reason, answer.retryable) == ("timeout", True)
        assert transport.send(batch("traces", 1), monotonic() + 20).reason is None
        transport.close()
        assert transport.send(b"", monotonic() + 20).detail == "the connection was closed"


def test_grpc_silent_connection_is_replaced_while_another_signal_has_one(console: Console) -> None:
    with FaultProxy(console.grpc_port) as proxy, ExitStack() as stack:
        transports = {}
        for signal in ("traces", "logs"):
            transports[signal] = transport = make_transport(signal_config("grpc", proxy.port, signal=signal), signal)
            stack.callback(transport.close)
            assert transport.send(batch(signal, 1), monotonic() + 20).reason is None
        proxy.next_connections(Fault("pass"))
        proxy.fault = Fault("black_hole")
        assert transports["traces"].send(batch("traces", 1), monotonic() + 1).reason == "timeout"
        assert transports["traces"].send(batch("traces", 1), monotonic() + 5).reason is None


@contextmanager
def grpc_bytes(answer: bytes) -> Iterator[int]:
    """A server of gRPC that answers OK, with these bytes for a message."""

    class Anything(grpc.GenericRpcHandler):  # type: ignore[type-arg]
        def service(self, _: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda *_: answer)

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, handlers=[Anything()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield port
        server.stop(None).wait()


def test_grpc_answer_that_is_none_to_otlp_is_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    with grpc_bytes(b"\xff\xff garbage") as port:
        transport = make_transport(signal_config("grpc", port), "traces")
        answer = transport.send(batch("traces", 1), monotonic() + 20)
        transport.close()
    assert (answer.reason, answer.retryable) == ("refused", False)
    assert answer.detail == "OK, but the answer is not protobuf"
    assert caplog.records == []  # gRPC's own line, with a traceback, was one for each request


def test_grpc_answer_without_a_message_is_a_refusal() -> None:
    with grpc_bytes(b"") as port:
        transport = make_transport(signal_config("grpc", port), "traces")
        assert transport.send(b"", monotonic() + 20).reason is None
        transport._export = lambda *_, **__: None  # type: ignore[attr-defined]
        answer = transport.send(b"", monotonic() + 20)
        transport.close()
    assert (answer.reason, answer.retryable) == ("refused", False)


def test_grpc_goodbye_to_each_connection_fails_the_request_at_once() -> None:
    """gRPC's own retries are without a pause: they took a core and hundreds of megabytes until the time-out."""
    settings, goaway = bytes.fromhex("000000040000000000"), bytes.fromhex("000008070000000000" + 16 * "0")
    ended = threading.Event()

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(settings + goaway)
            ended.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        transport = make_transport(signal_config("grpc", server.getsockname()[1]), "traces")
        started = monotonic()
        answer = transport.send(b"x", monotonic() + 8)
        took = monotonic() - started
        ended.set()
        thread.join()
        transport.close()
    assert (answer.reason, answer.retryable) == ("unavailable", True)
    assert took < 5


def test_grpc_close_ends_what_is_sent(console: Console) -> None:
    stopped = threading.Event()
    began = threading.Event()

    def export(*_: Any) -> Any:
        began.set()
        stopped.wait(60)
        return ExportTraceServiceResponse()

    with grpc_backend(export) as port, ThreadPoolExecutor(1) as pool:
        transport = make_transport(signal_config("grpc", port), "traces")
        future = pool.submit(transport.send, batch("traces", 1), monotonic() + 60)
        began.wait(20)
        started = monotonic()
        transport.close()
        assert future.result(20).reason == "unavailable"
        assert monotonic() - started < 15
        stopped.set()
    assert console.store.spans() == []


def test_answers_are_shortened_to_one_line() -> None:
    assert shorten("a\nb\x1b[31m  c") == "a b [31m c"
    assert len(shorten("x" * 1000)) == 200
