"""The spans that telemetry starts itself are the SDK's in all that anybody can see of them."""

import json
import logging
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from telemetry.bound_metrics import settle_levels
from telemetry.privacy import Redactor
from telemetry.privacy.exporters import redacted_span
from telemetry.spans import Span, SpanSource

Start = Callable[..., trace.Span]
Action = Callable[[trace.Span], None]

ATTRIBUTES = {"url.path": "/users", "http.request.method": "GET", "server.port": 8080}
ODD: Any = object()
OTHER = SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "b")]))


class Numbers(IdGenerator):
    """The same ids in the same order."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def generate_span_id(self) -> int:
        return next(self._numbers)

    def generate_trace_id(self) -> int:
        return next(self._numbers) << 64 | 1 << 62

    def is_trace_id_random(self) -> bool:
        return True


class Ways:
    """A provider of its own for each way to start a span: by the SDK's tracer and by our source."""

    def __init__(self, **options: Any) -> None:
        self.starts: list[Start] = []
        self.exporters: list[InMemorySpanExporter] = []
        self.readers: list[InMemoryMetricReader] = []
        self.providers: list[TracerProvider] = []
        for ours in (False, True):
            reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
            provider = TracerProvider(
                id_generator=Numbers(),
                shutdown_on_exit=False,
                meter_provider=MeterProvider([reader], shutdown_on_exit=False),
                **options,
            )
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            tracer = provider.get_tracer("scope", "1", schema_url="https://example.com/schema")
            self.starts.append(SpanSource(tracer).start if ours else sdk_start(tracer))
            self.exporters.append(exporter)
            self.readers.append(reader)
            self.providers.append(provider)

    def ended(self) -> list[list[dict[str, Any]]]:
        """What each exporter got."""
        return [[told(span) for span in exporter.get_finished_spans()] for exporter in self.exporters]

    def counted(self) -> list[dict[str, Any]]:
        """What each provider counted of its own spans."""
        return [counts(reader) for reader in self.readers]


def sdk_start(tracer: trace.Tracer) -> Start:
    def start(name: str, kind: SpanKind, attributes: Any, context: Context, links: Any = ()) -> trace.Span:
        return tracer.start_span(name, context, kind, attributes, links)

    return start


def told(span: ReadableSpan) -> dict[str, Any]:
    text: dict[str, Any] = json.loads(span.to_json())
    text |= {"start_time": bool(span.start_time), "end_time": bool(span.end_time)}
    for event in text["events"]:
        event["timestamp"] = bool(event["timestamp"])
        event["attributes"].pop("exception.stacktrace", None)
    scope = span.instrumentation_scope
    assert scope
    losses = [span.dropped_attributes, span.dropped_events, span.dropped_links]
    return {**text, "losses": losses, "scope": [scope.name, scope.version, scope.schema_url], "flags": flags(span)}


def flags(span: ReadableSpan) -> int:
    assert span.context
    return int(span.context.trace_flags)


def counts(reader: InMemoryMetricReader) -> dict[str, Any]:
    settle_levels()
    data: Any = reader.get_metrics_data()
    return {
        f"{metric.name} {sorted(point.attributes.items())}": point.value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if metric.name.startswith("otel.sdk.span.")
    }


def parent_context(parent: SpanContext | None) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(parent), Context()) if parent else Context()


def raise_inside(span: trace.Span) -> None:
    with pytest.raises(KeyError), trace.use_span(span):
        raise KeyError("x")


def leave_by_error(span: trace.Span) -> None:
    with pytest.raises(KeyError), span:
        raise KeyError("x")


def set_many(span: trace.Span) -> None:
    for number in range(200):
        span.set_attribute(f"key{number}", "x" * number)


def add_many(span: trace.Span) -> None:
    for number in range(200):
        span.add_event(f"event{number}", {"text": "x" * number})
        span.add_link(OTHER, {"number": number})


def act_after_end(span: trace.Span) -> None:
    span.end()
    span.set_attribute("late", 1)
    span.set_attributes({"late": 1})
    span.add_event("late")
    span.add_link(OTHER)
    span.update_name("late")
    span.set_status(StatusCode.ERROR)
    span.end()


