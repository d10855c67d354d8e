"""What the transports do with the configuration: a span goes over the wire, and the receiver says what it got."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import monotonic
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from telemetry.config import TelemetryConfig
from telemetry.exporting.encoding import RequestBuilder, ScopeData, SpanData, encode_span
from telemetry.exporting.transports import Answer, make_transport

Received = list[tuple[str, Mapping[str, str]]]

SPAN = SpanData(bytes(15) + b"1", bytes(7) + b"1", None, False, "", "test", 0, 1, 2, {}, None)
TRAPS = {
    "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic dXNlcjpw YXNz==,x-tenant=a%2Cb",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "30000",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
}


def send(environ: Mapping[str, str]) -> Answer:
    """Send one span as `environ` says."""
    config = TelemetryConfig.from_env(environ).traces
    request = RequestBuilder("traces", {})
    request.add(ScopeData("test"), encode_span(SPAN))
    transport = make_transport(config, "traces")
    try:
        return transport.send(request.build(), monotonic() + config.timeout)
    finally:
        transport.close()


@contextmanager
def http_receiver() -> Iterator[tuple[int, Received]]:
    received: Received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_port, received
        finally:
            server.shutdown()
            thread.join()


class Servicer(TraceServiceServicer):
    def __init__(self) -> None:
        self.received: Received = []

    def Export(  # noqa: N802
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        metadata = {str(name): str(value) for name, value in context.invocation_metadata()}
        self.received.append((request.resource_spans[0].scope_spans[0].spans[0].name, metadata))
        return ExportTraceServiceResponse()


@contextmanager
def grpc_receiver() -> Iterator[tuple[int, Received]]:
    servicer = Servicer()
    with ThreadPoolExecutor(max_workers=2) as pool:
        server = grpc.server(pool)
        add_TraceServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port, servicer.received
        finally:
            server.stop(0).wait()


@pytest.mark.parametrize(
    ("variable", "path", "expected"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "", "/v1/traces"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "/", "/v1/traces"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "/x/", "/x/v1/traces"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/otlp/v1/traces", "/otlp/v1/traces"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "/"),
    ],
)
def test_http_path(variable: str, path: str, expected: str) -> None:
    with http_receiver() as (port, received):
        send({variable: f"http://127.0.0.1:{port}{path}", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})
    assert [each for each, _ in received] == [expected]


def test_http_endpoint_without_scheme() -> None:
    with http_receiver() as (port, received):
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"127.0.0.1:{port}", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        assert send(environ).reason is None
    assert len(received) == 1


def test_http_headers() -> None:
    with http_receiver() as (port, received):
        send({**TRAPS, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}/x"})
    headers = received[0][1]
    assert (headers["authorization"], headers["x-tenant"]) == ("Basic dXNlcjpw YXNz==", "a,b")


@pytest.mark.parametrize(("compression", "encoding"), [("none", None), ("gzip", "gzip")])
def test_http_compression(compression: str, encoding: str | None) -> None:
    with http_receiver() as (port, received):
        environ = {"OTEL_EXPORTER_OTLP_COMPRESSION": compression}
        send({**environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}/x"})
    assert received[0][1].get("content-encoding") == encoding


@pytest.mark.parametrize(("scheme", "insecure"), [("", ""), ("", "true"), ("http://", ""), ("http://", "false")])
def test_grpc_plaintext(scheme: str, insecure: str) -> None:
    """Upstream's exporter takes TLS for an endpoint without a scheme, and for http:// with INSECURE=false."""
    with grpc_receiver() as (port, received):
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"{scheme}127.0.0.1:{port}", "OTEL_EXPORTER_OTLP_INSECURE": insecure}
        send({**environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "30000"})
    assert [name for name, _ in received] == ["test"]


def test_grpc_headers() -> None:
    with grpc_receiver() as (port, received):
        send({**TRAPS, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"})
    metadata = received[0][1]
    assert (metadata["authorization"], metadata["x-tenant"]) == ("Basic dXNlcjpw YXNz==", "a,b")


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_grpc_compression(compression: str) -> None:
    """Upstream's exporter raises for `none`."""
    with grpc_receiver() as (port, received):
        environ = {"OTEL_EXPORTER_OTLP_COMPRESSION": compression, "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": compression}
        send({**environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"127.0.0.1:{port}"})
    assert len(received) == 1
