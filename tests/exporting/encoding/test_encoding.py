"""The encoder beside the SDK's: the same messages; and what the SDK's gives up."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as sdk_encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as sdk_encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from telemetry.exporting.encoding import (
    EventData,
    LinkData,
    LogData,
    RequestBuilder,
    ScopeData,
    SpanData,
    encode_attributes,
    encode_body,
    encode_log,
    encode_plain_log,
    encode_plain_span,
    encode_rest,
    encode_scope_attributes,
    encode_span,
)
from telemetry.exporting.encoding.logs import ATTRIBUTE as LOG_ATTRIBUTE
from telemetry.exporting.encoding.wire import varint
from tests.exporting.encoding.conversion import request
from tests.exporting.encoding.items import RECORDS, RESOURCE, SPANS

CONTEXT = SpanContext(1, 2, is_remote=False)
SURROGATE = "a\ud800b"
SPAN = SpanData(bytes(15) + b"\1", bytes(7) + b"\2", None, False, "", "x", 0, 1, 2, {}, None)
RECORD = LogData(1, 2, 9, "INFO", "body", {}, None, None, 0)
PATIENT = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def same(ours: bytes, sdks: Message) -> None:
    """Compare as bytes, in which NaN equals itself; the attributes of a scope are a set, ours in the order of keys."""
    for groups in getattr(sdks, "resource_spans", None) or sdks.resource_logs:  # type: ignore[attr-defined]
        for group in getattr(groups, "scope_spans", None) or groups.scope_logs:
            group.scope.attributes.sort(key=attrgetter("key"))
    message = type(sdks).FromString(ours)
    assert message.SerializeToString(deterministic=True) == sdks.SerializeToString(deterministic=True), (message, sdks)


def sent_span(span: SpanData) -> Any:
    return Span.FromString(encode_span(span))


def sent_record(record: LogData) -> Any:
    return LogRecord.FromString(encode_log(record))


@PATIENT
@given(st.lists(SPANS, min_size=1, max_size=4))
def test_spans_are_those_of_the_sdks_encoder(spans: Sequence[ReadableSpan]) -> None:
    same(request("traces", list(spans)), sdk_encode_spans(spans))
    same(request("traces", list(spans)), sdk_encode_spans(spans))  # with what is remembered now


@PATIENT
@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_log_records_are_those_of_the_sdks_encoder(records: Sequence[ReadableLogRecord]) -> None:
    same(request("logs", list(records)), sdk_encode_logs(records))
    same(request("logs", list(records)), sdk_encode_logs(records))


def test_values_that_are_equal_keep_their_types() -> None:
    values: list[Any] = [True, 1, 1.0, False, 0, 0.0, "1", "True"]
    scope = InstrumentationScope("x")
    spans = [
        ReadableSpan("x", CONTEXT, resource=RESOURCE, attributes={"key": value}, instrumentation_scope=scope)
        for value in values * 2
    ]
    same(request("traces", spans), sdk_encode_spans(spans))


def test_items_are_grouped_by_scope() -> None:
    builder = RequestBuilder("traces", {"service.name": "x"})
    for number in range(12):
        scope = ScopeData("abc"[number % 3], "1", "https://example.com/scope", encode_scope_attributes({"a": 1}))
        builder.add(scope, encode_span(SPAN._replace(name=str(number))))
    (group,) = ExportTraceServiceRequest.FromString(builder.build()).resource_spans
    assert [[span.name for span in scope.spans] for scope in group.scope_spans] == [
        ["0", "3", "6", "9"],
        ["1", "4", "7", "10"],
        ["2", "5", "8", "11"],
    ]
    assert {scope.schema_url for scope in group.scope_spans} == {"https://example.com/scope"}
    assert [pair.key for pair in group.scope_spans[0].scope.attributes] == ["a"]


def test_equal_scopes_are_one_group_whatever_the_order_of_their_attributes() -> None:
    spans = [
        ReadableSpan(
            "x", CONTEXT, resource=RESOURCE, instrumentation_scope=InstrumentationScope("s", attributes=dict(pairs))
        )
        for pairs in ((("a", 1), ("b", 2)), (("b", 2), ("a", 1)))
    ]
    same(request("traces", spans), sdk_encode_spans(spans))


def test_builder_counts_items_and_bytes() -> None:
    builder = RequestBuilder("logs", {"service.name": "x"})
    assert (builder.items, builder.build()) == (0, b"")
    sizes = []
    for number in range(2000):
        encoded = encode_log(RECORD._replace(body="x" * number))
        builder.add(ScopeData(f"scope {number % 2}"), encoded)
        sizes.append(len(encoded))
        assert (builder.items, builder.size) == (number + 1, sum(sizes))
    data = builder.build()
    assert 0 <= len(data) - builder.size < 200 + 3 * 2000  # the scopes, and a tag and a length for each record
    (group,) = ExportLogsServiceRequest.FromString(data).resource_logs
    assert sum(len(scope.log_records) for scope in group.scope_logs) == 2000


def test_requests_one_after_another_are_one_request() -> None:
    """What the sender does with batches that waited."""
    parts = []
    for number in range(3):
        builder = RequestBuilder("traces", {"service.name": "x"})
        builder.add(ScopeData("s"), encode_span(SPAN._replace(name=str(number))))
        parts.append(builder.build())
    groups = ExportTraceServiceRequest.FromString(b"".join(parts)).resource_spans
    assert [group.scope_spans[0].spans[0].name for group in groups] == ["0", "1", "2"]


def test_bad_attribute_takes_nothing_with_it(caplog: pytest.LogCaptureFixture) -> None:
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
    sent = sent_span(SPAN._replace(attributes=attributes))
    assert [pair.key for pair in sent.attributes] == ["a", "z"]
    assert len(caplog.records) == 5
    assert "object" in caplog.text


def test_lone_surrogates_become_question_marks() -> None:
    """The SDK's encoder gives up the attribute, and for a name or a body the whole batch."""
    attributes: dict[str, Any] = {SURROGATE: SURROGATE, "list": [SURROGATE], "map": {SURROGATE: 1}}
    sent = sent_span(
        SPAN._replace(
            name=SURROGATE, attributes=attributes, events=[EventData(1, SURROGATE, {})], status=(2, SURROGATE)
        )
    )
    assert (sent.name, sent.events[0].name, sent.status.message) == ("a?b", "a?b", "a?b")
    assert [pair.key for pair in sent.attributes] == ["a?b", "list", "map"]
    assert sent.attributes[0].value.string_value == "a?b"
    assert sent.attributes[1].value.array_value.values[0].string_value == "a?b"
    assert sent.attributes[2].value.kvlist_value.values[0].key == "a?b"
    record = sent_record(RECORD._replace(body=SURROGATE, event_name=SURROGATE))
    assert (record.body.string_value, record.event_name) == ("a?b", "a?b")


