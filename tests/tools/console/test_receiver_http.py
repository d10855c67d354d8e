"""OTLP over HTTP, byte by byte."""

import base64
import gzip
import http.client
import json
import zlib
from collections.abc import Iterator

import pytest
from google.protobuf import json_format
from google.rpc import code_pb2, status_pb2  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.retention import Limits
from tests.tools.console.client import (
    JSON,
    PROTOBUF,
    SPAN_ID,
    TRACE_ID,
    Answer,
    logs,
    many_ids,
    one_span,
    post,
    request,
    requests_total,
    traces,
)

# The example of the OTLP specification, shortened: hexadecimal ids, 64-bit numbers as text, enumerations as numbers.
JSON_TRACES = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "export.mode", "value": {"stringValue": "direct"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "my.library", "version": "1.0.0"},
                    "spans": [
                        {
                            "traceId": TRACE_ID.upper(),
                            "spanId": SPAN_ID,
                            "parentSpanId": "eee19b7ec3c1b173",
                            "name": "I am a server span",
                            "startTimeUnixNano": "1544712660000000000",
                            "endTimeUnixNano": "1544712661000000000",
                            "kind": 2,
                            "notOfThisVersion": {"ignored": True},
                            "links": [{"traceId": TRACE_ID, "spanId": "eee19b7ec3c1b174"}],
                            "attributes": [
                                {"key": "traceId", "value": {"stringValue": "no id"}},
                                {"key": "bytes", "value": {"bytesValue": "AP8="}},
                                {"key": "count", "value": {"intValue": "9007199254740993"}},
                                {
                                    "key": "nested",
                                    "value": {
                                        "kvlistValue": {
                                            "values": [
                                                {
                                                    "key": "list",
                                                    "value": {
                                                        "arrayValue": {
                                                            "values": [{"doubleValue": 0.5}, {"boolValue": True}]
                                                        }
                                                    },
                                                }
                                            ]
                                        }
                                    },
                                },
                            ],
                        }
                    ],
                }
            ],
        }
    ]
}


@pytest.fixture
def small_console() -> Iterator[Console]:
    """A console that takes messages of at most 10,000 bytes."""
    with Console(grpc_port=0, http_port=0, api_port=0, limits=Limits(message_bytes=10_000)) as running:
        yield running


def rpc_error(answer: Answer) -> tuple[int, str]:
    assert answer.headers["content-type"] == PROTOBUF
    status = status_pb2.Status.FromString(answer.body)
    return status.code, status.message


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/metrics", "/v1/logs"])
def test_empty_protobuf_request_is_a_success(console: Console, path: str) -> None:
    answer = post(console.http_endpoint + path, b"")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, PROTOBUF, b"")


def test_json_spans_have_hexadecimal_ids(console: Console) -> None:
    answer = post(console.http_endpoint + "/v1/traces", json.dumps(JSON_TRACES).encode(), JSON + "; charset=utf-8")
    assert (answer.status, answer.headers["content-type"], answer.json) == (200, JSON, {})
    [span] = console.store.trace(TRACE_ID)
    assert (span.span_id, span.parent_span_id, span.kind) == (SPAN_ID, "eee19b7ec3c1b173", "server")
    assert (span.start_ns, span.end_ns) == (1544712660 * 10**9, 1544712661 * 10**9)
    assert [(link.trace_id, link.span_id) for link in span.links] == [(TRACE_ID, "eee19b7ec3c1b174")]
    assert span.attributes == {
        "traceId": "no id",
        "bytes": "AP8=",
        "count": 9007199254740993,
        "nested": {"list": [0.5, True]},
    }
    assert span.scope == ("my.library", "1.0.0")
    assert console.store.mode("direct").server_spans == 1


def test_json_logs_and_metrics_are_taken(console: Console) -> None:
    records = json_format.MessageToDict(logs(3))
    for record in records["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
        record |= {"traceId": TRACE_ID, "spanId": SPAN_ID}
    points = json_format.MessageToDict(requests_total(5, time_ns=10))
    data_point = points["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["histogram"]["dataPoints"][0]
    data_point["exemplars"] = [{"timeUnixNano": "9", "asDouble": 0.25, "traceId": TRACE_ID, "spanId": SPAN_ID}]
    assert post(console.http_endpoint + "/v1/logs", json.dumps(records).encode(), JSON).status == 200
    assert post(console.http_endpoint + "/v1/metrics", json.dumps(points).encode(), JSON).status == 200
    assert len(console.store.logs(trace_id=TRACE_ID)) == 3
    [(_, [point])] = console.store.series("http.server.request.duration")
    [exemplar] = point.decode().exemplars
    assert (exemplar.value, exemplar.trace_id, exemplar.span_id) == (0.25, TRACE_ID, SPAN_ID)
    assert console.store.mode("collector").requests == 5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"resourceSpans": 7}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "no hex"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "\\ud800"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "-1"}]}]}]}',
    ],
)
def test_undecodable_json_is_answered_with_a_json_status(console: Console, body: bytes) -> None:
    answer = post(console.http_endpoint + "/v1/traces", body, JSON)
    assert (answer.status, answer.headers["content-type"]) == (400, JSON)
    assert answer.json["code"] == code_pb2.INVALID_ARGUMENT
    assert "not the JSON encoding of opentelemetry.proto.collector.trace.v1" in answer.json["message"]


