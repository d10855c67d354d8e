"""Log records on their way to OpenTelemetry: the SDK's, with less to make.

The SDK copies each record twice and its attributes once, and keeps the context of the log call with them. Records of
the logging module come with attributes that are redacted and bounded, so that they go into the batch as they are.
"""

import logging
from collections.abc import Callable
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.context import Context
from opentelemetry.instrumentation.log_utils import std_to_otel
from opentelemetry.metrics import NoOpCounter
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from telemetry.bound_metrics import BoundMetric
from telemetry.logs import severity_of, translation_of
from telemetry.privacy import ATTRIBUTE_COUNT

_NOWHERE = Context()
_MOST_SCOPES = 1024


class _Record(LogRecord):
    """What of a record of the logging module leaves the process, with the current span."""

    def __init__(self, record: logging.LogRecord) -> None:
        # Not `LogRecord.__init__`, which looks at what may be given instead, and keeps the context.
        self.trace_id, self.span_id, _, self.trace_flags, *_ = trace.get_current_span().get_span_context()
        self.timestamp = int(record.created * 1e9)
        self.observed_timestamp = time_ns()
        self.context = _NOWHERE
        self.severity_text = severity_of(record)
        self.severity_number = std_to_otel(record.levelno)
        self.body, self.attributes, *_ = translation_of(record)
        self.event_name = None
        self.exception = None


class LogSource:
    """Gives records of the logging module to the processors of a provider."""

    def __init__(self, provider: LoggerProvider) -> None:
        self._provider = provider
        self._processors: tuple[Any, ...] | None = None
        self._queue: Callable[[ReadableLogRecord], None] | None = None
        self._scopes: dict[str, InstrumentationScope] = {}
        limits = self._limits = provider._log_record_limits  # noqa: SLF001
        most = limits.max_log_record_attributes
        self._roomy = limits.max_log_record_attribute_length is None and (most is None or most >= ATTRIBUTE_COUNT)
        # The SDK's own instrument, or none where it was told to count nothing.
        counter = getattr(provider._logger_metrics, "_created_logs", NoOpCounter("none"))  # noqa: SLF001
        self._created = BoundMetric(counter, {})

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        sent, queue = _Record(record), self._find_queue()
        name = translation_of(record).logger
        if queue is None:
            self._provider.get_logger(name).emit(sent)
            return
        scope = self._scopes.get(name)
        if scope is None:
            if len(self._scopes) >= _MOST_SCOPES:
                self._scopes.clear()
            scope = self._scopes[name] = InstrumentationScope(name)
        self._created.count()
        queue(ReadableLogRecord(sent, self._provider.resource, scope, self._limits))

    def _find_queue(self) -> Callable[[ReadableLogRecord], None] | None:
        """Return the way into the batch's queue where that is the only processor, None where there are others."""
        # Replaced, never changed.
        processors = self._provider._multi_log_record_processor._log_record_processors  # noqa: SLF001
        if processors is not self._processors:
            self._queue = None
            if self._roomy and len(processors) == 1 and type(processors[0]) is BatchLogRecordProcessor:
                self._queue = processors[0]._batch_processor.emit  # noqa: SLF001
            self._processors = processors
        return self._queue
