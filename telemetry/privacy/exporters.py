"""Exporters that redact what they pass on: in the batch's thread, never in a request.

A span cannot be changed when it ends (`_on_ending` may not set attributes), so it is built anew here, and only where
something has to go: most spans pass as they are.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import is_
from typing import Any, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.metrics.export import Metric, MetricExporter, MetricExportResult, MetricsData, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, TraceState

from telemetry.breaks import with_breaks
from telemetry.privacy import DROPPED, MASK, Constants, Redactor, redactor
from telemetry.privacy.constants import is_module

T = TypeVar("T")

# Names of tracers that belong to no module of this process.
_INSTRUMENTATIONS = frozenset(
    f"opentelemetry.instrumentation.{name}" for name in ("django", "logging", "psycopg", "sqlite3", "system_metrics")
)
_constants = Constants()
_logger = logging.getLogger(__name__)


class RedactingSpanExporter(SpanExporter):
    """`exporter`, which gets spans without secrets: names, attributes, events, links, statuses, trace states."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        using = redactor()
        return self._exporter.export([_safely_redacted(span, using) for span in with_breaks(spans)])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class RedactingMetricExporter(MetricExporter):
    """`exporter`, which gets exemplars without the attributes that the views took from the series."""

    def __init__(self, exporter: MetricExporter) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)  # noqa: SLF001
        self._exporter = exporter

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        return self._exporter.export(redacted_metrics(metrics_data), timeout_millis, **kwargs)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._exporter.shutdown(timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def redacted_resource(resource: Resource) -> Resource:
    """Return `resource` without secrets: an operator may have put a URL with a password there."""
    return Resource(redactor().attributes(resource.attributes), resource.schema_url)


def redacted_span(span: ReadableSpan, using: Redactor) -> ReadableSpan:
    """Return `span` without secrets; the same object where it has none."""
    given = span.instrumentation_scope
    scope = _scope(given, using)
    module = given.name if given else ""
    name = _name(span, module, using)
    attributes = _attributes(span._attributes, using)  # noqa: SLF001  (the property copies)
    events = _each(span._events, partial(_event, module), using)  # noqa: SLF001
    links = _each(span._links, _link, using)  # noqa: SLF001
    description = span.status.description
    status = Status(span.status.status_code, using.description(description) or None) if description else span.status
    context, parent = _context(span.context), _context(span.parent)
    if (
        name == span.name
        and attributes is span._attributes  # noqa: SLF001
        and events is span._events  # noqa: SLF001
        and links is span._links  # noqa: SLF001
        and status.description == description
        and context is span.context
        and parent is span.parent
        and scope is given
    ):
        return span
    return _Redacted(
        span,
        name=name,
        context=context,
        parent=parent,
        attributes=attributes,
        events=events,
        links=links,
        status=status,
        instrumentation_scope=scope,
    )


def redacted_metrics(data: MetricsData) -> MetricsData:
    """Return `data` without secrets in scopes and attributes, and exemplars of a value, a time, a trace and a span."""
    using = redactor()
    return replace(
        data,
        resource_metrics=[
            replace(resource, scope_metrics=[_scope_metrics(scope, using) for scope in resource.scope_metrics])
            for resource in data.resource_metrics
        ],
    )


class _Redacted(ReadableSpan):
    """A copy of a span that reports the same losses."""

    def __init__(self, span: ReadableSpan, **changed: Any) -> None:
        super().__init__(
            resource=span.resource,
            kind=span.kind,
            start_time=span.start_time,
            end_time=span.end_time,
            **changed,
        )
        self._losses = span.dropped_events, span.dropped_links

    @property
    def dropped_events(self) -> int:
        return self._losses[0]

    @property
    def dropped_links(self) -> int:
        return self._losses[1]


def _safely_redacted(span: ReadableSpan, using: Redactor) -> ReadableSpan:
    try:
        return redacted_span(span, using)
    except Exception:
        # One odd span must not take its batch with it; and nothing of it may leave unseen.
        _logger.exception("a span could not be redacted and is sent without its attributes")
        context, parent, status = _context(span.context), _context(span.parent), Status(span.status.status_code)
        return _Redacted(span, name=MASK, context=context, parent=parent, status=status, instrumentation_scope=None)


def _name(span: ReadableSpan, module: str, using: Redactor) -> str:
    constant = using.strict and _constants.in_module(span.name, module)
    return using.span_name(span.name, span._attributes or {}, constant=constant)  # noqa: SLF001


def _scope(scope: InstrumentationScope | None, using: Redactor) -> InstrumentationScope | None:
    """Return `scope` with a name, a version and attributes without secrets; the same object where it has none."""
    if scope is None:
        return None
    constant = using.strict and (scope.name in _INSTRUMENTATIONS or is_module(scope.name))
    name, version = using.name(scope.name, constant=constant), scope.version and using.text(scope.version)
    attributes = using.attributes(scope.attributes or {})
    if name == scope.name and version == scope.version and attributes == dict(scope.attributes or {}):
        return scope
    return InstrumentationScope(name, version, scope.schema_url, attributes)


def _attributes(attributes: Any, using: Redactor) -> Any:
    if not attributes:
        return attributes
    plain = attributes.copy() if isinstance(attributes, BoundedAttributes) else dict(attributes)
    redacted = using.attributes(plain)
    if redacted == plain or redacted == {key: _listed(value) for key, value in plain.items()}:
        return attributes
    bounded = BoundedAttributes(attributes=redacted)
    bounded.dropped = getattr(attributes, "dropped", 0) + int(redacted.get(DROPPED, 0))
    return bounded


def _listed(value: Any) -> Any:
    # A list comes back for a tuple.
    return list(value) if isinstance(value, tuple) else value


def _each(items: Sequence[T], redact: Callable[[T, Redactor], T], using: Redactor) -> Sequence[T]:
    """Return redacted `items`; the same object where nothing has to go."""
    if not items:
        return items
    redacted = [redact(item, using) for item in items]
    return items if all(map(is_, redacted, items)) else redacted


def _event(module: str, event: Event, using: Redactor) -> Event:
    constant = using.strict and (event.name == "exception" or _constants.in_module(event.name, module))
    name, attributes = using.name(event.name, constant=constant), _attributes(event.attributes, using)
    if name == event.name and attributes is event.attributes:
        return event
    return Event(name, attributes, event.timestamp)


def _link(link: Link, using: Redactor) -> Link:
    context, attributes = _context(link.context), _attributes(link.attributes, using)
    if context is link.context and attributes is link.attributes:
        return link
    return Link(context or link.context, attributes)


def _context(context: SpanContext | None) -> SpanContext | None:
    """Return `context` without its trace state, which clients fill; other services still get it passed on."""
    if context is None or not context.trace_state:
        return context
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags, TraceState())


def _scope_metrics(metrics: ScopeMetrics, using: Redactor) -> ScopeMetrics:
    scope = _scope(metrics.scope, using) or metrics.scope
    return replace(metrics, scope=scope, metrics=[_metric(metric, using) for metric in metrics.metrics])


def _metric(metric: Metric, using: Redactor) -> Metric:
    data: Any = metric.data
    return replace(metric, data=replace(data, data_points=[_point(point, using) for point in data.data_points]))


def _point(point: Any, using: Redactor) -> Any:
    changed: dict[str, Any] = {}
    attributes = using.metric_attributes(point.attributes or {})
    if attributes != dict(point.attributes or {}):
        changed["attributes"] = attributes
    if exemplars := getattr(point, "exemplars", None):
        bare: Mapping[str, Any] = {}
        changed["exemplars"] = [replace(exemplar, filtered_attributes=bare) for exemplar in exemplars]
    return replace(point, **changed) if changed else point
