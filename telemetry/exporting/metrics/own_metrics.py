"""The exporter's metrics of its own work and of the journals."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from telemetry.exporting.items.scopes import ACTIVE_REQUESTS
from telemetry.exporting.metrics.aggregation import HERE, Aggregation
from telemetry.journal.records import METHODS, Instrument

if TYPE_CHECKING:
    from telemetry.config import Signal
    from telemetry.exporting.rings import Rings
    from telemetry.journal.spool import Spool

_SDK = ("opentelemetry-sdk", "", "", None)
_OURS = ("telemetry", "", "", None)
_SIGNALS = {"spans": "traces", "logs": "logs", "measurements": "metrics"}
_SINGULAR = {"traces": "span", "logs": "log"}


def _instrument(kind: str, name: str, unit: str, description: str, scope: tuple[str, str, str, None]) -> Instrument:
    return (kind, name, unit, description, *scope)


SPAN_STARTED = _instrument("counter", "otel.sdk.span.started", "{span}", "The number of created spans.", _SDK)
LOG_CREATED = _instrument(
    "counter", "otel.sdk.log.created", "{log_record}", "The number of logs submitted to enabled SDK Loggers.", _SDK
)
COLLECTION_DURATION = _instrument(
    "histogram",
    "otel.sdk.metric_reader.collection.duration",
    "s",
    "The duration of the collect operation of the metric reader.",
    _SDK,
)
_QUEUE = {
    signal: (
        _instrument(
            "observable_updowncounter",
            f"otel.sdk.processor.{name}.queue.size",
            f"{{{unit}}}",
            f"The number of {items} that wait to be sent.",
            _SDK,
        ),
        _instrument(
            "observable_updowncounter",
            f"otel.sdk.processor.{name}.queue.capacity",
            f"{{{unit}}}",
            f"The most {items} that may wait to be sent, where that is bounded by number.",
            _SDK,
        ),
    )
    for signal, name, unit, items in (("traces", "span", "span", "spans"), ("logs", "log", "log_record", "log records"))
}
_USAGE = _instrument(
    "observable_updowncounter", "telemetry.spool.usage", "By", "The space of the batches that wait to be sent.", _OURS
)
_LIMIT = _instrument(
    "observable_updowncounter", "telemetry.spool.limit", "By", "The space that waiting batches may take.", _OURS
)
_DROPPED = _instrument(
    "counter",
    "telemetry.journal.dropped",
    "{item}",
    "Spans, log records and measurements that did not fit into a process's journal.",
    _OURS,
)
_ERRORS = _instrument(
    "counter", "telemetry.recording.errors", "{error}", "Things that a process failed to record.", _OURS
)
_STARTS = _instrument(
    "observable_counter", "telemetry.exporter.starts", "{start}", "How often an exporter was started.", _OURS
)

_METHOD = "http.request.method"
_SIGNAL = "telemetry.signal"


class OwnMetrics:
    """Updates the metrics of the exporter's own work."""

    def __init__(self, aggregation: Aggregation, starts: int) -> None:
        self._aggregation = aggregation
        self.methods = {attributes[_METHOD] for attributes in aggregation.known(ACTIVE_REQUESTS)}
        """The methods of requests so far: each has a count of active requests, even if that is 0."""
        for signal in _SIGNALS.values():
            aggregation.series(_DROPPED, {_SIGNAL: signal})
        aggregation.series(_ERRORS, {})
        aggregation.observe(_STARTS, HERE, [(starts, {})])

    def observe_rings(self, rings: "Rings") -> None:
        """Observe the counts in the rings' headers."""
        aggregation = self._aggregation
        for source in rings.sources.values():
            for field, items in source.newly_lost()._asdict().items():
                if items:
                    aggregation.record(_DROPPED, items, {_SIGNAL: _SIGNALS[field]})
            if errors := source.newly_failed():
                aggregation.record(_ERRORS, errors, {})
        levels = rings.levels()
        active = ((method, levels.get(level, 0)) for method, level in METHODS.items())
        points = [(count, {_METHOD: method}) for method, count in active if count or method in self.methods]
        if points:  # contrib's instrumentation has its own instrument of this name
            aggregation.observe(ACTIVE_REQUESTS, HERE, points)

    def observe_spools(self, spools: "Mapping[Signal, Spool]") -> None:
        """Observe the usage of the signals' spools."""
        observe = self._aggregation.observe
        observe(_USAGE, HERE, [(spool.waiting_bytes, {_SIGNAL: signal}) for signal, spool in spools.items()])
        observe(_LIMIT, HERE, [(spool.limit, {_SIGNAL: signal}) for signal, spool in spools.items()])
        for signal, spool in spools.items():
            if signal in _QUEUE:
                size, capacity = _QUEUE[signal]
                component = f"batching_{_SINGULAR[signal]}_processor"
                attributes = {"otel.component.type": component, "otel.component.name": f"{component}/0"}
                observe(size, HERE, [(spool.waiting_items, attributes)])
                observe(capacity, HERE, [(spool.max_items, attributes)] if spool.max_items is not None else [])
