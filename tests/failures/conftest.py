"""Pipelines of this process before a receiver that fails on demand, and their numbers."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from telemetry.compare.faults_proxy import FaultProxy
from telemetry.config import TelemetryConfig
from telemetry.console.receiver import Refusal
from telemetry.console.server import Console
from telemetry.delivery import Delivery
from telemetry.providers import (
    Pipeline,
    build_logger_provider,
    build_meter_provider,
    build_push_reader,
    build_tracer_provider,
)
from telemetry.resource import build_resource
from telemetry.worker import Worker
from tests.support.service import free_port

PROTOCOLS = ["grpc", "http/protobuf"]
ITEM = {"traces": "span", "logs": "log"}
# Milliseconds, for exports that are to fail: no busy machine makes a connection wait that long, and two retries fit in.
SHORT = "5000"


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def receiver_port(console: Console, protocol: str) -> int:
    return console.grpc_port if protocol == "grpc" else console.http_port


@pytest.fixture
def proxy(receiver_port: int) -> Iterator[FaultProxy]:
    with FaultProxy(receiver_port, port=free_port()) as proxy:
        yield proxy


@pytest.fixture
def refuse_first(console: Console, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, float], None]:
    """A function that lets the receiver refuse the first requests of each signal: `refuse_first(2, retry_after)`."""

    def refuse(requests: int, retry_after: float) -> None:
        seen: Counter[str] = Counter()
        receive = console.receiver.receive

        def refuse_or_receive(signal: Any, protocol: str, decode: Callable[[], Any]) -> Any:
            seen[signal.name] += 1
            if seen[signal.name] <= requests:
                raise Refusal(503, "not yet", retry_after)
            return receive(signal, protocol, decode)

        monkeypatch.setattr(console.receiver, "receive", refuse_or_receive)

    return refuse


@dataclass
class Sender:
    """Spans and log records on their way to a port, and what the metrics tell of them."""

    pipeline: Pipeline
    reader: InMemoryMetricReader
    sent: dict[str, int] = field(default_factory=lambda: {"traces": 0, "logs": 0})

    def delivery(self, signal: str = "traces") -> Delivery:
        return next(each for each in self.pipeline.deliveries if each.signal == signal)

    def send(self, items: int) -> None:
        """End so many spans, and write so many log records."""
        tracer = self.pipeline.tracer_provider.get_tracer("test")
        assert self.pipeline.logger_provider
        logger = self.pipeline.logger_provider.get_logger("test")
        for number in range(items):
            tracer.start_span(f"span {number}").end()
            logger.emit(LogRecord(body=f"record {number}", severity_number=SeverityNumber.INFO))
        self.sent = {signal: sent + items for signal, sent in self.sent.items()}

    def send_and_flush(self, items: int, budget: float = 30.0) -> None:
        self.send(items)
        self.pipeline.flush(budget)

    def points(self, name: str) -> dict[str, float]:
        """Return the values of a metric by `error.type` ("" for none)."""
        data = self.reader.get_metrics_data()
        values: dict[str, float] = {}
        for resource in data.resource_metrics if data else []:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        for point in metric.data.data_points:
                            kind = str((point.attributes or {}).get("error.type", ""))
                            value: Any = point
                            values[kind] = values.get(kind, 0) + (value.value if hasattr(value, "value") else 0)
        return {kind: value for kind, value in values.items() if value}

    def fates(self, signal: str) -> dict[str, float]:
        """Return the number of items that came to each end, as the metrics tell: "" is accepted."""
        fates = self.points(f"otel.sdk.exporter.{ITEM[signal]}.exported")
        for kind, value in self.points(f"otel.sdk.processor.{ITEM[signal]}.processed").items():
            if kind:
                fates[kind] = fates.get(kind, 0) + value
        return fates

    def check(self, **fates: int) -> None:
        """Check the number of items of each fate in both signals, in the metrics as in the delivery, and their sum."""
        expected = {("" if kind == "accepted" else kind): value for kind, value in fates.items() if value}
        for signal, sent in self.sent.items():
            delivery = self.delivery(signal)
            assert self.fates(signal) == expected, signal
            assert {"": delivery.accepted, **delivery.losses} == {"": 0, **expected}, signal
            assert sum(expected.values()) == sent, signal


StartSender = Callable[..., Sender]


@pytest.fixture
def start_sender(protocol: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartSender]:
    """A function that builds the pipeline to a port: `start_sender(port, OTEL_BSP_MAX_QUEUE_SIZE="10")`."""
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    with ExitStack() as stack:

        def start(port: int, **env: str) -> Sender:
            config = TelemetryConfig.from_env(
                {
                    "TELEMETRY_MODE": "collector",
                    "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                    "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
                    "OTEL_EXPORTER_OTLP_TIMEOUT": "20000",
                    "OTEL_BSP_SCHEDULE_DELAY": "60000",
                    "OTEL_BLRP_SCHEDULE_DELAY": "60000",
                    **env,
                }
            )
            resource = build_resource(config, Worker(), "1")
            reader = InMemoryMetricReader()
            deliveries: list[Delivery] = []
            meter_provider = build_meter_provider(config, resource, reader, {})
            pipeline = Pipeline(
                meter_provider=meter_provider,
                tracer_provider=build_tracer_provider(config, resource, meter_provider, deliveries),
                logger_provider=build_logger_provider(config, resource, meter_provider, deliveries),
                deliveries=deliveries,
            )
            stack.callback(pipeline.shutdown, 0.5)
            return Sender(pipeline, reader)

        yield start


@pytest.fixture
def start_metrics(protocol: str) -> Iterator[Callable[..., Pipeline]]:
    """A function that builds a pipeline of metrics alone, pushed to a port when they are flushed."""
    with ExitStack() as stack:

        def start(port: int) -> Pipeline:
            path = "" if protocol == "grpc" else "/v1/metrics"
            env = {
                "TELEMETRY_MODE": "collector",
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{port}{path}",
                "OTEL_METRIC_EXPORT_INTERVAL": "60000",
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
            }
            config = TelemetryConfig.from_env(env)
            resource = build_resource(config, Worker(), "1")
            deliveries: list[Delivery] = []
            meter_provider = build_meter_provider(config, resource, build_push_reader(config, deliveries), {})
            tracer_provider = build_tracer_provider(config, resource, meter_provider, deliveries)
            pipeline = Pipeline(meter_provider, tracer_provider, None, deliveries)
            stack.callback(pipeline.shutdown, 0.5)
            return pipeline

        yield start
