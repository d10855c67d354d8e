"""The encoder beside the SDK's: the same messages; and what the SDK's gives up."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.common import _internal
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as sdk_encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as sdk_encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode

from telemetry.encoding import encode_logs, encode_spans
from telemetry.encoding.wire import varint
from tests.encoding.items import RECORDS, SPANS

CONTEXT = SpanContext(1, 2, is_remote=False)
RESOURCE = Resource({"service.name": "x"})
SURROGATE = "a\ud800b"
PATIENT = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Both encoders tell of each bad value."""
    loggers = [logging.getLogger("telemetry.encoding.common"), logging.getLogger(_internal.__name__)]
    for logger in loggers:
        logger.disabled = True
    yield
    for logger in loggers:
        logger.disabled = False


def same(ours: bytes, sdks: Message) -> None:
    """Compare as bytes, in which NaN equals itself."""
    message = type(sdks).FromString(ours)
    assert message.SerializeToString(deterministic=True) == sdks.SerializeToString(deterministic=True), (message, sdks)


def span_of(data: bytes) -> Any:
    return ExportTraceServiceRequest.FromString(data).resource_spans[0].scope_spans[0].spans[0]


def record_of(data: bytes) -> Any:
    return ExportLogsServiceRequest.FromString(data).resource_logs[0].scope_logs[0].log_records[0]


@PATIENT
@given(st.lists(SPANS, max_size=4))
def test_spans_are_those_of_the_sdks_encoder(spans: Sequence[ReadableSpan]) -> None:
    same(encode_spans(spans), sdk_encode_spans(spans))
    same(encode_spans(spans), sdk_encode_spans(spans))  # with what is remembered now


@PATIENT
@given(st.lists(RECORDS, max_size=4))
def test_log_records_are_those_of_the_sdks_encoder(records: Sequence[ReadableLogRecord]) -> None:
    same(encode_logs(records), sdk_encode_logs(records))
    same(encode_logs(records), sdk_encode_logs(records))


def test_values_that_are_equal_keep_their_types() -> None:
    values: list[Any] = [True, 1, 1.0, False, 0, 0.0, "1", "True"]
    spans = [ReadableSpan("x", CONTEXT, resource=RESOURCE, attributes={"key": value}) for value in values * 2]
    same(encode_spans(spans), sdk_encode_spans(spans))


def test_items_are_grouped_by_equal_resources_and_scopes() -> None:
    spans = [
        ReadableSpan(
            str(number),
            CONTEXT,
            resource=Resource({"service.name": "xy"[number % 2]}, "https://example.com"),
            instrumentation_scope=InstrumentationScope("abc"[number % 3], "1", "https://example.com/scope"),
        )
        for number in range(12)
    ]
    data = encode_spans(spans)
    same(data, sdk_encode_spans(spans))
    groups = ExportTraceServiceRequest.FromString(data).resource_spans
    assert [[len(scope.spans) for scope in group.scope_spans] for group in groups] == [[2, 2, 2], [2, 2, 2]]


def test_bad_attribute_takes_nothing_with_it(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("telemetry.encoding.common").disabled = False
    attributes: dict[Any, Any] = {
        "a": 1,
        "object": object(),
        "large": 2**63,
        5: "key",
        "list": [{"x": object()}],
        "z": 2,
    }
    circle: list[Any] = []
    attributes["circle"] = [circle]
    circle.append(circle)
    span = ReadableSpan("x", CONTEXT, resource=RESOURCE, attributes=attributes)
    assert [pair.key for pair in span_of(encode_spans([span])).attributes] == ["a", "z"]
    assert len(caplog.records) == 5
    assert "object" in caplog.text


def test_lone_surrogates_become_question_marks() -> None:
    """The SDK's encoder gives up the attribute, and for a name or a body the whole batch."""
    attributes: dict[str, Any] = {SURROGATE: SURROGATE, "list": [SURROGATE], "map": {SURROGATE: 1}}
    span = ReadableSpan(
        SURROGATE,
        CONTEXT,
        resource=RESOURCE,
        attributes=attributes,
        events=[Event(SURROGATE, timestamp=1)],
        status=Status(StatusCode.ERROR, SURROGATE),
    )
    sent = span_of(encode_spans([span]))
    assert (sent.name, sent.events[0].name, sent.status.message) == ("a?b", "a?b", "a?b")
    assert [pair.key for pair in sent.attributes] == ["a?b", "list", "map"]
    assert sent.attributes[0].value.string_value == "a?b"
    assert sent.attributes[1].value.array_value.values[0].string_value == "a?b"
    assert sent.attributes[2].value.kvlist_value.values[0].key == "a?b"
    record = ReadableLogRecord(LogRecord(body=SURROGATE, event_name=SURROGATE), RESOURCE)
    assert record_of(encode_logs([record])).body.string_value == "a?b"


@pytest.mark.parametrize(("given", "sent"), [(1.5, 1), (-1, 0), (2**64, 2**64 - 1)])
def test_times_that_are_no_times_take_nothing_with_them(given: Any, sent: int) -> None:
    span = ReadableSpan("x", CONTEXT, resource=RESOURCE, start_time=given, end_time=5)
    assert span_of(encode_spans([span])).start_time_unix_nano == sent
    assert span_of(encode_spans([span])).end_time_unix_nano == 5


def test_bad_body_leaves_the_rest_of_the_record(caplog: pytest.LogCaptureFixture) -> None:
    record: Any = LogRecord(attributes={"a": 1})
    record.body = object()
    sent = record_of(encode_logs([ReadableLogRecord(record, RESOURCE)]))
    assert [pair.key for pair in sent.attributes] == ["a"]
    assert sent.HasField("body")
    assert "body" in caplog.text


@pytest.mark.parametrize(
    ("number", "data"),
    [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (150, b"\x96\x01"), (2**64 - 1, b"\xff" * 9 + b"\1")],
)
def test_varint(number: int, data: bytes) -> None:
    """150 is the example of https://protobuf.dev/programming-guides/encoding/."""
    assert varint(number) == data


@pytest.mark.parametrize("number", [-1, 2**64])
def test_varint_refuses_what_has_no_64_bits(number: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        varint(number)
