"""Spans that become records: telemetry's own, of requests and queries, and those of user code and instrumentations.

Telemetry's own span is a `Span` of the API with ids and a time. Changes by user code go to a span of the SDK, created
on demand, so that all of the SDK's rules apply: valid attributes, limits, status, exceptions.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from threading import RLock
from time import perf_counter_ns, time_ns
from typing import Any, Protocol

from opentelemetry.context import Context, create_key
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, Sampler
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from telemetry.config.limits import LimitsConfig
from telemetry.journal.records import SPAN, plain_attributes, text_of
from telemetry.privacy import MASK, Constants, redactor
from telemetry.privacy.constants import is_module
from telemetry.privacy.strict import Vetted, stack_of
from telemetry.recording.ids import RandomIds, getrandbits
from telemetry.recording.journal import journal

_SAMPLED, _RANDOM = TraceFlags.SAMPLED, TraceFlags.RANDOM_TRACE_ID
# The prefix of tracer names that need not be modules of this process.
_INSTRUMENTATIONS = "opentelemetry.instrumentation."
_constants = Constants()

# (name, status, attributes, events, links, dropped), as in `telemetry.journal.records`.
Touched = tuple[Any, ...]
Ids = tuple[bytes, bytes, bytes | None, int, bool]


def span_limits(config: LimitsConfig) -> SpanLimits:
    """Return the SDK's span limits. The exporter truncates values, as a truncated secret would not be recognised."""
    return SpanLimits(
        max_attributes=config.attribute_count,
        max_events=config.span_event_count,
        max_links=config.span_link_count,
        max_span_attributes=config.span_attribute_count,
        max_event_attributes=config.event_attribute_count,
        max_link_attributes=config.link_attribute_count,
        max_attribute_length=SpanLimits.UNSET,
        max_span_attribute_length=SpanLimits.UNSET,
    )


class _Touching:
    """The tracer of spans that only hold user code's changes to ours."""

    limits: SpanLimits | None = None
    tracer: Any = None
    lock = RLock()  # reentrant: a finalizer that runs meanwhile may change a span, too

    @classmethod
    def renew(cls) -> None:
        """Replace the lock, which another thread may have held at a fork."""
        cls.lock = RLock()


os.register_at_fork(after_in_child=_Touching.renew)


def keep_within(limits: SpanLimits) -> None:
    """Apply `limits` to user code's changes to the spans of requests and queries."""
    _Touching.limits, _Touching.tracer = limits, None


def _touching() -> Any:
    if _Touching.tracer is None:
        provider = TracerProvider(
            sampler=ALWAYS_ON, id_generator=RandomIds(), shutdown_on_exit=False, span_limits=_Touching.limits
        )
        _Touching.tracer = provider.get_tracer(__name__)
    return _Touching.tracer