ACTIONS: dict[str, Action] = {
    "nothing": lambda _: None,
    "set_attribute": lambda span: span.set_attribute("user", [1, 2]),
    "replace an attribute": lambda span: span.set_attribute("url.path", "/"),
    "set an attribute that is none": lambda span: span.set_attribute("odd", ODD),
    "set_attributes": lambda span: span.set_attributes({"a": 1.5, "b": True, "": "no key"}),
    "add_event": lambda span: span.add_event("event", {"a": [ODD]}, timestamp=7),
    "record_exception": lambda span: span.record_exception(ValueError("bad"), {"more": 1}),
    "add_link": lambda span: span.add_link(OTHER, {"why": "because"}),
    "add a link to nothing": lambda span: span.add_link(trace.INVALID_SPAN_CONTEXT),
    "update_name": lambda span: span.update_name("other"),
    "set_status": lambda span: span.set_status(Status(StatusCode.ERROR, "why")),
    "set_status twice": lambda span: (span.set_status(StatusCode.OK), span.set_status(StatusCode.ERROR))[0],
    "an error inside": raise_inside,
    "an error out of it": leave_by_error,
    "many attributes": set_many,
    "many events": add_many,
    "end at a time": lambda span: span.end(99),
    "after the end": act_after_end,
}
LIMITS = {
    "default": SpanLimits(),
    "few": SpanLimits(max_attributes=2, max_events=2, max_links=1, max_event_attributes=1),
    "short": SpanLimits(max_attribute_length=4),
    "none": SpanLimits(max_span_attributes=0),
}
PARENTS = {
    "no parent": None,
    "remote, sampled": OTHER,
    "remote, not sampled": SpanContext(5, 6, is_remote=True),
    "remote, sampled and random": SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(3)),
    "local, sampled": SpanContext(5, 6, is_remote=False, trace_flags=TraceFlags(1)),
}


class Recorder(Sampler):
    """Records without sampling, and adds something."""

    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY, {"by": "sampler"}, TraceState([("s", "t")]))

    def get_description(self) -> str:
        return "Recorder"


SAMPLERS: dict[str, Sampler] = {
    "parentbased_always_on": ParentBased(ALWAYS_ON),
    "parentbased_always_off": ParentBased(ALWAYS_OFF),
    "always_on": ALWAYS_ON,
    "always_off": ALWAYS_OFF,
    "ratio": TraceIdRatioBased(0.3),
    "parentbased_ratio": ParentBased(TraceIdRatioBased(0.2)),
    "parentbased, children never": ParentBased(ALWAYS_ON, local_parent_sampled=ALWAYS_OFF),
    "records only": Recorder(),
}


@pytest.fixture(autouse=True)
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("action", ACTIONS)
def test_span_is_the_sdks(action: str, limits: str) -> None:
    ways = Ways(span_limits=LIMITS[limits])
    for start in ways.starts:
        span = start("GET", SpanKind.SERVER, ATTRIBUTES, Context(), (Link(OTHER, {"a": 1}), Link(OTHER)))
        assert span.is_recording()
        ACTIONS[action](span)
        if span.is_recording():
            span.end()
        assert not span.is_recording()
    sdk, ours = ways.ended()
    assert len(sdk) == 1
    assert ours == sdk
    sdk_counted, counted = ways.counted()
    assert sdk_counted
    assert counted == sdk_counted


