"""What became of each item: exporters and queues that count what the backend took and what was lost, and why.

The SDK's exporters return success or failure and forget it, and their own metrics count a refusal as a success.
`Delivery` is the one place that counts instead, for `otel.sdk.exporter.*` in both modes, for the log, for
`manage.py telemetry --status`, and for the line at a stop. For spans and log records,
ended = accepted + each kind of loss + what is on its way.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Event, Lock
from time import monotonic, time
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk._shared_internal._processor_metrics import ProcessorMetricsT
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv._incubating.attributes.otel_attributes import OTEL_COMPONENT_NAME, OTEL_COMPONENT_TYPE
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT

from telemetry.answers import AT_STOP, OTHER, QUEUE_FULL, REJECTED, TIMEOUT, Answer
from telemetry.counted_queue import CountedQueue, WithoutQueueDrops
from telemetry.exporter_instruments import Attributes, ExporterInstruments
from telemetry.outage import Outage

logger = logging.getLogger(__name__)

_SUSPICIOUS_SECONDS = 1.0
# A batch that is retried this long is told of before it is given up.
_TROUBLE_SECONDS = 2.0
# A backend that asks for more is asked again nevertheless.
_LONGEST_HOLD_SECONDS = 60.0
_COMPONENTS = {"traces": "span", "metrics": "metric", "logs": "log"}


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
        self.queue: CountedQueue | Sequence[object] = ()
        self.capacity = 0
        self.in_flight = 0
        self.accepted = 0
        self.losses: Counter[str] = Counter()
        self.retries = 0
        self._outage = Outage(signal, destination)
        self._instruments: ExporterInstruments | None = None
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
        return self.queue.kept - self._begun if isinstance(self.queue, CountedQueue) else 0

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
        self._instruments = ExporterInstruments(meter_provider, self.signal, attributes)

    def watch(self, processor: BatchSpanProcessor | BatchLogRecordProcessor) -> None:
        """Count what the full queue of `processor` drops, from before its first item.

        Upstream looks at the length and appends without a lock, so threads that do it together drop uncounted items.
        """
        batch = processor._batch_processor  # noqa: SLF001  (nothing public tells the queue)
        self._processor_metrics = batch._metrics  # noqa: SLF001
        self.capacity = batch._max_queue_size  # noqa: SLF001
        self.queue = batch._queue = CountedQueue(self.capacity, self._overflowed)  # noqa: SLF001
        batch._metrics = WithoutQueueDrops(batch._metrics, self._late)  # noqa: SLF001

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
            if monotonic() - export.started > _TROUBLE_SECONDS and not self._stopping.is_set():
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
            if self._outage.lasts:
                self._tell_overflow()  # it belongs to the outage that is over
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