class RecordedSpan(Span):
    """A span of our own: ids, and user code's changes."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes | None = None
    flags: int = _SAMPLED | _RANDOM
    trace_state: TraceState | None = None
    parent_is_remote = False
    ended = False
    changes: Any = None
    """The SDK's span that takes user code's changes to this one; None without changes."""
    stacks: dict[int, Vetted] | None = None
    """At the strict level, the stack traces of recorded exceptions by the timestamps of their events."""
    _context: SpanContext | None = None

    @property
    def sampled(self) -> bool:
        """Whether the span goes to a backend."""
        return bool(self.flags & _SAMPLED)

    @property
    def ids(self) -> Ids:
        """The span's context as in records: without its trace state, whose content comes from clients."""
        return self.trace_id, self.span_id, self.parent_id, self.flags, self.parent_is_remote

    def get_span_context(self) -> SpanContext:
        context = self._context
        if context is None:
            ids = int.from_bytes(self.trace_id), int.from_bytes(self.span_id)
            context = self._context = SpanContext(*ids, False, TraceFlags(self.flags), self.trace_state)
        return context

    def is_recording(self) -> bool:
        return self.sampled and not self.ended

    def _touch(self) -> Any:
        """Return `changes`, created on first use; None if the span is not recording."""
        if self.ended or not self.flags & _SAMPLED:
            return None
        with _Touching.lock:
            if self.changes is None:
                self.changes = _touching().start_span("", Context())
        return self.changes

    def set_attribute(self, key: str, value: Any) -> None:
        if span := self._touch():
            span.set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        if span := self._touch():
            span.set_attributes(attributes)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        if span := self._touch():
            span.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        if span := self._touch():
            span.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        if span := self._touch():
            span.update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if span := self._touch():
            span.set_status(status, description)

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        if span := self._touch():
            _, kind, text, stack = described(exception)
            if not isinstance(stack, str):  # the event contains only texts, which may be forged
                timestamp = timestamp or time_ns()
                self.stacks = {**(self.stacks or {}), timestamp: stack}
                stack = ""
            event = {
                "exception.type": kind,
                "exception.message": text,
                "exception.stacktrace": stack,
                "exception.escaped": str(escaped),
            }
            span.add_event("exception", {**event, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:  # noqa: ARG002  (its record contains the real duration)
        """Accept no more changes. The record is written when the request or the query is over."""
        self.ended = True

    @property
    def hex_ids(self) -> tuple[str, str]:
        """Trace id and span id as log records show them."""
        return self.trace_id.hex(), self.span_id.hex()

    @property
    def touched(self) -> Touched | None:
        """User code's changes to the span, or None."""
        return None if self.changes is None else _touched_of(self.changes, self.stacks)


MOST_WITHIN = 128
"""How many queries and log records each a request's record has; more, as of a long stream, are records of their own."""
REQUEST_KEY = create_key("telemetry-request")
"""The context key of the current request's span."""


class RequestSpan(RecordedSpan):
    """The span of a request in progress, with the queries and log records within it."""

    over = False
    """Whether the request is over: later queries and log records become separate records."""
    is_counted = False
    """Whether it is counted among the ring's active requests."""
    context: Context | None = None
    """The context of the request, without any span inside it."""
    token: Any = None
    """The token that detaches that context; None once it is detached."""

    def __init__(self, method: str) -> None:
        """Begin now; `method` is one of `telemetry.journal.records.METHODS`."""
        ids = getrandbits(192).to_bytes(24)
        self.trace_id, self.span_id = ids[:16], ids[16:]
        self.method = method
        self.start, self.started = time_ns(), perf_counter_ns()
        self.queries: list[tuple[Any, ...]] = []
        self.logs: list[tuple[Any, ...]] = []


class QuerySpan(RecordedSpan):
    """The span of a query, for what runs inside it."""

    def __init__(self, trace_id: bytes, parent_id: bytes | None, flags: int, state: TraceState | None) -> None:
        self.trace_id, self.span_id = trace_id, getrandbits(64).to_bytes(8)
        self.parent_id, self.flags, self.trace_state = parent_id, flags, state


def described(error: BaseException) -> tuple[str, str, str, str | Vetted]:
    """Return the name of an exception's type, without and with its module, its message and its stack trace."""
    name, module = type(error).__qualname__, type(error).__module__
    full = f"{module}.{name}" if module and module != "builtins" else name
    return name, full, text_of(error), redactor().stack_of(error)


def new_trace_id() -> bytes:
    """Return a random trace id."""
    return getrandbits(128).to_bytes(16)


def decide(  # noqa: PLR0917
    sampler: Sampler, context: Context, trace_id: bytes, name: str, kind: SpanKind, links: Sequence[Link] = ()
) -> tuple[int, TraceState | None]:
    """Return a span's flags and trace state as `sampler` decides."""
    result = sampler.should_sample(context, int.from_bytes(trace_id), name, kind, None, links)
    sampled = result.decision is Decision.RECORD_AND_SAMPLE
    return (_SAMPLED if sampled else 0) | _RANDOM, result.trace_state


class Process(Protocol):
    """The recording of this process, as spans need it without requests: in a worker of a task queue."""

    def after_task(self) -> None:
        """Collect from the observable instruments, if that is due, where no requests are served."""


class SpanRecorder(SpanProcessor):
    """Writes a record of each sampled span of the SDK's tracers."""

    def __init__(self, process: Process | None = None) -> None:
        self._process = process

    def on_end(self, span: ReadableSpan) -> None:
        try:
            context = span.context
            if context is None or not context.trace_flags.sampled or (journal.ring is None and not journal.records()):
                return
            journal.write(_record(span, context))
            process = self._process
            if process is not None and (span.parent is None or span.parent.is_remote):
                process.after_task()
        except Exception as error:  # noqa: BLE001  (user code ends its spans in its requests)
            journal.failed("span", error)


def _record(span: ReadableSpan, context: SpanContext) -> tuple[Any, ...]:
    parent, scope = span.parent, span.instrumentation_scope
    ids = (
        context.trace_id.to_bytes(16),
        context.span_id.to_bytes(8),
        parent.span_id.to_bytes(8) if parent else None,
        int(context.trace_flags),
        bool(parent and parent.is_remote),
    )
    named: tuple[Any, ...] | None = None
    if scope:  # whose version may be anything, such as `django.VERSION`
        texts = str(scope.name), str(scope.version or ""), str(scope.schema_url or "")
        named = (*texts, plain_attributes(scope.attributes))
    strict = redactor().strict
    name, status, attributes, events, *others = _touched_of(span, _escaping(span) if strict else None)
    if strict:  # constants of the code can be recognised only here
        module = named[0] if named else ""
        name = name if _constants.in_module(name, module) else MASK
        events = tuple(
            (time, text if text == "exception" or _constants.in_module(text, module) else MASK, *rest)
            for time, text, *rest in events
        )
        if named and not is_module(module):
            named = (module if module.startswith(_INSTRUMENTATIONS) else MASK, *named[1:])
    kind, start, end = span.kind.value, span.start_time or 0, span.end_time or 0
    return (SPAN, named, ids, name, kind, start, end, attributes, status, events, *others)


def _escaping(span: ReadableSpan) -> dict[int, Vetted] | None:
    """Return the stack trace of the exception that ends `span`, recorded last by the SDK, by its event's timestamp."""
    error, last = sys.exception(), span.events[-1] if span.events else None
    if error is None or last is None or last.name != "exception":
        return None
    kind = str((last.attributes or {}).get("exception.type", ""))
    return {last.timestamp: stack_of(error)} if kind.endswith(type(error).__qualname__) else None


def _attributes_of(event: Event, stacks: dict[int, Vetted]) -> dict[str, Any]:
    attributes = plain_attributes(event.attributes)
    if event.name == "exception" and event.timestamp in stacks:
        attributes["exception.stacktrace"] = stacks[event.timestamp]
    return attributes


def _touched_of(span: ReadableSpan, stacks: dict[int, Vetted] | None = None) -> Touched:
    status, set_code = span.status, span.status.status_code
    return (
        span.name,
        None if set_code is StatusCode.UNSET else (set_code.value, status.description),
        plain_attributes(span.attributes),
        tuple((e.timestamp, e.name, _attributes_of(e, stacks or {}), e.dropped_attributes) for e in span.events),
        tuple(_link(link) for link in span.links),
        (span.dropped_attributes, span.dropped_events, span.dropped_links),
    )


def _link(link: Link) -> tuple[Any, ...]:
    context = link.context
    ids = context.trace_id.to_bytes(16), context.span_id.to_bytes(8)
    return (*ids, context.is_remote, plain_attributes(link.attributes), link.dropped_attributes)