@pytest.mark.parametrize("parent", PARENTS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampling_is_the_sdks(sampler: str, parent: str) -> None:
    """With a child in it, and a child of the SDK's tracer in that."""
    ways = Ways(sampler=SAMPLERS[sampler])
    contexts: list[Any] = []
    for start, provider in zip(ways.starts, ways.providers, strict=True):
        outer = start("GET", SpanKind.SERVER, ATTRIBUTES, parent_context(PARENTS[parent]))
        inside = trace.set_span_in_context(outer)
        inner = start("SELECT", SpanKind.CLIENT, {}, inside)
        child = provider.get_tracer("user").start_span("child", trace.set_span_in_context(inner, inside))
        live = counts(ways.readers[len(contexts)])
        contexts.append(([span.get_span_context() for span in (outer, inner, child)], live))
        for span in (child, inner, outer):
            span.end()
    assert contexts[1] == contexts[0]
    assert ways.ended()[1] == ways.ended()[0]
    assert ways.counted()[1] == ways.counted()[0]


def test_other_processors_see_the_span() -> None:
    seen: list[tuple[str, Any]] = []

    class Processor(SpanProcessor):
        def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
            seen.append(("start", span.name))
            span.set_attribute("by", "processor")
            assert parent_context is not None

        def _on_ending(self, span: SdkSpan) -> None:
            seen.append(("ending", span.is_recording()))

        def on_end(self, span: ReadableSpan) -> None:
            seen.append(("end", dict(span.attributes or {})))

    provider = TracerProvider(shutdown_on_exit=False)
    source = SpanSource(provider.get_tracer("x"))
    source.start("before", SpanKind.SERVER, {}, Context()).end()
    provider.add_span_processor(Processor())
    source.start("GET", SpanKind.SERVER, {"a": 1}, Context()).end()
    assert seen == [("start", "GET"), ("ending", False), ("end", {"a": 1, "by": "processor"})]


@pytest.mark.filterwarnings("ignore:You should use instrumentation_scope:DeprecationWarning")
def test_processors_that_ask_for_the_former_name_of_the_scope_get_it() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("x", "1.0")
    spans: list[Any] = [tracer.start_span("GET"), SpanSource(tracer).start("GET", SpanKind.SERVER, {}, Context())]
    assert [(span.instrumentation_info.name, span.instrumentation_info.version) for span in spans] == [("x", "1.0")] * 2


def test_batch_gets_what_is_sampled_until_it_is_shut_down() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, sampler=ParentBased(ALWAYS_ON))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    source = SpanSource(provider.get_tracer("x"))
    for name, parent in (("sampled", None), ("not sampled", PARENTS["remote, not sampled"])):
        source.start(name, SpanKind.SERVER, {}, parent_context(parent)).end()
    provider.shutdown()
    source.start("late", SpanKind.SERVER, {}, Context()).end()
    assert [span.name for span in exporter.get_finished_spans()] == ["sampled"]


def test_shared_attributes_are_left_alone() -> None:
    source = SpanSource(TracerProvider(shutdown_on_exit=False).get_tracer("x"))
    shared = {"db.query.text": "SELECT 1"}
    context = trace.set_span_in_context(source.start("GET", SpanKind.SERVER, {}, Context()))
    one, other = (source.start("SELECT", SpanKind.CLIENT, shared, context) for _ in range(2))
    assert isinstance(one, Span)
    assert isinstance(other, Span)
    one.set_attribute("user", "one")
    other.complete("SELECT 2", {"answer": 42})
    assert shared == {"db.query.text": "SELECT 1"}
    assert dict(one.attributes or {}) == {**shared, "user": "one"}
    assert (other.name, dict(other.attributes or {})) == ("SELECT 2", {**shared, "answer": 42})


def test_completion_keeps_what_user_code_set() -> None:
    source = SpanSource(TracerProvider(shutdown_on_exit=False).get_tracer("x"))
    span = source.start("GET", SpanKind.SERVER, {"a": 1}, Context())
    assert isinstance(span, Span)
    span.set_attribute("user", "one")
    span.complete(None, {"answer": 42})
    assert (span.name, dict(span.attributes or {})) == ("GET", {"a": 1, "user": "one", "answer": 42})


def test_completion_leaves_a_span_alone_that_has_ended() -> None:
    source = SpanSource(TracerProvider(shutdown_on_exit=False).get_tracer("x"))
    span = source.start("GET", SpanKind.SERVER, {"a": 1}, Context())
    assert isinstance(span, Span)
    span.end()
    span.complete("GET /users", {"answer": 42})
    assert (span.name, dict(span.attributes or {})) == ("GET", {"a": 1})


def test_redaction_changes_the_span_as_it_does_the_sdks() -> None:
    ways = Ways()
    for start in ways.starts:
        start("GET", SpanKind.SERVER, {"note": "mail to alice@example.com"}, Context()).end()
    sdk, ours = (redacted_span(exporter.get_finished_spans()[0], Redactor()) for exporter in ways.exporters)
    assert told(ours) == told(sdk)
    assert dict(ours.attributes or {}) == {"note": "mail to ***"}


def test_source_without_provider_records_nothing_and_finds_one_later() -> None:
    proxy = trace.ProxyTracer("x")
    source = SpanSource(proxy)
    assert not source.start("GET", SpanKind.SERVER, {}, Context()).is_recording()
    proxy._real_tracer = TracerProvider(shutdown_on_exit=False).get_tracer("x")
    assert source.start("GET", SpanKind.SERVER, {}, Context()).is_recording()
