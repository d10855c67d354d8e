"""What became of each item: exporters and queues that count what the backend took and what was lost, and why.

The SDK's exporters return success or failure and forget it, and their own metrics count a refusal as a success.
`Delivery` is the one place that counts instead, for `otel.sdk.exporter.*` in both modes, for the log, for
`manage.py telemetry --status`, and for the line at a stop. For spans and log records,
ended = accepted + each kind of loss + what is on its way.
"""

import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Lock
from time import monotonic, time
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk._shared_internal._processor_metrics import ProcessorMetricsT
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.semconv._incubating.attributes.otel_attributes import OTEL_COMPONENT_NAME, OTEL_COMPONENT_TYPE
from opentelemetry.semconv._incubating.metrics import otel_metrics
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT

from telemetry.answers import AT_STOP, OTHER, QUEUE_FULL, REJECTED, TIMEOUT, Answer
from telemetry.outage import Outage

logger = logging.getLogger(__name__)

_SUSPICIOUS_SECONDS = 1.0
# A batch that is retried this long is told of before it is given up.
_TROUBLE_SECONDS = 2.0
# A backend that asks for more is asked again nevertheless.
_LONGEST_HOLD_SECONDS = 60.0
_COMPONENTS = {"traces": "span", "metrics": "metric", "logs": "log"}
_EXPORTED = {
    "traces": otel_metrics.create_otel_sdk_exporter_span_exported,
    "metrics": otel_metrics.create_otel_sdk_exporter_metric_data_point_exported,
    "logs": otel_metrics.create_otel_sdk_exporter_log_exported,
}
_INFLIGHT = {
    "traces": otel_metrics.create_otel_sdk_exporter_span_inflight,
    "metrics": otel_metrics.create_otel_sdk_exporter_metric_data_point_inflight,
    "logs": otel_metrics.create_otel_sdk_exporter_log_inflight,
}

Attributes = Mapping[str, str | int]


class _Instruments:
    """The metrics of one exporter, by OpenTelemetry's names."""

    def __init__(self, meter_provider: MeterProvider, signal: str, attributes: Attributes) -> None:
        meter = meter_provider.get_meter("opentelemetry-sdk")
        self._attributes = attributes
        self._exported = _EXPORTED[signal](meter)
        self._inflight = _INFLIGHT[signal](meter)
        self._duration = otel_metrics.create_otel_sdk_exporter_operation_duration(meter)
        self._retries = meter.create_counter(
            "telemetry.exporter.retries",
            unit="{retry}",
            description="Requests to a backend that repeat one that failed; error.type is why it failed.",
        )

    def exported(self, items: int, reason: str | None) -> None:
        if items:
            self._exported.add(items, self._failed(reason))

    def inflight(self, items: int) -> None:
        self._inflight.add(items, self._attributes)

    def duration(self, seconds: float, reason: str | None, attributes: Attributes) -> None:
        self._duration.record(seconds, {**self._failed(reason), **attributes})

    def retried(self, reason: str) -> None:
        self._retries.add(1, self._failed(reason))

    def _failed(self, reason: str | None) -> Attributes:
        return {**self._attributes, ERROR_TYPE: reason} if reason else self._attributes


