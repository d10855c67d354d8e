"""What the JSON API's answers look like.

A record becomes an object of its fields. Times are ISO 8601 in UTC (`start_ns` becomes `start`), durations milliseconds
(`duration_ms`), ids that are not there null. Numbers that JSON cannot hold (NaN and the infinities) are texts, as in
OTLP's JSON.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from telemetry.tools.console.pages.overview import ModePanel
from telemetry.tools.console.receiving.values import iso_time
from telemetry.tools.console.storage.metrics import MetricSummary
from telemetry.tools.console.storage.origin import Resource
from telemetry.tools.console.storage.points import Point, Series, StoredPoint
from telemetry.tools.console.storage.records import LogRecord, Span

Json = dict[str, Any]

_NULL_IF_EMPTY = ("_id", "event_name")


def as_json(value: Any) -> Any:
    """The value as JSON has it, at any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Resource):
        value = value.attributes
    elif hasattr(value, "_asdict"):
        value = value._asdict()
    if is_dataclass(value):
        return dict(_member(field.name, getattr(value, field.name)) for field in fields(value))
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [as_json(item) for item in value]
    return value


def _member(name: str, value: Any) -> tuple[str, Any]:
    if name == "duration_ns":
        return "duration_ms", value / 1e6
    if name.endswith("_ns"):
        return name.removesuffix("_ns"), iso_time(value)
    return name, None if value == "" and name.endswith(_NULL_IF_EMPTY) else as_json(value)


def panel_json(panel: ModePanel) -> Json:
    """One mode of /api/modes; durations in seconds, None where nothing is known."""
    return {
        "mode": panel.name,
        "requests_per_second": panel.recent.rate,
        "failed_ratio": panel.recent.error_ratio,
        "duration_seconds": dict(panel.quantiles),
        "freshness_seconds": {"p50": panel.recent.delay(0.5), "p99": panel.recent.delay(0.99)},
        "processes": panel.workers,
        "silent_processes": panel.silent,
        "signals": as_json(panel.signals),
        "counts_agree": panel.agrees,
    }


def span_json(span: Span) -> Json:
    """A span with everything that it holds."""
    duration_ms = max(span.end_ns - span.start_ns, 0) / 1e6
    of_sender = {"mode": span.resource.mode, "service": span.resource.service}
    return {**as_json(span), "start_unix_nano": str(span.start_ns), "duration_ms": duration_ms, **of_sender}


def log_json(record: LogRecord) -> Json:
    """A log record with everything that it holds."""
    of_sender = {"mode": record.resource.mode, "service": record.resource.service, "logger": record.scope.name}
    return {**as_json(record), **of_sender}


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
        "attributes": as_json(series.attributes),
        "points": [_point_json(point.decode()) for point in points],
    }


def _point_json(point: Point) -> Json:
    found: Json = as_json(point)
    return {**found.pop("data"), **found}
