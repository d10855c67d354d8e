"""What became of each batch: exporters that count what the backend took and what was lost.

The SDK's exporters return success or failure and forget it. These wrappers keep the two numbers for each signal, so
that a stop can say what it dropped, and tell on `OTEL_LOG_LEVEL=debug` what went where.
"""

import logging
import os
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

logger = logging.getLogger(__name__)

Outcome = TypeVar("Outcome")

_SUSPICIOUS_SECONDS = 1.0


@dataclass(slots=True)
class Delivery:
    """The fate of one signal's items (spans, log records or data points) since the worker started.

    `in_flight` items are in the hands of the exporter, `accepted` ones were taken by the backend, `lost` ones were
    given up. `queue` holds what no export has begun.
    """

    signal: str
    destination: str
    in_flight: int = 0
    accepted: int = 0
    lost: int = 0
    queue: Sized = ()
    _failed: bool = False
    _since: float | None = None
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def undelivered(self) -> int:
        """The number of items still on their way."""
        return self.in_flight + len(self.queue)

    @property
    def failing(self) -> bool:
        """Whether the last export failed, or the present one takes suspiciously long (it may be retrying)."""
        since = self._since
        return self._failed or (since is not None and monotonic() - since > _SUSPICIOUS_SECONDS)

    def attempt(self, items: int, export: Callable[[], Outcome], success: Outcome, size: Callable[[], int]) -> Outcome:
        """Run `export`, count its `items` by whether it returned `success`, and return what it returned."""
        started = monotonic()
        with self._lock:
            self.in_flight += items
            self._since = started
        result = None
        try:
            result = export()
        finally:
            with self._lock:
                self.in_flight -= items
                self._since = None
                self._failed = result is not success
                if self._failed:
                    self.lost += items
                else:
                    self.accepted += items
        if logger.isEnabledFor(logging.DEBUG):
            outcome = "accepted" if result is success else "failed"
            message = "export %s: %d items, %d bytes to %s: %s in %.0f ms"
            logger.debug(message, self.signal, items, size(), self.destination, outcome, (monotonic() - started) * 1e3)
        return result


class CountedSpanExporter(SpanExporter):
    """`exporter`, with the fate of its spans kept in `delivery`."""

    def __init__(self, exporter: SpanExporter, delivery: Delivery) -> None:
        self._exporter = exporter
        self._delivery = delivery

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._delivery.attempt(
            len(spans),
            lambda: self._exporter.export(spans),
            SpanExportResult.SUCCESS,
            lambda: encode_spans(spans).ByteSize(),
        )

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
        return self._delivery.attempt(
            len(batch),
            lambda: self._exporter.export(batch),
            LogRecordExportResult.SUCCESS,
            lambda: encode_logs(batch).ByteSize(),
        )

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
        return self._delivery.attempt(
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

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._exporter.shutdown(timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
