"""The log records that the handler makes are those that the SDK would have made."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context, get_current
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits, LogRecordProcessor, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from telemetry.log_records import LogSource
from telemetry.logs import OTLPHandler

SPAN = SpanContext(5, 6, is_remote=False, trace_flags=TraceFlags(3))
ATTRIBUTES: dict[str, Any] = {"http.route": "/users", "status_code": 404, "ratio": 0.5, "late": True}
RECORD = {
    "name": "a.logger",
    "levelno": 20,
    "levelname": "INFO",
    "msg": "GET /users 404",
    "created": 7e-9,
    **ATTRIBUTES,
}


class Pipeline:
    def __init__(self, **options: Any) -> None:
        self.reader, self.exporter = InMemoryMetricReader(), InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.provider = LoggerProvider(shutdown_on_exit=False, meter_provider=meters, **options)
        self.provider.add_log_record_processor(BatchLogRecordProcessor(self.exporter, meter_provider=meters))

    def sent(self) -> list[ReadableLogRecord]:
        self.provider.force_flush()
        return list(self.exporter.get_finished_logs())

    def created(self) -> list[int]:
        data: Any = self.reader.get_metrics_data()
        return [
            metric.data.data_points[0].value
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "otel.sdk.log.created"
        ]


@pytest.fixture(autouse=True)
def _counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    found, handler = logging.getLogger("tests.log_records"), OTLPHandler()
    found.addHandler(handler)
    found.setLevel("INFO")
    found.propagate = False
    yield found
    OTLPHandler.connect(None)
    found.removeHandler(handler)
    found.propagate = True


def told(record: ReadableLogRecord) -> dict[str, Any]:
    fields = dict(vars(record.log_record))
    assert fields.pop("observed_timestamp") > 0
    fields["attributes"] = dict(fields["attributes"])
    return {
        **fields,
        "resource": record.resource.attributes,
        "scope": record.instrumentation_scope,
        "dropped": record.dropped_attributes,
        "json": set(record.to_json()),
    }


def emit(source: LogSource) -> None:
    source.emit(logging.makeLogRecord(RECORD | ATTRIBUTES))


@pytest.mark.parametrize("span", [None, SPAN])
@pytest.mark.parametrize("limits", [{}, {"max_log_record_attributes": 2}, {"max_log_record_attribute_length": 3}])
@pytest.mark.filterwarnings("ignore:Log record attributes were dropped")
def test_record_is_the_sdks(span: SpanContext | None, limits: dict[str, int]) -> None:
    sdk, ours = (Pipeline(log_record_limits=LogRecordLimits(**limits)) for _ in range(2))
    context = trace.set_span_in_context(NonRecordingSpan(span), Context()) if span else Context()
    with trace.use_span(trace.get_current_span(context)):
        sdk.provider.get_logger("a.logger").emit(
            LogRecord(
                timestamp=7,
                context=get_current(),
                severity_text="INFO",
                severity_number=SeverityNumber.INFO,
                body="GET /users 404",
                attributes=ATTRIBUTES,
            )
        )
        emit(LogSource(ours.provider))
    assert len(sdk.sent()) == 1
    assert [told(record) for record in ours.sent()] == [told(record) for record in sdk.sent()]
    assert ours.created() == sdk.created() == [1]


def test_other_processors_see_the_record() -> None:
    seen: list[Any] = []

    class Processor(LogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            seen.append(log_record.log_record.body)
            log_record.log_record.attributes["by"] = "processor"

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002
            return True

    pipeline = Pipeline()
    source = LogSource(pipeline.provider)
    emit(source)
    pipeline.provider.add_log_record_processor(Processor())
    emit(source)
    assert seen == ["GET /users 404"]
    assert pipeline.created() == [2]
    assert len(pipeline.sent()) == 2


def test_handler_sends_what_the_logging_module_knows(logger: logging.Logger) -> None:
    pipeline = Pipeline()
    OTLPHandler.connect(LogSource(pipeline.provider))
    logger.warning("%s of %d", "one", 2, extra={"user.plan": "free", "odd": object()})
    logger.debug("too quiet")
    (record,) = pipeline.sent()
    sent = record.log_record
    assert (sent.body, sent.severity_text, sent.severity_number) == ("one of 2", "WARN", SeverityNumber.WARN)
    assert dict(sent.attributes or {}) == {"user.plan": "free"}
    assert (sent.trace_id, sent.span_id) == (0, 0)
    assert record.instrumentation_scope
    assert record.instrumentation_scope.name == "tests.log_records"
    assert sent.timestamp
    assert 0 <= (sent.observed_timestamp or 0) - sent.timestamp < 1e9


def test_records_after_the_shutdown_are_not_sent(logger: logging.Logger) -> None:
    pipeline = Pipeline()
    OTLPHandler.connect(LogSource(pipeline.provider))
    logger.info("in time")
    pipeline.provider.shutdown()
    logger.info("late")
    OTLPHandler.connect(None)
    logger.info("to nobody")
    assert [record.log_record.body for record in pipeline.exporter.get_finished_logs()] == ["in time"]