class _Export:
    """One batch in the hands of the exporter."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.started = monotonic()
        self.answer: Answer | None = None
        self.counted = False


class Delivery:
    """The fate of one signal's items (spans, log records or data points) since the worker started.

    `in_flight` items are in the hands of the exporter, `accepted` ones were taken by the backend, `losses` are those
    that were not, by reason. `queue` holds what no export has begun.
    """

    def __init__(self, signal: str, destination: str, protocol: str = "grpc") -> None:
        self.signal = signal
        self.destination = destination
        self.protocol = protocol
        self.queue: _CountedQueue | Sequence[object] = ()
        self.capacity = 0
        self.in_flight = 0
        self.accepted = 0
        self.losses: Counter[str] = Counter()
        self.retries = 0
        self._outage = Outage(signal, destination)
        self._instruments: _Instruments | None = None
        self._processor_metrics: ProcessorMetricsT | None = None
        self._export: _Export | None = None
        self._begun = 0
        self._failed = False
        self._abandoned = False
        self._hold_until = 0.0
        self._told_overflow = 0
        self._last_success: float | None = None
        self._last_error: dict[str, Any] | None = None
        self._stopping = Event()
        self._lock = Lock()

    @property
    def lost(self) -> int:
        """The number of items that were given up."""
        return sum(self.losses.values())

    @property
    def undelivered(self) -> int:
        """The number of items still on their way."""
        return 0 if self._abandoned else self.in_flight + self._waiting()

    def _waiting(self) -> int:
        """Return how many items no export has begun, those included that are just taken from the queue."""
        return self.queue.kept - self._begun if isinstance(self.queue, _CountedQueue) else 0

    @property
    def failing(self) -> bool:
        """Whether the last export failed, or the present one takes suspiciously long (it may be retrying)."""
        export = self._export
        return self._failed or (export is not None and monotonic() - export.started > _SUSPICIOUS_SECONDS)

    def count_in(self, meter_provider: MeterProvider) -> None:
        """Count in the metrics of `meter_provider` from now on."""
        transport = "grpc" if self.protocol == "grpc" else "http"
        component = f"otlp_{transport}_{_COMPONENTS[self.signal]}_exporter"
        attributes: dict[str, str | int] = {OTEL_COMPONENT_TYPE: component, OTEL_COMPONENT_NAME: f"{component}/0"}
        parts = urlsplit(self.destination)
        if parts.hostname:
            attributes[SERVER_ADDRESS] = parts.hostname
            attributes[SERVER_PORT] = parts.port or (80 if parts.scheme == "http" else 443)
        self._instruments = _Instruments(meter_provider, self.signal, attributes)

    def watch(self, processor: BatchSpanProcessor | BatchLogRecordProcessor) -> None:
        """Count what the full queue of `processor` drops, from before its first item.

        Upstream looks at the length and appends without a lock, so threads that do it together drop uncounted items.
        """
        batch = processor._batch_processor  # noqa: SLF001  (nothing public tells the queue)
        self._processor_metrics = batch._metrics  # noqa: SLF001
        self.capacity = batch._max_queue_size  # noqa: SLF001
        self.queue = batch._queue = _CountedQueue(self.capacity, self._overflowed)  # noqa: SLF001
        batch._metrics = _ProcessorMetrics(batch._metrics, self._late)  # noqa: SLF001

    def _overflowed(self) -> None:
        self._drop(1, QUEUE_FULL)
        if self._processor_metrics:
            self._processor_metrics.drop_items(1, QUEUE_FULL)

    def _late(self, items: int) -> None:
        self._drop(items, AT_STOP)

    def _drop(self, items: int, reason: str) -> None:
        with self._lock:
            self.losses[reason] += items

    def answered(self, answer: Answer) -> None:
        """Note what the backend answered to one request of the present export."""
        export = self._export
        if export is None or export.counted:
            return
        previous = export.answer
        # A last retry that had too little time left hides what is really wrong.
        if not (previous and previous.reason and answer.reason == TIMEOUT):
            export.answer = answer
        if previous and previous.reason:
            self.retries += 1
            if self._instruments:
                self._instruments.retried(previous.reason)
        if answer.reason:
            self._note_error(answer)
            self._hold_until = monotonic() + min(answer.retry_after or 0.0, _LONGEST_HOLD_SECONDS)
            if monotonic() - export.started > _TROUBLE_SECONDS:
                self._tell(answer, export, self.lost)

    def attempt(self, items: int, export: Callable[[], object], success: object, size: Callable[[], int]) -> bool:
        """Run `export`, count its `items` by what the backend answered; return whether it returned `success`."""
        current = _Export(items)
        with self._lock:
            if self._abandoned:  # these are counted already, as part of the queue
                return False
            self._export = current
            self._begun += items
            self.in_flight += items
        if self._instruments:
            self._instruments.inflight(items)
        self._tell_overflow()
        self._stopping.wait(max(0.0, self._hold_until - monotonic()))
        current.started = monotonic()
        try:
            succeeded = export() is success
        except Exception as error:
            logger.debug("export %s failed", self.signal, exc_info=True)
            succeeded = False
            if current.answer is None or not current.answer.reason:
                current.answer = Answer(OTHER, type(error).__name__, "OTEL_LOG_LEVEL=debug tells more")
        self._finish(current, succeeded=succeeded, size=size)
        return succeeded

    def _finish(self, export: _Export, *, succeeded: bool, size: Callable[[], int]) -> None:
        answer = export.answer or (Answer() if succeeded else Answer(OTHER, "nothing was sent"))
        rejected = min(answer.rejected, export.items) if succeeded else 0
        reason = None if succeeded else answer.reason or OTHER
        if reason and self._stopping.is_set() and export.answer is None:
            reason = AT_STOP
        with self._lock:
            self._export = None
            self._failed = not succeeded
            counted, export.counted = export.counted, True
            lost_before = self.lost
            if not counted:
                self.in_flight -= export.items
                self._count(export.items, rejected, reason)
        if not counted:
            self._measure(export, rejected, reason, answer.attributes)
            self._tell_outcome(export, answer, lost_before, succeeded=succeeded)
        if logger.isEnabledFor(logging.DEBUG):
            outcome = "accepted" if reason is None else f"{reason}, {answer.detail}"
            outcome += f", {rejected} rejected: {answer.detail}" if rejected else ""
            message = "export %s: %d items, %d bytes to %s: %s in %.0f ms"
            elapsed = (monotonic() - export.started) * 1e3
            logger.debug(message, self.signal, export.items, size(), self.destination, outcome, elapsed)

    def _count(self, items: int, rejected: int, reason: str | None) -> None:
        if reason:
            self.losses[reason] += items
            return
        self.accepted += items - rejected
        if rejected:
            self.losses[REJECTED] += rejected

    def _measure(self, export: _Export, rejected: int, reason: str | None, attributes: Attributes) -> None:
        if not self._instruments:
            return
        self._instruments.inflight(-export.items)
        self._instruments.exported(export.items - rejected, reason)
        self._instruments.exported(rejected, REJECTED)
        kind = reason or (REJECTED if rejected else None)
        self._instruments.duration(monotonic() - export.started, kind, attributes)

    def _tell_outcome(self, export: _Export, answer: Answer, lost_before: int, *, succeeded: bool) -> None:
        if succeeded:
            self._last_success = time()
            self._outage.delivered(self.lost)
            if answer.rejected:
                self._note_error(answer)
                self._tell(answer, export, lost_before)
        elif answer.reason and not self._stopping.is_set():
            self._note_error(answer)
            self._tell(answer, export, lost_before)

    def _tell(self, answer: Answer, export: _Export, lost_before: int) -> None:
        self._outage.trouble(answer, export.started, lost_before)

    def _tell_overflow(self) -> None:
        overflowed = self.losses[QUEUE_FULL]
        if overflowed > self._told_overflow:
            self._outage.overflow(self.lost - (overflowed - self._told_overflow))
            self._told_overflow = overflowed

    def _note_error(self, answer: Answer) -> None:
        self._last_error = {"time": time(), "reason": answer.reason or REJECTED, "detail": answer.detail}

    def stop(self) -> None:
        """Wait no more for a moment that the backend asked for."""
        self._stopping.set()

    def abandon(self) -> None:
        """Count what is still on its way as dropped at stop."""
        with self._lock:
            if self._abandoned:
                return
            self._abandoned = True
            queued, flying, export = self._waiting(), self.in_flight, self._export
            if export:
                export.counted = True
            self.in_flight = 0
            self.losses[AT_STOP] += queued + flying
        if queued and self._processor_metrics:
            self._processor_metrics.drop_items(queued, AT_STOP)
        if flying and self._instruments:
            self._instruments.inflight(-flying)
            self._instruments.exported(flying, AT_STOP)

    def status(self) -> dict[str, Any]:
        """Return the numbers for `manage.py telemetry --status`."""
        with self._lock:
            return {
                "destination": self._outage.destination,
                "protocol": self.protocol,
                "queue": len(self.queue),
                "capacity": self.capacity,
                "in_flight": self.in_flight,
                "accepted": self.accepted,
                "losses": {reason: items for reason, items in self.losses.items() if items},
                "retries": self.retries,
                "failing": self._failed or self._outage.lasts,
                "last_success": self._last_success,
                "last_error": self._last_error,
            }


class _CountedQueue(deque[Any]):
    """A bounded queue that tells of each item that its own fullness cost; `kept` counts the others."""

    def __init__(self, maxlen: int, overflowed: Callable[[], None]) -> None:
        super().__init__((), maxlen)
        self.kept = 0
        self._capacity = maxlen
        self._append = super().appendleft
        self._overflowed = overflowed
        self._lock = Lock()

    def appendleft(self, item: Any) -> None:
        with self._lock:
            full = len(self) == self._capacity
            self._append(item)
            if not full:
                self.kept += 1
        if full:
            self._overflowed()

    def pop(self) -> Any:  # type: ignore[override]
        with self._lock:
            return super().pop()

    def clear(self) -> None:
        # Called in the child of a fork, where a thread that is gone may hold the lock.
        self._lock = Lock()
        self.kept -= len(self)
        super().clear()


class _ProcessorMetrics:
    """The SDK's metrics of a processor, but for the drops that its queue counts itself."""

    def __init__(self, metrics: ProcessorMetricsT, late: Callable[[int], None]) -> None:
        self._metrics = metrics
        self._late = late

    def register_queue_size(self, get_queue_size: Callable[[], int]) -> None:
        self._metrics.register_queue_size(get_queue_size)

    def drop_items(self, count: int, error_type: str = QUEUE_FULL) -> None:
        if error_type != QUEUE_FULL:
            self._late(count)
            self._metrics.drop_items(count, error_type)

    def finish_items(self, count: int) -> None:
        self._metrics.finish_items(count)


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
            lambda: encode_spans(spans).ByteSize(),
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
            lambda: encode_logs(batch).ByteSize(),
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
