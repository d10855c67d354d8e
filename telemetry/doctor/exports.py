"""One real export of each signal, through the exporters that the service uses.

What is sent belongs to a service of its own, `user-api-doctor` and the like, has no `export.mode` and holds one span
(no server span), one log record or one data point: no count of the service's own telemetry changes.
"""

from collections.abc import Callable
from dataclasses import replace
from threading import Event, Thread
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from telemetry import otlp
from telemetry.answers import Answer, Observe
from telemetry.config import Signal, SignalConfig
from telemetry.doctor.walk import Finding, HopError

SCOPE = "telemetry.doctor"
METRIC = "telemetry.doctor.check"

_ITEMS: dict[Signal, str] = {"traces": "a span", "metrics": "a data point", "logs": "a log record"}


def doctor_service(service: str) -> str:
    """Return the `service.name` of what the doctor sends."""
    return f"{service}-doctor"


def export(signal: Signal, config: SignalConfig, service: str, timeout: float) -> Finding:
    """Send one item; return what the receiver answered, or raise HopError unless it took it."""
    config = replace(config, timeout=min(config.timeout, timeout))
    resource = Resource({"service.name": doctor_service(service), "telemetry.sdk.language": "python"})
    build, make = _SIGNALS[signal]
    answers: list[Answer] = []
    answered = Event()

    def observe(answer: Answer) -> None:
        answers.append(answer)
        answered.set()

    exporter = build(config, observe)
    item = make(resource)
    thread = Thread(target=_quietly, args=(exporter.export, item), name=f"doctor-{signal}", daemon=True)
    thread.start()
    # The first answer decides: the exporter would retry until its time-out.
    answered.wait(config.timeout + 1)
    Thread(target=_quietly, args=(exporter.shutdown,), name="doctor-shutdown", daemon=True).start()
    thread.join(1)
    if not answers:
        raise HopError(f"no answer within {config.timeout:g} s", f"see the log of what listens at {config.endpoint}")
    return _judged(signal, config, answers[0])


def _judged(signal: Signal, config: SignalConfig, answer: Answer) -> Finding:
    if answer.reason:
        raise HopError(f"{answer.reason}: {answer.detail}", answer.hint or f"see the log of {config.endpoint}")
    if answer.rejected:
        raise HopError(f"taken, but {_ITEMS[signal]} was rejected: {answer.detail}", answer.hint)
    return Finding(f"{config.protocol} {config.endpoint} took {_ITEMS[signal]}")


def _quietly(action: Callable[..., object], *arguments: object) -> None:
    try:
        action(*arguments)
    except Exception:  # noqa: BLE001  (the observer has it already)
        return


class _SpanKeeper(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class _RecordKeeper(LogRecordProcessor):
    def __init__(self) -> None:
        self.records: list[ReadWriteLogRecord] = []

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.records.append(log_record)

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002
        return True


def _spans(resource: Resource) -> list[ReadableSpan]:
    keeper = _SpanKeeper()
    provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(keeper)
    provider.get_tracer(SCOPE).start_span("doctor").end()
    return keeper.spans


def _records(resource: Resource) -> list[ReadableLogRecord]:
    keeper = _RecordKeeper()
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_log_record_processor(keeper)
    provider.get_logger(SCOPE).emit(
        LogRecord(
            severity_number=SeverityNumber.INFO, severity_text="INFO", body="The doctor looks whether this arrives"
        )
    )
    return [
        ReadableLogRecord(
            log_record=kept.log_record,
            resource=resource,
            instrumentation_scope=kept.instrumentation_scope,
            limits=kept.limits,
        )
        for kept in keeper.records
    ]


def _metrics(resource: Resource) -> MetricsData | None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource, AlwaysOffExemplarFilter(), shutdown_on_exit=False)
    provider.get_meter(SCOPE).create_gauge(METRIC, "1", "Sent by the doctor to see whether metrics arrive").set(1)
    data = reader.get_metrics_data()
    provider.shutdown()
    return data


_SIGNALS: dict[Signal, tuple[Callable[[SignalConfig, Observe], Any], Callable[[Resource], object]]] = {
    "traces": (otlp.span_exporter, _spans),
    "metrics": (otlp.metric_exporter, _metrics),
    "logs": (otlp.log_exporter, _records),
}
