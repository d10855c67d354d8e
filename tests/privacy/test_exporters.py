"""Spans and exemplars on their way to an exporter: secrets go, everything else stays as it was."""

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    InMemoryMetricReader,
    MetricExportResult,
    MetricsData,
)
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode, TraceState

from telemetry.privacy import Redactor
from telemetry.privacy.exporters import (
    RedactingMetricExporter,
    RedactingSpanExporter,
    redacted_resource,
    redacted_span,
)

SECRET = "zq1canary"
EMAIL = f"{SECRET}@example.com"
STATE = TraceState([("vendor", SECRET)])
REMOTE = SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1), trace_state=STATE)


def span_with(**changed: Any) -> ReadableSpan:
    """Return an ended span that differs from a harmless one by `changed`."""
    provider = TracerProvider(resource=Resource({"service.name": "x"}), span_limits=SpanLimits(max_events=2))
    context = trace.set_span_in_context(NonRecordingSpan(changed["parent"])) if "parent" in changed else None
    span = provider.get_tracer("tests").start_span(
        changed.get("name", "GET user"),
        context,
        attributes={"http.route": "/users", "url.path": "/users", **changed.get("attributes", {})},
        links=changed.get("links", ()),
    )
    for event in changed.get("events", ()):
        span.add_event("event", event)
    if "error" in changed:
        span.record_exception(changed["error"])
        span.set_status(Status(StatusCode.ERROR, str(changed["error"])))
    span.end()
    assert isinstance(span, ReadableSpan)
    return span


def test_span_without_secrets_is_passed_on_as_it_is() -> None:
    span = span_with(
        attributes={"many": ("a", "b"), "number": 1},
        events=[{"a": "b"}],
        links=[Link(SpanContext(1, 2, is_remote=True))],
    )
    assert redacted_span(span, Redactor()) is span


@pytest.mark.parametrize(
    "changed",
    [
        {"name": f"user {EMAIL}"},
        {"attributes": {"url.query": f"q={SECRET}"}},
        {"attributes": {"url.path": f"/users/{SECRET}"}},
        {"attributes": {"any": [EMAIL]}},
        {"attributes": {f"é {EMAIL}": 1}},
        {"events": [{"message": EMAIL}]},
        {"links": [Link(SpanContext(1, 2, is_remote=True), {"message": EMAIL})]},
        {"links": [Link(REMOTE)]},
        {"parent": REMOTE},
        {"error": ValueError(f"password={SECRET}")},
        {
            "name": f"{SECRET} user",
            "attributes": {"http.request.method": "_OTHER", "http.request.method_original": SECRET},
        },
    ],
    ids=[f"{number}" for number in range(11)],
)
def test_span_secret(changed: dict[str, Any]) -> None:
    span = span_with(**changed)
    assert SECRET in encode_spans([span]).SerializeToString().decode(errors="replace") + span.to_json()
    redacted = redacted_span(span, Redactor())
    assert SECRET not in encode_spans([redacted]).SerializeToString().decode(errors="replace")
    assert SECRET not in redacted.to_json()


def test_span_keeps_the_rest() -> None:
    span = span_with(attributes={"url.query": "x"}, events=[{"a": EMAIL}, {"b": "c"}, {"d": "e"}], parent=REMOTE)
    redacted = redacted_span(span, Redactor())
    for name in ("start_time", "end_time", "kind", "resource", "instrumentation_scope", "dropped_events", "name"):
        assert getattr(redacted, name) == getattr(span, name)
    assert (redacted.context.trace_id, redacted.context.span_id) == (span.context.trace_id, span.context.span_id)
    assert redacted.parent
    assert (redacted.parent.span_id, redacted.parent.is_remote) == (REMOTE.span_id, True)
    assert redacted.dropped_events == 1


def test_span_tells_of_dropped_attributes() -> None:
    redacted = redacted_span(span_with(attributes={f"key{number}": 1 for number in range(100)}), Redactor())
    assert redacted.dropped_attributes == 100 + 2 - 63


def test_span_that_cannot_be_redacted_takes_no_other_with_it() -> None:
    class Odd:
        def items(self) -> Any:
            raise RuntimeError("odd")

        def __len__(self) -> int:
            return 1

    odd, good = span_with(name=EMAIL), span_with()
    odd._attributes = Odd()  # type: ignore[assignment]
    memory = InMemorySpanExporter()
    RedactingSpanExporter(memory).export([odd, good])
    first, second = memory.get_finished_spans()
    assert (first.name, dict(first.attributes or {})) == ("***", {})
    assert second is good


def test_span_exporter_passes_calls_and_results_on() -> None:
    class Refusing(SpanExporter):
        calls: list[str] = []  # noqa: RUF012

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
            return SpanExportResult.FAILURE

        def shutdown(self) -> None:
            self.calls.append("shutdown")

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return timeout_millis == 5

    exporter = RedactingSpanExporter(Refusing())
    exporter.shutdown()
    assert (exporter.export([span_with()]), exporter.force_flush(5)) == (SpanExportResult.FAILURE, True)
    assert Refusing.calls == ["shutdown"]


def test_exemplar_attributes_are_dropped() -> None:
    class Keeping(ConsoleMetricExporter):
        def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:  # noqa: ARG002
            kept.append(metrics_data)
            return MetricExportResult.SUCCESS

    kept: list[MetricsData] = []
    reader = InMemoryMetricReader()
    views = [View(instrument_name="*", attribute_keys={"route"})]
    provider = MeterProvider([reader], exemplar_filter=AlwaysOnExemplarFilter(), views=views)
    meter = provider.get_meter("tests")
    meter.create_histogram("h").record(1.0, {"route": "/users", "address": EMAIL})
    meter.create_counter("c").add(1, {"route": "/users", "address": EMAIL})
    data = reader.get_metrics_data()
    provider.shutdown()
    assert data
    assert SECRET in data.to_json()
    RedactingMetricExporter(Keeping()).export(data)
    points: list[Any] = [
        point for metric in kept[0].resource_metrics[0].scope_metrics[0].metrics for point in metric.data.data_points
    ]
    assert SECRET not in kept[0].to_json()
    assert [len(point.exemplars) for point in points] == [1, 1]
    assert [dict(point.attributes) for point in points] == [{"route": "/users"}] * 2


def test_resource_secret() -> None:
    kept = {"service.name": "user-api", "container.id": "0a" * 32, "service.version": "1b" * 20}
    resource = Resource({**kept, "database": f"postgres://me:{SECRET}@db/x"})
    assert dict(redacted_resource(resource).attributes) == {
        **kept,
        "database": "postgres://***@db/x",
    }
