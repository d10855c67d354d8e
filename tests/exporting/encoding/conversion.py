"""The SDK's spans and log records as the encoder takes them."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import StatusCode, TraceState

from telemetry.exporting.encoding import (
    EventData,
    LinkData,
    LogData,
    RequestBuilder,
    ScopeData,
    SpanData,
    encode_log,
    encode_scope_attributes,
    encode_span,
)


def span_data(span: ReadableSpan) -> SpanData:
    """Return a span in its plain form."""
    context: Any = span.context
    status = span.status
    return SpanData(
        context.trace_id.to_bytes(16),
        context.span_id.to_bytes(8),
        span.parent.span_id.to_bytes(8) if span.parent else None,
        bool(span.parent and span.parent.is_remote),
        _header(context.trace_state),
        span.name,
        span.kind.value,
        span.start_time or 0,
        span.end_time or 0,
        _plain(span.attributes),
        None if status.status_code is StatusCode.UNSET else (status.status_code.value, status.description),
        [
            EventData(event.timestamp, event.name, _plain(event.attributes), event.dropped_attributes)
            for event in span.events
        ],
        [
            LinkData(
                link.context.trace_id.to_bytes(16),
                link.context.span_id.to_bytes(8),
                "",  # the SDK's encoder leaves it out
                link.context.is_remote,
                _plain(link.attributes),
                link.dropped_attributes,
            )
            for link in span.links
        ],
        (span.dropped_attributes, span.dropped_events, span.dropped_links),
    )


def log_data(readable: ReadableLogRecord) -> LogData:
    """Return a log record in its plain form."""
    record = readable.log_record
    return LogData(
        record.timestamp or 0,
        record.observed_timestamp or 0,
        record.severity_number.value if record.severity_number else 0,
        record.severity_text or "",
        record.body,
        _plain(record.attributes),
        record.trace_id.to_bytes(16) if record.trace_id else None,
        record.span_id.to_bytes(8) if record.span_id else None,
        record.trace_flags or 0,
        record.event_name or "",
        readable.dropped_attributes,
    )


def scope_data(scope: InstrumentationScope) -> ScopeData:
    """Return a scope in its plain form."""
    attributes = encode_scope_attributes(scope.attributes or {})
    return ScopeData(scope.name, scope.version or "", scope.schema_url or "", attributes)


def request(signal: str, items: list[Any]) -> bytes:
    """Return the export request of the SDK's spans or log records, all of one resource."""
    builder = RequestBuilder(signal, items[0].resource.attributes)
    for item in items:
        encoded = encode_span(span_data(item)) if signal == "traces" else encode_log(log_data(item))
        builder.add(scope_data(item.instrumentation_scope), encoded)
    return builder.build()


def _plain(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(attributes or {})


def _header(state: TraceState | None) -> str:
    return ",".join(f"{key}={value}" for key, value in (state or {}).items())
