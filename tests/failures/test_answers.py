"""What the answers of backends other than ours are taken for; Retry-After over both protocols."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext

from telemetry.answers import Answer, shorten
from telemetry.config import TelemetryConfig
from telemetry.console.faults import Faults
from telemetry.console.server import Console
from telemetry.encoding import ENCODERS, encode_spans
from telemetry.otlp import span_exporter
from telemetry.transport_grpc import _Failure
from telemetry.transport_http import _retry_after
from tests.failures.conftest import SHORT, StartSender
from tests.support.service import wait_until

HTTP = pytest.mark.parametrize("protocol", ["http/protobuf"], indirect=True)
REJECTED = ExportTraceServiceResponse()
REJECTED.partial_success.rejected_spans = 2
REJECTED.partial_success.error_message = "too old"
WARNED = ExportTraceServiceResponse()
WARNED.partial_success.error_message = "slow down"


@contextmanager
def backend(status: int, content_type: str, body: bytes) -> Iterator[int]:
    """A server that gives every request the same answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            if content_type:
                self.send_header("Content-Type", content_type)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@HTTP
@pytest.mark.parametrize(
    ("answer", "fates"),
    [
        ((200, "application/x-protobuf", b""), {"": 5}),
        ((200, "application/x-protobuf", REJECTED.SerializeToString()), {"": 3, "rejected": 2}),
        ((200, "application/x-protobuf", WARNED.SerializeToString()), {"": 5}),
        ((200, "application/x-protobuf", b"\xff\xff garbage"), {"refused": 5}),
        ((200, "application/json", b"{}"), {"": 5}),
        ((200, "application/json", b'{"partialSuccess": {"rejectedSpans": "2"}}'), {"": 3, "rejected": 2}),
        ((200, "application/json", b"[1]"), {"refused": 5}),
        ((200, "text/html; charset=utf-8", b"<p>Welcome"), {"refused": 5}),
        ((200, "text/plain", b"ok"), {"": 5}),
        ((200, "application/x-protobuf", b"\xff" * 10_000_000), {"refused": 5}),
        ((204, "", b""), {"": 5}),  # Loki's
        ((302, "text/html", b"moved"), {"refused": 5}),
        ((599, "", b""), {"refused": 5}),
    ],
    ids=lambda value: f"{value[0]} {value[1]}" if isinstance(value, tuple) else None,
)
def test_answers_of_other_backends(
    start_sender: StartSender, answer: tuple[int, str, bytes], fates: dict[str, int]
) -> None:
    with backend(*answer) as port:
        sender = start_sender(port)
        sender.send_and_flush(5)
        assert sender.fates("traces") == fates
        sender.pipeline.shutdown(2.0)


def test_answers_retry_after_is_kept_within_an_export(
    receiver_port: int, start_sender: StartSender, refuse_first: Callable[[int, float], None]
) -> None:
    refuse_first(1, 2)
    sender = start_sender(receiver_port)
    started = monotonic()
    sender.send_and_flush(5)
    assert monotonic() - started >= 2.0
    sender.check(accepted=5)
    assert sender.delivery().retries == 1


