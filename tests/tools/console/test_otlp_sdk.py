"""The OpenTelemetry SDK's own exporters against the console."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from grpc import Compression as GrpcCompression
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc import _log_exporter as grpc_logs
from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc_metrics
from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc_traces
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http import _log_exporter as http_logs
from opentelemetry.exporter.otlp.proto.http import metric_exporter as http_metrics
from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_traces
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from tests.support.service import wait_until

RESOURCE = Resource(
    {"service.name": "user-api", "export.mode": "collector", "service.instance.id": "bf5ac0d9", "list": ["a", "b"]}
)
Exporter = Callable[[Console], Any]


def _grpc(kind: Any, **options: Any) -> Exporter:
    return lambda console: kind(endpoint=console.grpc_endpoint, insecure=True, timeout=30, **options)


def _http(kind: Any, path: str, **options: Any) -> Exporter:
    return lambda console: kind(endpoint=console.http_endpoint + path, timeout=30, **options)


def _each_protocol(grpc: Any, http: Any, path: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "exporter",
        [
            pytest.param(_grpc(grpc), id="grpc"),
            pytest.param(_grpc(grpc, compression=GrpcCompression.Gzip), id="grpc-gzip"),
            pytest.param(_http(http, path), id="http"),
            pytest.param(_http(http, path, compression=Compression.Gzip), id="http-gzip"),
        ],
    )


@_each_protocol(grpc_traces.OTLPSpanExporter, http_traces.OTLPSpanExporter, "/v1/traces")
def test_spans_of_the_sdk_arrive_complete(console: Console, exporter: Exporter) -> None:
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(BatchSpanProcessor(exporter(console)))
    tracer = provider.get_tracer("tests", "1.2")
    values: dict[str, Any] = {
        "text": "ä",
        "number": 7,
        "ratio": 0.5,
        "flag": True,
        "list": ["a", "b"],
        "raw": b"\x00\xff",
    }
    with tracer.start_as_current_span("GET /users", kind=trace.SpanKind.SERVER) as parent:
        link = trace.Link(parent.get_span_context(), {"why": "test"})
        with tracer.start_as_current_span("SELECT", links=[link], attributes=values) as child:
            child.add_event("fetched", {"rows": 3})
            child.set_status(trace.StatusCode.ERROR, "broken")
    provider.shutdown()

    totals = console.store.mode("collector")
    assert (totals.spans, totals.server_spans, totals.duplicate_spans) == (2, 1, 0)
    assert totals.server_spans_by_service == {"user-api": 1}
    by_name = {span.name: span for span in console.store.spans()}
    span, root = by_name["SELECT"], by_name["GET /users"]
    assert span.trace_id == root.trace_id == trace.format_trace_id(parent.get_span_context().trace_id)
    assert (span.parent_span_id, root.parent_span_id) == (root.span_id, "")
    assert (span.kind, root.kind) == ("internal", "server")
    assert (span.status, span.status_message) == ("error", "broken")
    assert span.attributes == {**values, "raw": "AP8="}
    assert [(event.name, event.attributes) for event in span.events] == [("fetched", {"rows": 3})]
    assert [(item.trace_id, item.span_id, item.attributes) for item in span.links] == [
        (root.trace_id, root.span_id, {"why": "test"})
    ]
    assert root.start_ns <= span.start_ns < span.end_ns <= root.end_ns
    assert span.resource.attributes == dict(RESOURCE.attributes) | {"list": ["a", "b"]}
    assert span.scope == ("tests", "1.2")


@_each_protocol(grpc_logs.OTLPLogExporter, http_logs.OTLPLogExporter, "/v1/logs")
def test_log_records_of_the_sdk_arrive_in_their_trace(console: Console, exporter: Exporter) -> None:
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter(console)))
    logger = logging.Logger("userapi.access", logging.INFO)  # noqa: LOG001 (not the process's logger)
    logger.addHandler(LoggingHandler(logger_provider=provider))
    logger.info("outside")
    with TracerProvider().get_tracer("tests").start_as_current_span("request") as span:
        logger.warning("GET /users %s", 200, extra={"http.route": "/users"})
    provider.shutdown()

    totals = console.store.mode("collector")
    assert (totals.log_records, totals.access_records) == (2, 2)
    inside, outside = console.store.logs()
    assert (inside.body, inside.severity, inside.severity_number) == ("GET /users 200", "WARN", 13)
    assert inside.attributes["http.route"] == "/users"
    assert inside.trace_id == trace.format_trace_id(span.get_span_context().trace_id)
    assert (outside.trace_id, outside.span_id) == ("", "")
    assert console.store.logs(trace_id=inside.trace_id) == [inside]


@_each_protocol(grpc_metrics.OTLPMetricExporter, http_metrics.OTLPMetricExporter, "/v1/metrics")
def test_metrics_of_the_sdk_arrive_with_their_values(console: Console, exporter: Exporter) -> None:
    reader = PeriodicExportingMetricReader(exporter(console), export_interval_millis=60_000)
    provider = MeterProvider([reader], RESOURCE)
    meter = provider.get_meter("tests")
    duration = meter.create_histogram("http.server.request.duration", "s", "Duration of HTTP requests")
    for value in (0.1, 0.2, 7.0):
        duration.record(value, {"http.route": "/users"})
    meter.create_counter("user.created", "{user}").add(5)
    meter.create_up_down_counter("active").add(-2)
    meter.create_gauge("temperature").set(1.5)
    provider.force_flush()
    duration.record(1.0, {"http.route": "/users"})
    provider.shutdown()

    assert console.store.mode("collector").requests == 4
    types = {item.first.name: item.first.type for item in console.store.metrics()}
    assert types == {
        "http.server.request.duration": "histogram",
        "user.created": "counter",
        "active": "up_down_counter",
        "temperature": "gauge",
    }
    [(series, points)] = console.store.series("http.server.request.duration")
    assert series.attributes == {"http.route": "/users"}
    decoded = [point.decode() for point in points]
    assert [point.data["count"] for point in decoded] == [3, 4]
    assert decoded[1].data["sum"] == pytest.approx(8.3)
    assert sum(decoded[1].data["bucket_counts"]) == 4
    [(_, points)] = console.store.series("user.created")
    assert points[-1].decode().data == {"value": 5}


@pytest.mark.parametrize(
    "exporter",
    [
        pytest.param(_grpc(grpc_traces.OTLPSpanExporter), id="grpc"),
        pytest.param(_http(http_traces.OTLPSpanExporter, "/v1/traces"), id="http"),
    ],
)
def test_sdk_retries_a_refusing_backend_until_it_recovers(console: Console, exporter: Exporter) -> None:
    console.receiver.faults = Faults(status=503, retry_after=0.1)
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(BatchSpanProcessor(exporter(console), schedule_delay_millis=10))
    provider.get_tracer("tests").start_span("kept").end()

    def refused() -> int:
        return sum(count for (_, _, status), count in console.receiver.answers.items() if status == 503)

    assert wait_until(lambda: refused() > 0)
    assert console.store.totals() == {}
    console.receiver.faults = Faults()
    assert console.store.wait_for(lambda store: store.mode("collector").spans == 1, 30)
    provider.shutdown()