def test_undecodable_protobuf_is_answered_with_a_protobuf_status(console: Console) -> None:
    answer = post(console.http_endpoint + "/v1/traces", b"\xff\xff\xff")
    assert answer.status == 400
    code, message = rpc_error(answer)
    assert code == code_pb2.INVALID_ARGUMENT
    assert "not a protobuf" in message
    assert console.receiver.answers == {("http/protobuf", "traces", 400): 1}


def test_gzip_of_several_members_is_taken(console: Console) -> None:
    data = one_span().SerializeToString()
    body = gzip.compress(data[:20]) + gzip.compress(data[20:])
    assert post(console.http_endpoint + "/v1/traces", body, Content_Encoding="gzip").status == 200
    assert console.store.mode("collector").spans == 1


@pytest.mark.parametrize(
    "body",
    [b"no gzip", gzip.compress(b"cut short" * 100)[:-9], zlib.compress(b"deflate")],
    ids=["plain", "cut-short", "deflate"],
)
def test_broken_gzip_is_a_bad_request(console: Console, body: bytes) -> None:
    answer = post(console.http_endpoint + "/v1/traces", body, Content_Encoding="gzip")
    assert (answer.status, rpc_error(answer)[0]) == (400, code_pb2.INVALID_ARGUMENT)


def test_gzip_bomb_is_refused(small_console: Console) -> None:
    bomb = gzip.compress(bytes(9_000_000))
    assert len(bomb) < 10_000
    answer = post(small_console.http_endpoint + "/v1/traces", bomb, Content_Encoding="gzip")
    assert answer.status == 413
    assert rpc_error(answer)[1] == "the message is larger than 10000 bytes"


@pytest.mark.parametrize("size", [10_001, 1_000_000])
def test_large_body_is_refused(small_console: Console, size: int) -> None:
    assert post(small_console.http_endpoint + "/v1/traces", bytes(size)).status == 413


def test_body_of_the_largest_size_is_read(small_console: Console) -> None:
    message = one_span(name="")
    message.resource_spans[0].scope_spans[0].spans[0].name = "x" * (9_980 - message.ByteSize())
    body = message.SerializeToString()
    assert 9_980 <= len(body) <= 10_000
    assert post(small_console.http_endpoint + "/v1/traces", body).status == 200


def test_chunked_body_is_read(console: Console) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", console.http_port, timeout=10)
    data = one_span().SerializeToString()
    connection.request("POST", "/v1/traces", iter([data[:9], data[9:]]), {"Content-Type": PROTOBUF})
    assert connection.getresponse().status == 200
    connection.close()
    assert console.store.mode("collector").spans == 1


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_unknown_content_type_is_refused(console: Console, content_type: str) -> None:
    answer = post(console.http_endpoint + "/v1/traces", b"{}", content_type)
    assert (answer.status, answer.headers["content-type"]) == (415, JSON)
    assert "expected application/x-protobuf or application/json" in answer.json["message"]


