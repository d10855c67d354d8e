"""What the JSON API's answers look like.

Times are ISO 8601 in UTC, durations milliseconds or seconds as the name says. Numbers that JSON cannot hold (NaN and
the infinities) are texts, as in OTLP's JSON.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from telemetry.tools.account import as_data
from telemetry.tools.console.accounts import accounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.tools.console.calls import Calls
    from telemetry.tools.console.context import ConsoleContext
    from telemetry.tools.console.metrics import MetricSummary, Series
    from telemetry.tools.console.pages.overview import ModePanel
    from telemetry.tools.console.points import Point, StoredPoint
    from telemetry.tools.console.records import LogRecord, Span
    from telemetry.tools.console.scraper import TargetState
    from telemetry.tools.console.senders import Sender
    from telemetry.tools.console.spans import TraceSummary
    from telemetry.tools.console.totals import ModeTotals

Json = dict[str, Any]

_LAST_NS = 253_402_300_799 * 10**9  # the end of the year 9999, the last one that datetime knows


def iso_time(time_ns: int) -> str | None:
    """Nanoseconds since the epoch as ISO 8601 with microseconds; None for 0, which means unset."""
    if not 0 < time_ns <= _LAST_NS:
        return None
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000).isoformat()


def finite(value: Any) -> Any:
    """The value with NaN and infinities as texts, at any depth."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def summary_json(console: ConsoleContext) -> Json:
    """The answer of /api/summary."""
    answers = sorted(console.receiver.answers.items())
    counted = accounts(console.store, console.scraper.targets)
    return {
        "started": iso_time(console.store.started_ns),
        "modes": {
            name: mode_json(totals) | {"accounts": list(map(as_data, counted.get(name, ())))}
            for name, totals in sorted(console.store.totals().items())
        },
        "retained": {name: asdict(retained) for name, retained in console.store.retained().items()},
        "scrape_targets": [target_json(target) for target in console.scraper.targets],
        "answers": [
            {"protocol": protocol, "signal": signal, "status": status, "count": count}
            for (protocol, signal, status), count in answers
        ],
    }


def mode_json(totals: ModeTotals) -> Json:
    """The totals of one mode."""
    return {**asdict(totals), "requests": totals.requests}


def target_json(target: TargetState) -> Json:
    """The state of a scrape target."""
    shape = asdict(target)
    return {**shape, "last_scrape": iso_time(shape.pop("last_scrape_ns"))}


def sender_json(sender: Sender) -> Json:
    """One process of /api/services."""
    return {
        "service": sender.service,
        "mode": sender.mode,
        "instance": sender.instance,
        "first": iso_time(sender.first_ns),
        "last": iso_time(sender.last_ns),
        "signals": {signal: iso_time(time_ns) for signal, time_ns in sender.signals.items()},
    }


def panel_json(panel: ModePanel) -> Json:
    """One mode of /api/modes; durations in seconds, None where nothing is known."""
    return {
        "mode": panel.name,
        "requests_per_second": panel.rate,
        "failed_ratio": panel.error_ratio,
        "duration_seconds": dict(panel.quantiles),
        "freshness_seconds": {"p50": panel.freshness, "p99": panel.freshness_worst},
        "processes": panel.workers,
        "silent_processes": panel.silent,
        "signals": [asdict(signal) for signal in panel.signals],
        "counts_agree": panel.agrees,
    }


def calls_json(calls: Calls) -> Json:
    """One line of /api/calls."""
    return {
        "caller": calls.caller,
        "callee": calls.callee,
        "calls_per_second": calls.rate,
        "error_ratio": calls.error_ratio,
        "p95_seconds": calls.p95,
    }


def trace_summary_json(trace: TraceSummary) -> Json:
    """One line of /api/traces."""
    return {
        "trace_id": trace.trace_id,
        "root_name": trace.root_name,
        "service": trace.service,
        "mode": trace.mode,
        "start": iso_time(trace.start_ns),
        "duration_ms": trace.duration_ns / 1e6,
        "spans": trace.spans,
        "status": trace.status,
        "failed": trace.failed,
    }


def span_json(span: Span) -> Json:
    """A span with everything that it holds."""
    shape: Json = {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id or None,
        "name": span.name,
        "kind": span.kind,
        "start": iso_time(span.start_ns),
        "start_unix_nano": str(span.start_ns),
        "duration_ms": max(span.end_ns - span.start_ns, 0) / 1e6,
        "status": span.status,
        "status_message": span.status_message,
        "mode": span.resource.mode,
        "service": span.resource.service,
        "attributes": span.attributes,
        "events": [
            {"name": event.name, "time": iso_time(event.time_ns), "attributes": event.attributes}
            for event in span.events
        ],
        "links": [asdict(link) for link in span.links],
        "resource": span.resource.attributes,
        "scope": span.scope._asdict(),
    }
    return _finite_object(shape)


def log_json(record: LogRecord) -> Json:
    """A log record with everything that it holds."""
    shape: Json = {
        "time": iso_time(record.time_ns),
        "observed_time": iso_time(record.observed_time_ns),
        "severity": record.severity,
        "severity_number": record.severity_number,
        "body": record.body,
        "event_name": record.event_name or None,
        "trace_id": record.trace_id or None,
        "span_id": record.span_id or None,
        "mode": record.resource.mode,
        "service": record.resource.service,
        "logger": record.scope.name,
        "attributes": record.attributes,
        "resource": record.resource.attributes,
    }
    return _finite_object(shape)


def metric_json(metric: MetricSummary) -> Json:
    """One line of /api/metrics."""
    return {**asdict(metric.instrument), "modes": sorted(metric.modes), "series": metric.series}


def series_json(series: Series, points: Sequence[StoredPoint]) -> Json:
    """A series with its points, the oldest of them first."""
    return {
        "source": series.instrument.source,
        "sample": series.sample or None,
        "mode": series.mode,
        "service": series.service,
        "attributes": finite(series.attributes),
        "points": [_point_json(point.decode()) for point in points],
    }


def _point_json(point: Point) -> Json:
    exemplars = [
        {
            "value": exemplar.value,
            "time": iso_time(exemplar.time_ns),
            "trace_id": exemplar.trace_id or None,
            "span_id": exemplar.span_id or None,
            "attributes": exemplar.attributes,
        }
        for exemplar in point.exemplars
    ]
    times = {"time": iso_time(point.time_ns), "start": iso_time(point.start_ns)}
    return _finite_object({**times, **point.data, "exemplars": exemplars})


def _finite_object(shape: Json) -> Json:
    return {key: finite(value) for key, value in shape.items()}
