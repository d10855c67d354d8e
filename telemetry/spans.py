"""The spans that telemetry itself starts, for requests and queries: the SDK's, with less to make.

A span of the SDK makes a dozen objects for what few spans have (events, links, bounds) and is copied at its end. These
make them when somebody asks. To everybody else they are the SDK's spans: user code can do to them what it does to
those, exporters and processors get the same, and `otel.sdk.span.*` count them in the same series.
"""

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from threading import Lock
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpCounter
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased
from opentelemetry.sdk.util import BoundedList
from opentelemetry.semconv._incubating.attributes.otel_attributes import (
    OTEL_SPAN_PARENT_ORIGIN,
    OTEL_SPAN_SAMPLING_RESULT,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from telemetry.bound_metrics import BoundMetrics, Levels

logger = logging.getLogger(__name__)

_UNSET = Status(StatusCode.UNSET)
# More than any span has to begin with; a lower limit of the operator is applied as the SDK does.
_MOST_ATTRIBUTES = 32
_FLAGS = {  # by whether the span is sampled, and whether the trace id is random
    (sampled, random): TraceFlags((sampled and TraceFlags.SAMPLED) | (random and TraceFlags.RANDOM_TRACE_ID))
    for sampled in (False, True)
    for random in (False, True)
}
_RESULTS = (Decision.RECORD_ONLY.name, Decision.RECORD_AND_SAMPLE.name)  # by whether a span is sampled
_NO_COUNTER = NoOpCounter("none")


class Span(sdk.Span):
    """A span of the SDK that makes bounds, events and links when they are needed, and is exported itself.

    `_attributes` may be shared with other spans until somebody sets one.
    """

    live: set[Hashable]
    """Those that have not ended, this one among them."""

    # What `sdk.Span` sets for each span.
    _events: Any = ()
    _links: Any = ()
    _status = _UNSET
    _sampler = None
    _trace_config = None
    _record_exception = True
    _set_status_on_exception = True
    _record_end_metrics = None

    def __init__(  # noqa: PLR0917
        self,
        source: "SpanSource",
        tracer: sdk.Tracer,
        name: str,
        kind: SpanKind,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: Mapping[str, Any],
        *,
        sampled: bool,
    ) -> None:
        # Not `sdk.Span.__init__`: it makes what this class is there to avoid.
        self.sampled = sampled
        self._source = source
        self._span_processor = tracer.span_processor
        self._name = name
        self._kind = kind
        self._context = context
        self._parent = parent
        self._attributes: Any = attributes
        self._resource = tracer.resource
        self._instrumentation_info = tracer.instrumentation_info
        self._instrumentation_scope = tracer._instrumentation_scope  # noqa: SLF001
        self._limits = tracer._span_limits  # noqa: SLF001
        self._lock = Lock()
        self._end_time = None
        self._start_time = time_ns()

    def set_attribute(self, key: str, value: Any) -> None:
        self.bound()
        super().set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.bound()
        super().set_attributes(attributes)

    def complete(self, name: str | None, attributes: Mapping[str, Any]) -> None:
        """Give a span that is about to end its last name, if there is one, and valid attributes.

        One that user code has ended is on its way, and stays as it was.
        """
        if self._end_time is not None:
            return
        if name is not None:
            self._name = name
        if isinstance(self._attributes, BoundedAttributes):
            super().set_attributes(attributes)
        else:
            self._attributes = {**self._attributes, **attributes}

    def bound(self) -> None:
        """Keep the attributes within the bounds from now on, as the SDK does."""
        with self._lock:
            if not isinstance(self._attributes, BoundedAttributes) and self._end_time is None:
                self._attributes = BoundedAttributes(
                    self._limits.max_span_attributes,
                    self._attributes,
                    immutable=False,
                    max_value_len=self._limits.max_span_attribute_length,
                )

    def _add_event(self, event: Any) -> None:
        with self._lock:
            if not self._events and self._end_time is None:
                self._events = BoundedList(self._limits.max_events)
        super()._add_event(event)

    def _add_link(self, link: Link) -> None:
        with self._lock:
            if not self._links and self._end_time is None:
                self._links = BoundedList(self._limits.max_links)
        super()._add_link(link)

    def end(self, end_time: int | None = None) -> None:
        with self._lock:
            if self._end_time is not None:
                logger.warning("Calling end() on an ended span.")
                return
            self._end_time = time_ns() if end_time is None else end_time
            if isinstance(self._attributes, BoundedAttributes):
                self._attributes._immutable = True  # noqa: SLF001
        self._source.ended(self)


def is_sampled(span: trace.Span) -> bool:
    """Return whether `span` goes to a backend."""
    return span.sampled if type(span) is Span else span.get_span_context().trace_flags.sampled


class SpanSource:
    """Starts the spans of one tracer; without a provider, those that record nothing."""

    def __init__(self, tracer: trace.Tracer) -> None:
        """`tracer` is the API's, which may find its provider long afterwards."""
        self._proxy = tracer
        self._tracer: sdk.Tracer | None = None
        self._processors: Sequence[Any] | None = None
        self._queue: Callable[[Span], None] | None = None

    def start(
        self, name: str, kind: SpanKind, attributes: Mapping[str, Any], context: Context, links: Sequence[Link] = ()
    ) -> trace.Span:
        """Start a span in `context`. `attributes` are valid, and nobody changes them afterwards."""
        tracer = self._tracer or self._find_tracer()
        if tracer is None:
            return self._proxy.start_span(name, context, kind, attributes, links)
        ids = tracer.id_generator
        around = trace.get_current_span(context) if context else trace.INVALID_SPAN
        parent: SpanContext | None = around.get_span_context()
        # For the usual spans, what the sampler would say, and the SDK would make of it.
        if self._follows_parent and type(around) is Span and around.sampled and parent:
            state: TraceState | None
            trace_id, _, _, flags, state, _ = parent
            sampled = True
            self._started_inside.count()
        elif self._takes_roots and around is trace.INVALID_SPAN:
            parent, trace_id, state = None, ids.generate_trace_id(), None
            flags = _FLAGS[True, self._random]
            sampled = True
            self._started_root.count()
        else:
            if parent and parent.is_valid:
                trace_id, random = parent.trace_id, parent.trace_flags.random_trace_id
            else:
                parent, trace_id, random = None, ids.generate_trace_id(), self._random
            result = tracer.sampler.should_sample(context, trace_id, name, kind, attributes, links)
            decision: Any = result.decision
            sampled, state = decision.is_sampled(), result.trace_state
            flags = _FLAGS[sampled, random]
            self._started.of(_origin(parent), decision.name).count()
            if not decision.is_recording():
                return NonRecordingSpan(SpanContext(trace_id, ids.generate_span_id(), False, flags, state))
            attributes = dict(result.attributes)
        own = SpanContext(trace_id, ids.generate_span_id(), False, flags, state)
        span = Span(self, tracer, name, kind, own, parent, attributes, sampled=sampled)
        if not self._roomy:
            span.bound()
        if links:
            span._links = span._new_links(links)  # noqa: SLF001
        span.live = self._live.of(_RESULTS[sampled]).inside
        span.live.add(id(span))
        if self._queue_of(tracer.span_processor) is None:
            tracer.span_processor.on_start(span, parent_context=context)
        return span

    def ended(self, span: Span) -> None:
        """Hand on a span that has ended."""
        span.live.discard(id(span))
        queue = self._queue_of(span._span_processor)  # noqa: SLF001
        if queue is None:
            span._span_processor._on_ending(span)  # noqa: SLF001
            span._span_processor.on_end(span)  # noqa: SLF001
        elif span.sampled:
            queue(span)

    def _queue_of(self, processor: Any) -> Callable[[Span], None] | None:
        """Return the way into the batch's queue where that is the only processor, None where there are others."""
        processors = processor._span_processors  # noqa: SLF001  (replaced, never changed)
        if processors is not self._processors:
            self._queue = None
            if len(processors) == 1 and type(processors[0]) is BatchSpanProcessor:
                self._queue = processors[0]._batch_processor.emit  # noqa: SLF001
            self._processors = processors
        return self._queue

    def _find_tracer(self) -> sdk.Tracer | None:
        """Return the SDK's tracer once there is a provider."""
        tracer: Any = getattr(self._proxy, "_tracer", self._proxy)
        if not isinstance(tracer, sdk.Tracer):
            return None
        limits = tracer._span_limits  # noqa: SLF001
        sampler: Any = tracer.sampler
        most = limits.max_span_attributes
        self._roomy = limits.max_span_attribute_length is None and (most is None or most >= _MOST_ATTRIBUTES)
        by_parent = type(sampler) is ParentBased
        self._follows_parent = (sampler._local_parent_sampled if by_parent else sampler) is ALWAYS_ON  # noqa: SLF001
        self._takes_roots = (sampler._root if by_parent else sampler) is ALWAYS_ON  # noqa: SLF001
        self._random = tracer.id_generator.is_trace_id_random()
        # The SDK's own instruments, or none where it was told to count nothing.
        own = tracer._tracer_metrics  # noqa: SLF001
        self._started = BoundMetrics(getattr(own, "_started_spans", _NO_COUNTER), _started)
        self._started_inside = self._started.of("local", Decision.RECORD_AND_SAMPLE.name)
        self._started_root = self._started.of("none", Decision.RECORD_AND_SAMPLE.name)
        self._live = Levels(getattr(own, "_live_spans", _NO_COUNTER), _live)
        self._tracer = tracer
        return tracer


def _origin(parent: SpanContext | None) -> str:
    if parent is None:
        return "none"
    return "remote" if parent.is_remote else "local"


def _started(origin: str, decision: str) -> Mapping[str, str]:
    return {OTEL_SPAN_PARENT_ORIGIN: origin, OTEL_SPAN_SAMPLING_RESULT: decision}


def _live(decision: str) -> Mapping[str, str]:
    return {OTEL_SPAN_SAMPLING_RESULT: decision}
