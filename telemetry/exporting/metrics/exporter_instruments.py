"""The metrics of a delivery, with OpenTelemetry's names.

https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/
"""

from collections.abc import Callable, Mapping
from typing import Any

Attributes = Mapping[str, str | int]
# (kind, name, unit, description, scope's name, version and schema URL, bucket boundaries), as in the journal.
Instrument = tuple[str, str, str, str, str, str, str, tuple[float, ...] | None]
Emit = Callable[[Instrument, float, Attributes], None]
Observation = tuple[Instrument, list[tuple[float, Attributes]]]

_SCOPE = ("opentelemetry-sdk", "", "", None)
_NAMES = {"traces": "span", "metrics": "metric_data_point", "logs": "log"}
_UNITS = {"traces": "{span}", "metrics": "{data_point}", "logs": "{log_record}"}
_ITEMS = {"traces": "spans", "metrics": "metric data points", "logs": "log records"}
_COMPONENTS = {"traces": "span", "metrics": "metric", "logs": "log"}
_NOT_EXPORTED_YET = (
    "which were passed to the exporter, but that have not been exported yet (neither successful, nor failed)."
)
_ERROR_TYPE = "error.type"

_DURATION: Instrument = (
    "histogram",
    "otel.sdk.exporter.operation.duration",
    "s",
    "The duration of exporting a batch of telemetry records.",
    *_SCOPE,
)
_RETRIES: Instrument = (
    "counter",
    "telemetry.exporter.retries",
    "{retry}",
    "Retries of failed requests to a backend; error.type is why the request failed.",
    *_SCOPE,
)


class ExporterInstruments:
    """The metrics of one signal's exporter and its processor."""

    def __init__(self, emit: Emit, signal: str, protocol: str, address: str | None, port: int) -> None:
        unit, items = _UNITS[signal], _ITEMS[signal]
        self._emit = emit
        self._signal = signal
        self._exported: Instrument = (
            "counter",
            f"otel.sdk.exporter.{_NAMES[signal]}.exported",
            unit,
            f"The number of {items} for which the export has finished, either successful or failed.",
            *_SCOPE,
        )
        self._inflight: Instrument = (
            "observable_updowncounter",
            f"otel.sdk.exporter.{_NAMES[signal]}.inflight",
            unit,
            f"The number of {items} {_NOT_EXPORTED_YET}",
            *_SCOPE,
        )
        self._processed: Instrument = (
            "counter",
            f"otel.sdk.processor.{_NAMES[signal]}.processed",
            unit,
            f"The number of {items} for which the processing has finished, either successful or failed.",
            *_SCOPE,
        )
        component = f"otlp_{'grpc' if protocol == 'grpc' else 'http'}_{_COMPONENTS[signal]}_exporter"
        self._attributes: Attributes = {
            "otel.component.type": component,
            "otel.component.name": f"{component}/0",
            **({"server.address": address, "server.port": port} if address else {}),
        }
        processor = f"batching_{_COMPONENTS[signal]}_processor"
        self._processor: Attributes = {"otel.component.type": processor, "otel.component.name": f"{processor}/0"}

    def exported(self, items: int, reason: str | None) -> None:
        """Count items whose export has finished; `reason` is why they were lost, None if they were not."""
        if items:
            self._emit(self._exported, items, self._with(self._attributes, reason))

    def processed(self, items: int, reason: str | None) -> None:
        """Count items that left the spool: to the exporter, or dropped for `reason`."""
        if items and self._signal != "metrics":
            self._emit(self._processed, items, self._with(self._processor, reason))

    def duration(self, seconds: float, reason: str | None, attributes: Attributes) -> None:
        """Record the duration of one request."""
        self._emit(_DURATION, seconds, {**self._with(self._attributes, reason), **attributes})

    def retried(self, reason: str) -> None:
        """Count the retry of a request that failed for `reason`."""
        self._emit(_RETRIES, 1, self._with(self._attributes, reason))

    def inflight(self, items: int) -> Observation:
        """Return the observation of the items that the exporter is sending."""
        return self._inflight, [(items, self._attributes)]

    @staticmethod
    def _with(attributes: Attributes, reason: str | None) -> dict[str, Any]:
        return {**attributes, _ERROR_TYPE: reason} if reason else dict(attributes)