def test_unknown_content_encoding_is_refused(console: Console) -> None:
    answer = post(console.http_endpoint + "/v1/traces", b"", Content_Encoding="br")
    assert answer.status == 415
    assert "expected gzip or identity" in rpc_error(answer)[1]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_method_is_refused(console: Console, method: str) -> None:
    answer = request(console.http_endpoint + "/v1/traces", method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_head_is_refused_without_a_body(console: Console) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", console.http_port, timeout=10)
    for method, status in (("HEAD", 405), ("POST", 200)):
        connection.request(method, "/v1/traces", b"" if method == "POST" else None, {"Content-Type": PROTOBUF})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (status, b"")
    connection.close()


@pytest.mark.parametrize("path", ["/", "/v1/profiles", "/v1/traces/", "/v1/TRACES"])
def test_other_path_is_not_found(console: Console, path: str) -> None:
    answer = post(console.http_endpoint + path, b"")
    assert answer.status == 404
    assert "expected one of /v1/traces, /v1/metrics, /v1/logs" in rpc_error(answer)[1]


@pytest.mark.parametrize(("status", "code"), [(429, code_pb2.RESOURCE_EXHAUSTED), (503, code_pb2.UNAVAILABLE)])
def test_fault_with_a_status_refuses_and_stores_nothing(console: Console, status: int, code: int) -> None:
    console.receiver.faults = Faults(status=status, retry_after=1.2)
    answer = post(console.http_endpoint + "/v1/traces", one_span())
    assert (answer.status, answer.headers["retry-after"], rpc_error(answer)[0]) == (status, "2", code)
    assert console.store.totals() == {}
    assert console.receiver.answers == {("http/protobuf", "traces", status): 1}


def test_fault_of_one_signal_leaves_the_others(console: Console) -> None:
    console.receiver.faults = Faults(status=500, signals=("logs",))
    assert post(console.http_endpoint + "/v1/traces", one_span()).status == 200
    assert post(console.http_endpoint + "/v1/logs", logs()).status == 500


def test_deferred_requests_are_accepted_at_once_and_decoded_at_the_end(console: Console) -> None:
    totals = console.store.mode
    with console.receiver.deferred():
        for path, body in (("traces", one_span()), ("traces", b"\xff\xff\xff"), ("logs", logs(3))):
            assert post(f"{console.http_endpoint}/v1/{path}", body).status == 200
        console.receiver.faults = Faults(partial_reject=1)  # has an answer that must be decoded for
        assert post(f"{console.http_endpoint}/v1/logs", logs(4)).status == 200
        assert (totals("collector").spans, totals("collector").log_records) == (0, 3)
    assert (totals("collector").spans, totals("collector").log_records) == (1, 6)


def test_more_than_may_be_deferred_is_decoded_at_once(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(logs(3).SerializeToString())
    monkeypatch.setattr("telemetry.tools.console.receiving.deferral._MOST_BYTES", 2 * size)
    with console.receiver.deferred():
        for _ in range(3):
            post(f"{console.http_endpoint}/v1/logs", logs(3))
        assert console.store.mode("collector").log_records == 3
    assert console.store.mode("collector").log_records == 9


def test_fault_with_partial_reject_says_so(console: Console) -> None:
    console.receiver.faults = Faults(partial_reject=3)
    answer = post(console.http_endpoint + "/v1/traces", traces(many_ids(5)))
    response = ExportTraceServiceResponse.FromString(answer.body)
    assert (answer.status, response.partial_success.rejected_spans) == (200, 3)
    assert response.partial_success.error_message == "3 refused on demand"
    assert console.store.mode("collector").spans == 2
    answer = post(console.http_endpoint + "/v1/logs", json_format.MessageToJson(logs(2)).encode(), JSON)
    assert answer.json["partialSuccess"]["rejectedLogRecords"] == "2"


@pytest.mark.parametrize(
    ("trace_id", "span_id"), [("00" * 16, SPAN_ID), (TRACE_ID, "00" * 8), ("", SPAN_ID), (TRACE_ID[:-2], SPAN_ID)]
)
def test_span_without_valid_ids_is_rejected(console: Console, trace_id: str, span_id: str) -> None:
    message = traces([(trace_id, span_id), (TRACE_ID, SPAN_ID)])
    answer = post(console.http_endpoint + "/v1/traces", message)
    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert (answer.status, partial.rejected_spans) == (200, 1)
    assert "valid ids" in partial.error_message
    assert console.store.mode("collector").spans == 1


@pytest.mark.parametrize("name", ["traceId", "spanId", "parentSpanId"])
@pytest.mark.parametrize("value", ["ab cd", " abcd", "abcd\n", "ab\tcd", "abc", "a bcd", "\u0661\u0661", "0x", "--"])
def test_ids_in_json_are_hexadecimal_digits_alone(console: Console, name: str, value: str) -> None:
    span = {"traceId": TRACE_ID, "spanId": SPAN_ID, name: value}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    answer = post(console.http_endpoint + "/v1/traces", body, JSON)
    assert answer.status == 400
    assert f"{name} is {value!r}; expected hexadecimal digits" in answer.json["message"]
    link = {"links": [{"traceId": "ab cd" * 8, "spanId": SPAN_ID}], "traceId": TRACE_ID, "spanId": SPAN_ID}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [link]}]}]}).encode()
    assert post(console.http_endpoint + "/v1/traces", body, JSON).status == 400
    assert console.store.totals() == {}


def test_base64_ids_in_json_are_no_hexadecimal_ids(console: Console) -> None:
    span = {"traceId": base64.b64encode(bytes.fromhex(TRACE_ID)).decode(), "spanId": SPAN_ID}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    assert post(console.http_endpoint + "/v1/traces", body, JSON).status == 400
