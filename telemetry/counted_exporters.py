"""Exporters that keep what became of their items in a `Delivery`."""

import os
from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from telemetry.delivery import Delivery
from telemetry.encoding import encode_logs, encode_spans


class CountedSpanExporter(SpanExporter):
    """`exporter`, with the fate of its spans kept in `delivery`."""

    def __init__(self, exporter: SpanExporter, delivery: Delivery) -> None:
        self._exporter = exporter
        self._delivery = delivery

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        delivered = self._delivery.attempt(
            len(spans),
            lambda: self._exporter.export(spans),
            SpanExportResult.SUCCESS,
            lambda: len(encode_spans(spans)),
        )
        return SpanExportResult.SUCCESS if delivered else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class CountedLogExporter(LogRecordExporter):
    """`exporter`, with the fate of its log records kept in `delivery`."""

    def __init__(self, exporter: LogRecordExporter, delivery: Delivery) -> None:
        self._exporter = exporter
        self._delivery = delivery

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        delivered = self._delivery.attempt(
            len(batch),
            lambda: self._exporter.export(batch),
            LogRecordExportResult.SUCCESS,
            lambda: len(encode_logs(batch)),
        )
        return LogRecordExportResult.SUCCESS if delivered else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class CountedMetricExporter(MetricExporter):
    """`exporter`, with the fate of its data points kept in `delivery`."""

    def __init__(self, exporter: MetricExporter, delivery: Delivery) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)  # noqa: SLF001
        self._exporter = exporter
        self._delivery = delivery
        self._pid = os.getpid()

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        if os.getpid() != self._pid:
            return MetricExportResult.SUCCESS  # a forked child inherits its parent's values and must not repeat them
        delivered = self._delivery.attempt(
            sum(
                len(metric.data.data_points)
                for resource in metrics_data.resource_metrics
                for scope in resource.scope_metrics
                for metric in scope.metrics
            ),
            lambda: self._exporter.export(metrics_data, timeout_millis, **kwargs),
            MetricExportResult.SUCCESS,
            lambda: encode_metrics(metrics_data).ByteSize(),
        )
        return MetricExportResult.SUCCESS if delivered else MetricExportResult.FAILURE

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._exporter.shutdown(timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
