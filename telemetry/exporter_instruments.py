"""The metrics of an exporter, by OpenTelemetry's names.

https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/
"""

from collections.abc import Mapping

from opentelemetry.metrics import MeterProvider
from opentelemetry.semconv._incubating.metrics import otel_metrics
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE

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


class ExporterInstruments:
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
