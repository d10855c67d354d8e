"""OTLP over gRPC, call by call."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from tests.support.service import wait_until
from tests.tools.console.client import TRACE_ID, delayed, logs, many_ids, one_span, requests_total, summaries, traces

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture
def channel(console: Console) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{console.grpc_port}") as opened:
        yield opened


def test_official_stubs_are_served(console: Console, channel: grpc.Channel) -> None:
    stubs: list[tuple[Any, Any]] = [
        (TraceServiceStub, one_span()),
        (LogsServiceStub, logs(2)),
        (MetricsServiceStub, requests_total(4, time_ns=5)),
    ]
    for stub, message in stubs:
        assert not stub(channel).Export(message, timeout=30).HasField("partial_success")
    totals = console.store.mode("collector")
    assert (totals.spans, totals.log_records, totals.data_points, totals.requests) == (1, 2, 1, 4)
    assert sorted(console.receiver.answers) == [
        ("grpc", "logs", 200),
        ("grpc", "metrics", 200),
        ("grpc", "traces", 200),
    ]


def trace_stub(channel: grpc.Channel) -> Any:
    stub: Any = TraceServiceStub
    return stub(channel)


def call_error(channel: grpc.Channel, body: bytes) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(EXPORT, None, None)(body, timeout=30)
    return caught.value


def test_undecodable_request_is_an_invalid_argument(console: Console, channel: grpc.Channel) -> None:
    error = call_error(channel, b"\xff\xff\xff")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not a protobuf opentelemetry.proto" in error.details()
    assert console.receiver.answers == {("grpc", "traces", 400): 1}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (503, grpc.StatusCode.UNAVAILABLE),
        (401, grpc.StatusCode.UNAUTHENTICATED),
        (500, grpc.StatusCode.INTERNAL),
        (418, grpc.StatusCode.UNKNOWN),
    ],
)
def test_fault_with_a_status_refuses_with_its_code(
    console: Console, channel: grpc.Channel, status: int, code: grpc.StatusCode
) -> None:
    console.receiver.faults = Faults(status=status)
    assert call_error(channel, one_span().SerializeToString()).code() is code
    assert console.store.totals() == {}


def test_fault_with_retry_after_carries_retry_info(console: Console, channel: grpc.Channel) -> None:
    console.receiver.faults = Faults(status=429, retry_after=1.25)
    metadata = dict(call_error(channel, b"").trailing_metadata())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    in_status = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(in_status)
    alone = error_details_pb2.RetryInfo.FromString(metadata["google.rpc.retryinfo-bin"])
    assert in_status == alone
    assert alone.retry_delay.ToNanoseconds() == 1_250_000_000


def test_fault_with_partial_reject_says_so(console: Console, channel: grpc.Channel) -> None:
    console.receiver.faults = Faults(partial_reject=1)
    stub = trace_stub(channel)
    response = stub.Export(traces(many_ids(3)), timeout=30)
    assert response.partial_success.rejected_spans == 1
    assert console.store.mode("collector").spans == 2


def test_fault_with_a_delay_stores_what_the_sender_gave_up(
    console: Console, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = threading.Event(), threading.Event()

    def delay(_seconds: float) -> bool:
        begun.set()
        return not over.wait(60)

    monkeypatch.setattr(console.receiver._stopping, "wait", delay)
    console.receiver.faults = Faults(delay=3)
    call: Any = channel.unary_unary(EXPORT, None, None).future(one_span().SerializeToString(), timeout=60)
    assert begun.wait(60)
    assert call.cancel()
    time.sleep(0.5)  # in which the receiver hears of it
    over.set()
    assert console.store.wait_for(lambda store: store.mode("collector").spans == 1, 30)


@pytest.mark.timing
def test_delay_ends_when_the_console_stops(console: Console, channel: grpc.Channel) -> None:
    console.receiver.faults = Faults(delay=60)
    call = channel.unary_unary(EXPORT, None, None).future(b"", timeout=30)
    wait_until(lambda: delayed(console))
    begin = time.monotonic()
    console.stop()
    assert time.monotonic() - begin < 2.5
    assert call.code() is grpc.StatusCode.UNAVAILABLE


def test_large_message_is_refused(console: Console, channel: grpc.Channel) -> None:
    export = channel.unary_unary(EXPORT, None, None)
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with pytest.raises(grpc.RpcError) as caught:
            export(bytes(console.limits.message_bytes + 1), timeout=30, compression=compression)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_trace_of_two_requests_is_one(console: Console, channel: grpc.Channel) -> None:
    stub = trace_stub(channel)
    for span_id in ("01" * 8, "02" * 8):
        stub.Export(traces([(TRACE_ID, span_id)]), timeout=30)
    assert [trace.spans for trace in summaries(console.store)] == [2]
