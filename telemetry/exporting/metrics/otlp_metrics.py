"""The metrics as an OTLP export request, encoded by the public encoder of the SDK's exporters."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from time import time_ns
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.series import Buckets, Series
from telemetry.journal.records import Instrument

logger = logging.getLogger(__name__)

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_WHOLE = 1 << 63
_warned: set[Any] = set()


def encode(aggregation: Aggregation, resource: Mapping[str, Any]) -> tuple[bytes, int]:
    """Return the export request with all metrics, and the number of its data points."""
    data, points = collect(aggregation, resource)
    try:
        return encode_metrics(data).SerializeToString(), points
    except Exception:  # noqa: BLE001  (one metric must not stop the others)
        data, points = _encodable_of(data)
        return encode_metrics(data).SerializeToString(), points


def _encodable_of(data: MetricsData) -> tuple[MetricsData, int]:
    """Return the metrics of `data` that can be encoded, and the number of their points; log each other one once."""
    (resource,) = data.resource_metrics
    scopes: list[ScopeMetrics] = []
    points = 0
    for scope in resource.scope_metrics:
        kept = [metric for metric in scope.metrics if _is_encodable(replace(scope, metrics=[metric]), metric.name)]
        scopes += [replace(scope, metrics=kept)] if kept else []
        points += sum(len(metric.data.data_points) for metric in kept)
    return MetricsData([replace(resource, scope_metrics=scopes)]), points


def _is_encodable(scope: ScopeMetrics, name: Any) -> bool:
    try:
        encode_metrics(MetricsData([ResourceMetrics(Resource({}), [scope], "")])).SerializeToString()
    except Exception as error:  # noqa: BLE001
        _warn(name, error)
        return False
    return True


def _warn(name: Any, error: Exception) -> None:
    if name not in _warned:
        _warned.add(name)
        logger.warning("metric %s is not pushed: it cannot be encoded (%s: %s)", name, type(error).__name__, error)


def collect(aggregation: Aggregation, resource: Mapping[str, Any]) -> tuple[MetricsData, int]:
    """Return all metrics in the form of the SDK's readers, each exemplar once, and the number of data points."""
    now = time_ns()
    scopes: dict[tuple[str, str, str], list[Metric]] = {}
    points = 0
    for instrument, series in aggregation.metrics():
        try:
            metric = _metric(instrument, series, now)
        except Exception as error:  # noqa: BLE001  (one metric must not stop the others)
            _warn(instrument[1], error)
            continue
        points += len(series)
        scopes.setdefault((instrument[4], instrument[5], instrument[6]), []).append(metric)
    scope_metrics = [
        ScopeMetrics(InstrumentationScope(name, version, schema or None), metrics, schema)
        for (name, version, schema), metrics in scopes.items()
    ]
    return MetricsData([ResourceMetrics(Resource(dict(resource)), scope_metrics, "")]), points


def _metric(instrument: Instrument, series: list[Series], now: int) -> Metric:
    kind, name, unit, description = instrument[:4]
    if kind == "histogram":
        histogram = Histogram(
            [_histogram_point(each, now) for each in series if isinstance(each, Buckets)], _CUMULATIVE
        )
        return Metric(name, description, unit, histogram)
    numbers = [_number_point(each, now, gauge=kind.endswith("gauge")) for each in series]
    if kind.endswith("gauge"):
        return Metric(name, description, unit, Gauge(numbers))
    return Metric(name, description, unit, Sum(numbers, _CUMULATIVE, is_monotonic=not kind.endswith("updowncounter")))


def _number_point(series: Series, now: int, *, gauge: bool) -> NumberDataPoint:
    start, time = (None, now) if gauge else (series.start, _not_before(series, now))
    value = _encodable(series.value)
    return NumberDataPoint(series.attributes, start, time, value, _exemplars(series))  # type: ignore[arg-type]


def _histogram_point(series: Buckets, now: int) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=series.attributes,
        start_time_unix_nano=series.start,
        time_unix_nano=_not_before(series, now),
        count=sum(series.counts),
        sum=series.value,
        bucket_counts=tuple(series.counts),
        explicit_bounds=series.bounds,
        min=series.min,
        max=series.max,
        exemplars=_exemplars(series),
    )


def _not_before(series: Series, now: int) -> int:
    """Return the time of a point: not before its start, which is kept where the clock steps back.

    To a receiver, another start is a series that begins anew.
    """
    return max(now, series.start)


def _exemplars(series: Series) -> list[Exemplar]:
    """Return the exemplars since the last call: only value, time, trace and span of the measurement."""
    found = [exemplar for exemplar in series.exemplars if exemplar]
    if not found:
        return []
    series.exemplars = [None] * len(series.exemplars)
    return [
        Exemplar({}, _encodable(value), time, _number(span_id), _number(trace_id))
        for value, time, trace_id, span_id in found
    ]


def _encodable(value: float) -> float:
    """Return `value`, as a float if it is an integer beyond OTLP's 64 bits."""
    return value if -_WHOLE <= value < _WHOLE else float(value)


def _number(identifier: bytes | None) -> int | None:
    return int.from_bytes(identifier) if identifier else None