@pytest.mark.parametrize(("given", "sent"), [(1.5, 1), (-1, 0), (2**64, 2**64 - 1)])
def test_times_that_are_no_times_take_nothing_with_them(given: Any, sent: int) -> None:
    span = sent_span(SPAN._replace(start=given, end=5))
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (sent, 5)


def test_bad_body_leaves_the_rest_of_the_record(caplog: pytest.LogCaptureFixture) -> None:
    sent = sent_record(RECORD._replace(body=object(), attributes={"a": 1}))
    assert [pair.key for pair in sent.attributes] == ["a"]
    assert sent.HasField("body")
    assert "body" in caplog.text


def test_link_keeps_its_trace_state() -> None:
    """The SDK's encoder leaves it out."""
    link = LinkData(bytes(16), bytes(8), "vendor=1", True, {"a": 1}, 3)
    (sent,) = sent_span(SPAN._replace(links=[link])).links
    assert (sent.trace_state, sent.flags, sent.dropped_attributes_count) == ("vendor=1", 0x300, 3)


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


@pytest.mark.parametrize("parent", [None, b"parent!!"])
@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("status", [None, (2, None)])
def test_plain_span_is_that_of_the_general_encoder(
    parent: bytes | None, status: tuple[int, str | None] | None, *, remote: bool
) -> None:
    attributes = {"http.route": "/users/{id}", "client.port": 40_000}
    span = SPAN._replace(parent_id=parent, parent_remote=remote, status=status, attributes=attributes)
    rest = encode_rest(span.name, span.kind, attributes, status)
    plain = encode_plain_span(span.trace_id, span.span_id, parent, span.start, span.end, rest, remote=remote)
    assert Span.FromString(plain) == sent_span(span)


def test_plain_log_record_is_that_of_the_general_encoder() -> None:
    context = SPAN.trace_id, SPAN.span_id
    added = {"price": 5}
    record = RECORD._replace(observed=RECORD.time, trace_id=context[0], span_id=context[1], flags=3, attributes=added)
    body = encode_body(record.body, record.severity_number, record.severity_text)
    attributes = encode_attributes(LOG_ATTRIBUTE, added)
    plain = encode_plain_log(record.time, *context, record.flags, body, attributes)
    assert LogRecord.FromString(plain) == sent_record(record)