def test_answers_retries_send_what_was_encoded_once(
    receiver_port: int,
    start_sender: StartSender,
    refuse_first: Callable[[int, float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded: list[str] = []

    def noted(signal: str, encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
        return lambda items: encoded.append(signal) or encode(items)  # type: ignore[func-returns-value]

    for signal, encode in ENCODERS.items():
        monkeypatch.setitem(ENCODERS, signal, noted(signal, encode))
    refuse_first(2, 1)
    sender = start_sender(receiver_port)
    sender.send_and_flush(5)
    sender.check(accepted=5)
    assert sender.delivery().retries == 2
    assert sorted(encoded) == ["logs", "traces"]


@HTTP
def test_answers_request_over_the_limit_is_not_sent(console: Console, receiver_port: int) -> None:
    endpoint = f"http://127.0.0.1:{receiver_port}"
    env = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    answers: list[Answer] = []
    exporter: Any = span_exporter(
        TelemetryConfig.from_env({"TELEMETRY_MODE": "collector", **env}).traces, answers.append
    )
    spans = [ReadableSpan("x", SpanContext(1, 2, is_remote=False))]
    exporter._max_request_size = 10
    assert exporter.export(spans) is SpanExportResult.FAILURE
    exporter._max_request_size = len(encode_spans(spans))
    assert exporter.export(spans) is SpanExportResult.SUCCESS
    assert [(answer.reason, answer.detail[:17]) for answer in answers] == [("_OTHER", "nothing was sent:"), (None, "")]
    assert len(console.store.spans()) == 1
    exporter.shutdown()
    assert exporter.export(spans) is SpanExportResult.FAILURE
    assert len(answers) == 2


def test_answers_retry_after_holds_the_next_batch(
    console: Console, receiver_port: int, start_sender: StartSender
) -> None:
    """One that is longer than the time-out costs the batch, but the next waits instead of knocking again."""
    console.receiver.faults = Faults(status=503, retry_after=6)
    sender = start_sender(receiver_port, OTEL_EXPORTER_OTLP_TIMEOUT=SHORT)
    started = monotonic()
    sender.send_and_flush(5)
    sender.check(unavailable=5)
    console.receiver.faults = Faults()
    sender.send_and_flush(5)
    assert monotonic() - started >= 6.0
    sender.check(accepted=5, unavailable=5)


@pytest.mark.timing
def test_answers_retry_after_does_not_hold_a_stop(
    console: Console, receiver_port: int, start_sender: StartSender
) -> None:
    console.receiver.faults = Faults(status=503, retry_after=60)
    sender = start_sender(receiver_port)
    sender.send_and_flush(5)
    console.receiver.faults = Faults()
    sender.send(5)
    flush = threading.Thread(target=sender.pipeline.flush, args=(30,))
    flush.start()
    wait_until(lambda: sender.delivery().in_flight == 5)
    sleep(0.2)
    started = monotonic()
    sender.pipeline.shutdown(40.0)
    assert sender.pipeline.dropped() == {}
    assert monotonic() - started < 30.0
    flush.join()
    assert sender.delivery().accepted == 5


@pytest.mark.parametrize(
    ("value", "expected"),
    [("5", 5.0), (" 2.5 ", 2.5), ("-3", 0.0), ("inf", None), ("nan", None), ("soon", None), ("", None)],
)
def test_answers_retry_after_in_seconds(value: str, expected: float | None) -> None:
    assert _retry_after({"Retry-After": value}) == expected


def test_answers_retry_after_as_a_date() -> None:
    later = datetime.now(UTC) + timedelta(seconds=300)
    seconds = _retry_after({"Retry-After": format_datetime(later, usegmt=True)})
    assert seconds is not None
    assert 270 < seconds <= 300


class FailedCall(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, metadata: tuple[tuple[str, str | bytes], ...]) -> None:
        super().__init__()
        self._code = code
        self._metadata = metadata

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "no"

    def trailing_metadata(self) -> Any:
        return self._metadata


def status_details(seconds: int) -> bytes:
    """Return google.rpc.Status with a RetryInfo, as collectors send it."""
    packed = any_pb2.Any()
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.seconds = seconds
    packed.Pack(retry)
    data: bytes = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, details=[packed]).SerializeToString()
    return data


@pytest.mark.parametrize(
    ("metadata", "code", "retry_after"),
    [
        ((), grpc.StatusCode.FAILED_PRECONDITION, None),  # not to be retried
        ((("grpc-status-details-bin", status_details(7)),), grpc.StatusCode.RESOURCE_EXHAUSTED, 7.0),
        ((("grpc-status-details-bin", b"\xff\xff"),), grpc.StatusCode.FAILED_PRECONDITION, None),
        ((("google.rpc.retryinfo-bin", b"\xff\xff"),), grpc.StatusCode.FAILED_PRECONDITION, None),
    ],
    ids=["none", "standard", "garbage", "garbage of upstream's"],
)
def test_answers_retry_info_where_servers_put_it(
    metadata: tuple[tuple[str, str | bytes], ...], code: grpc.StatusCode, retry_after: float | None
) -> None:
    """Upstream looks in a place of its own, and retries a refusal for size."""
    failure = _Failure(FailedCall(grpc.StatusCode.RESOURCE_EXHAUSTED, metadata))
    assert failure.code() is code
    assert failure.answer.retry_after == retry_after
    assert failure.answer.reason == "refused"
    assert ("google.rpc.retryinfo-bin" in dict(failure.trailing_metadata())) == (
        retry_after is not None or "google.rpc.retryinfo-bin" in dict(metadata)
    )


def test_answers_are_shortened_to_one_line() -> None:
    assert shorten("a\nb\x1b[31m  c") == "a b [31m c"
    assert len(shorten("x" * 1000)) == 200
