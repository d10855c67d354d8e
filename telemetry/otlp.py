"""The OTLP exporters of the three signals, over gRPC or HTTP, built from a `SignalConfig`.

Every value is passed explicitly: left to themselves, the exporters read the environment again and differ from the
specification (time-outs in seconds, `none` refused as a compression, a client certificate ignored without a CA).
Only the chosen transport is imported: gRPC costs a worker 30 MiB, HTTP 16.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.common._exporter_metrics import NoOpExporterMetrics
from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation
from opentelemetry.sdk.trace.export import SpanExporter

from telemetry.answers import Observe, ignore
from telemetry.config import SignalConfig

_INSTRUMENTS = (Counter, UpDownCounter, Histogram, ObservableCounter, ObservableUpDownCounter, ObservableGauge)


def span_exporter(config: SignalConfig, observe: Observe = ignore) -> SpanExporter:
    """Return the exporter that sends spans where `config` says, and tells `observe` each answer."""
    exporter: SpanExporter = _build("traces", "trace_exporter", "OTLPSpanExporter", config, observe)
    return exporter


def metric_exporter(config: SignalConfig, observe: Observe = ignore) -> MetricExporter:
    """Return the exporter that sends metrics where `config` says, and tells `observe` each answer."""
    # Prometheus drops deltas, and the exporter would read its preferences from the environment.
    cumulative = dict.fromkeys(_INSTRUMENTS, AggregationTemporality.CUMULATIVE)
    explicit = {Histogram: ExplicitBucketHistogramAggregation()}
    preferences = {"preferred_temporality": cumulative, "preferred_aggregation": explicit}
    exporter: MetricExporter = _build(
        "metrics", "metric_exporter", "OTLPMetricExporter", config, observe, **preferences
    )
    return exporter


def log_exporter(config: SignalConfig, observe: Observe = ignore) -> LogRecordExporter:
    """Return the exporter that sends log records where `config` says, and tells `observe` each answer."""
    exporter: LogRecordExporter = _build("logs", "_log_exporter", "OTLPLogExporter", config, observe)
    return exporter


def _build(signal: str, module: str, name: str, config: SignalConfig, observe: Observe, **preferences: Any) -> Any:
    transport = "grpc" if config.protocol == "grpc" else "http"
    exporter = getattr(import_module(f"opentelemetry.exporter.otlp.proto.{transport}.{module}"), name)
    if transport == "grpc":
        from telemetry.transport_grpc import observed

        exporter, options = observed(exporter, signal, observe), _grpc(config)
    else:
        from telemetry.transport_http import ObservedSession, encoding

        if signal != "metrics":
            exporter = encoding(exporter, signal, observe)
        options = {**_http(config), "session": ObservedSession(signal, observe)}
    headers = dict(config.headers)
    built = exporter(endpoint=config.endpoint, headers=headers, timeout=config.timeout, **options, **preferences)
    # Its own `otel.sdk.exporter.*` count a refusal as a success. `Delivery` counts instead.
    built._metrics = NoOpExporterMetrics()  # noqa: SLF001  (there is no argument for it)
    return built


def _grpc(config: SignalConfig) -> Mapping[str, Any]:
    import grpc

    credentials = None
    if not config.insecure:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_read(config.certificate),
            private_key=_read(config.client_key),
            certificate_chain=_read(config.client_certificate),
        )
    compression = grpc.Compression.Gzip if config.compression == "gzip" else grpc.Compression.NoCompression
    return {"insecure": config.insecure, "credentials": credentials, "compression": compression}


def _http(config: SignalConfig) -> Mapping[str, Any]:
    from opentelemetry.exporter.otlp.proto.http import Compression

    return {
        "certificate_file": config.certificate,
        "client_key_file": config.client_key,
        "client_certificate_file": config.client_certificate,
        "compression": Compression.Gzip if config.compression == "gzip" else Compression.NoCompression,
    }


def _read(path: str | None) -> bytes | None:
    return Path(path).read_bytes() if path else None
