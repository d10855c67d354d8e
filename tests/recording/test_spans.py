"""The spans that telemetry starts itself are the SDK's in all that user code can do to them."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from django.utils.translation import gettext_lazy
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from telemetry.config.limits import DEFAULT_LIMITS
from telemetry.exporting.items.batches import Batches
from telemetry.exporting.items.translation import Translator
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.views import Views
from telemetry.journal.records import SPAN
from telemetry.privacy import Redactor
from telemetry.recording import spans as spans_module
from telemetry.recording.ids import RandomIds
from telemetry.recording.journal import journal
from telemetry.recording.spans import RecordedSpan, RequestSpan, SpanRecorder, keep_within, span_limits
from tests.recording.conftest import Recorded, close_journal, open_journal
from tests.support.forks import in_child

Action = Callable[[Any], object]
ODD: Any = object()
OTHER = SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "b")]))


def raise_within(span: Any) -> None:
    try:
        int("within")
    except ValueError as error:
        span.record_exception(error, {"more": 1}, escaped=True)


ACTIONS: dict[str, Action] = {
    "attribute": lambda span: span.set_attribute("user.plan", "free"),
    "attributes": lambda span: span.set_attributes({"a": 1, "b": [True, False], "c": (1.5, 2.5)}),
    "odd attributes": lambda span: span.set_attributes({"": 1, "odd": ODD, "mixed": [1, "a"], "nothing": None}),
    "event": lambda span: span.add_event("cache.miss", {"key": "k"}, 17),
    "link": lambda span: span.add_link(OTHER, {"why": "test"}),
    "name": lambda span: span.update_name("another"),
    "status": lambda span: span.set_status(StatusCode.ERROR, "it was bad"),
    "status object": lambda span: span.set_status(Status(StatusCode.ERROR, "bad")),
    "ok is final": lambda span: (span.set_status(StatusCode.OK), span.set_status(StatusCode.ERROR, "late")),
    "unset changes nothing": lambda span: (span.set_status(StatusCode.ERROR, "x"), span.set_status(StatusCode.UNSET)),
    "exception": raise_within,
    "many attributes": lambda span: span.set_attributes({f"key.{n}": n for n in range(200)}),
    "many events": lambda span: [span.add_event(f"event {n}", timestamp=n) for n in range(200)],
    "many links": lambda span: [span.add_link(OTHER) for _ in range(200)],
}


class Ended(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def of_sdk(action: Action) -> tuple[Any, ...]:
    """What a span of the SDK keeps of an action, as records have it."""
    provider, ended = TracerProvider(shutdown_on_exit=False), Ended()
    provider.add_span_processor(ended)
    started = provider.get_tracer("test").start_span("", Context())
    action(started)
    started.end()
    (span,) = ended.spans
    return (
        span.name,
        None if span.status.is_unset else (span.status.status_code.value, span.status.description),
        dict(span.attributes or {}),
        [(event.name, dict(event.attributes or {}), event.dropped_attributes) for event in span.events],
        [(link.context.span_id, dict(link.attributes or {})) for link in span.links],
        (span.dropped_attributes, span.dropped_events, span.dropped_links),
    )


@pytest.mark.parametrize("what", ACTIONS)
def test_span_takes_what_the_sdk_takes(what: str) -> None:
    span = RequestSpan("GET")
    ACTIONS[what](span)
    assert span.touched is not None
    name, status, attributes, events, links, dropped = span.touched
    events = [(named, given, gone) for _, named, given, gone in events]
    links = [(int.from_bytes(link[1]), link[3]) for link in links]
    assert (name, status, attributes, events, links, dropped) == of_sdk(ACTIONS[what])


def test_untouched_span_keeps_nothing() -> None:
    assert RequestSpan("GET").touched is None


@pytest.mark.parametrize("what", ACTIONS)
def test_ended_span_takes_nothing(what: str) -> None:
    span = RequestSpan("GET")
    assert span.is_recording()
    span.end()
    ACTIONS[what](span)
    assert not span.is_recording()
    assert span.touched is None


@pytest.mark.parametrize("what", ACTIONS)
def test_unsampled_span_takes_nothing(what: str) -> None:
    span = RequestSpan("GET")
    span.flags = 0
    ACTIONS[what](span)
    assert not span.is_recording()
    assert span.touched is None


def test_context_of_a_span_is_that_of_its_record() -> None:
    span = RequestSpan("GET")
    context = span.get_span_context()
    assert context.is_valid
    assert context.trace_id.to_bytes(16) == span.ids[0]
    assert context.span_id.to_bytes(8) == span.ids[1]
    assert context.trace_flags.sampled
    assert context.trace_flags.random_trace_id
    assert span.get_span_context() is context


def test_ids_differ() -> None:
    spans = [RequestSpan("GET") for _ in range(1000)]
    assert len({span.trace_id for span in spans}) == len({span.span_id for span in spans}) == 1000


def test_our_span_works_as_the_current_one() -> None:
    span: RecordedSpan = RequestSpan("GET")
    with trace.use_span(span, end_on_exit=True):
        trace.get_current_span().set_attribute("inside", 1)
        child = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("child")
        assert child.get_span_context().trace_id.to_bytes(16) == span.trace_id
    assert span.ended
    assert span.touched
    assert span.touched[2] == {"inside": 1}


def test_spans_of_user_code_become_records(recorded: Recorded) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanRecorder())
    tracer = provider.get_tracer("shop", "1.2", "https://schema", {"a": "b"})
    with tracer.start_as_current_span("outer", attributes={"n": 1}, links=[trace.Link(OTHER, {"l": 2})]) as outer:
        outer.add_event("event", {"e": 3}, 99)
        with tracer.start_as_current_span("inner"):
            pass
    inner_record, outer_record = recorded()
    kind, scope, ids, name, span_kind, start, end, attributes, status, events, links, dropped = outer_record
    assert (kind, scope, name, span_kind) == (SPAN, ("shop", "1.2", "https://schema", {"a": "b"}), "outer", 0)
    assert ids[2] is None
    assert inner_record[2][0] == ids[0]
    assert inner_record[2][2] == ids[1]
    assert 0 < start <= end
    assert (attributes, status, dropped) == ({"n": 1}, None, (0, 0, 0))
    assert events == ((99, "event", {"e": 3}, 0),)
    ids_of_link = OTHER.trace_id.to_bytes(16), OTHER.span_id.to_bytes(8)
    assert links == ((*ids_of_link, True, {"l": 2}, 0),)


def test_scope_of_any_version_and_attributes_loses_no_span(recorded: Recorded) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanRecorder())
    versions: list[Any] = ["1.2", (5, 2), gettext_lazy("5.2")]
    for version in versions:
        attributes: dict[str, Any] = {"tags": ["a", "b"], "of": {"x": [1, {"y": 2}]}}
        provider.get_tracer("shop", version, attributes=attributes).start_span("outer").end()
    spans = Batches("traces", {}, 100)
    translator = Translator(
        redactor=Redactor(), aggregation=Aggregation(Views({})), spans=spans, logs=None, methods=set()
    )
    translator.translate(recorded(), None)
    assert translator.errors == 0
    ((request, items),) = spans.take()
    (group,) = ExportTraceServiceRequest.FromString(request).resource_spans
    scopes = [scope.scope for scope in group.scope_spans]
    assert (items, [scope.version for scope in scopes]) == (3, ["1.2", "(5, 2)", "5.2"])
    for scope in scopes:
        of, tags = scope.attributes
        assert [each.string_value for each in tags.value.array_value.values] == ["a", "b"]
        assert of.value.kvlist_value.values[0].value.array_value.values[0].int_value == 1


def test_unsampled_spans_of_user_code_leave_nothing(recorded: Recorded) -> None:
    provider = TracerProvider(sampler=trace_off(), shutdown_on_exit=False)
    provider.add_span_processor(SpanRecorder())
    with provider.get_tracer("shop").start_as_current_span("outer"):
        pass
    assert recorded() == []


def test_failure_to_record_a_span_costs_user_code_nothing(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanRecorder())
    monkeypatch.setattr(spans_module, "plain_attributes", 0)
    provider.get_tracer("shop").start_span("outer").end()
    assert recorded.ring.errors == 1


def trace_off() -> Any:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    return ALWAYS_OFF


class Process:
    def __init__(self, folder: Path) -> None:
        self.recorded: Recorded | None = None
        self.observed = 0
        self._folder = folder

    def join(self) -> None:
        self.recorded = open_journal(self._folder)

    def after_task(self) -> None:
        self.observed += 1


def test_spans_outside_of_requests(tmp_path: Path) -> None:
    """A worker of a queue serves no request: its spans make it join, and observe its instruments after each task."""
    process = Process(tmp_path)
    journal.join = process.join
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanRecorder(process))
    try:
        tracer = provider.get_tracer(__name__)
        with tracer.start_as_current_span("a task"), tracer.start_as_current_span("a part"):
            pass
        assert process.recorded is not None
        assert [(record[0], record[3]) for record in process.recorded()] == [(SPAN, "a part"), (SPAN, "a task")]
        assert process.observed == 1
        with tracer.start_as_current_span("of a message", trace.set_span_in_context(NonRecordingSpan(OTHER))):
            pass
        (record,) = process.recorded()
        assert record[2][2:] == (OTHER.span_id.to_bytes(8), 1, True)
        assert process.observed == 2
    finally:
        close_journal()


def test_limits_apply_to_our_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("limits", "tracer"):
        monkeypatch.setattr(spans_module._Touching, name, getattr(spans_module._Touching, name))
    before, after = RequestSpan("GET"), RequestSpan("GET")
    ACTIONS["many attributes"](before)
    keep_within(span_limits(replace(DEFAULT_LIMITS, span_attribute_count=5)))
    ACTIONS["many attributes"](after)
    assert [len(span.touched[2]) for span in (before, after) if span.touched] == [128, 5]
    assert after.touched
    assert after.touched[5] == (195, 0, 0)


def test_first_changes_of_two_threads_are_both_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    span, generate = RequestSpan("GET"), RandomIds.generate_span_id
    other = Thread(target=span.set_attribute, args=("of", "another"))

    def meanwhile(ids: RandomIds) -> int:
        if not other.ident:
            other.start()
            other.join(0.05)  # which waits for the first one
        return generate(ids)

    monkeypatch.setattr(RandomIds, "generate_span_id", meanwhile)
    span.set_attribute("first", 1)
    other.join()
    assert span.touched
    assert span.touched[2] == {"first": 1, "of": "another"}


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_child_of_a_fork_has_ids_and_locks_of_its_own() -> None:
    held, over = Event(), Event()

    def change() -> None:
        with spans_module._Touching.lock:
            held.set()
            over.wait(30)

    changing = Thread(target=change)
    changing.start()
    held.wait()
    reading, writing = os.pipe()

    def changes_another() -> bool:
        span = RequestSpan("GET")
        span.set_attribute("of", "the child")
        return os.write(writing, span.trace_id) == 16

    changed = in_child(changes_another)
    over.set()
    changing.join()
    assert changed
    assert os.read(reading, 16) != RequestSpan("GET").trace_id
    os.close(reading)
    os.close(writing)


def test_finalizer_may_change_a_span_while_another_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The garbage collector may run it within any allocation."""
    outer, inner = RequestSpan("GET"), RequestSpan("GET")
    left, generate = [inner], RandomIds.generate_span_id

    def collect(ids: RandomIds) -> int:
        while left:
            left.pop().set_attribute("of", "a finalizer")
        return generate(ids)

    monkeypatch.setattr(RandomIds, "generate_span_id", collect)
    changing = Thread(target=outer.set_attribute, args=("of", "a request"), daemon=True)
    changing.start()
    changing.join(30)
    changed = [span.touched[2]["of"] for span in (outer, inner) if span.touched]
    assert changed == ["a request", "a finalizer"]
