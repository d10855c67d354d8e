"""The SDK's views: which buckets a histogram has, and which attributes a metric may carry.

The attributes are allow-lists: what is not listed here, or told by the service for its own metrics, is dropped at the
instrument, so that neither an upgrade nor a mistake makes new series or lets something private out.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics.view import Aggregation, View

from telemetry.exemplars import latest_exemplars

logger = logging.getLogger(__name__)

Attributes = Mapping[str, Collection[str]]
"""For metrics, by name, the attributes that they may carry."""

# These are recorded in seconds but come with the SDK's default buckets, which are made for milliseconds.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_IN_SECONDS = (
    "db.client.operation.duration",
    "otel.sdk.exporter.operation.duration",
    "otel.sdk.metric_reader.collection.duration",
)
_QUERY = {"db.system.name", "db.operation.name", "error.type"}
_COMPONENT = {"otel.component.name", "otel.component.type"}
_EXPORTER = {*_COMPONENT, "server.address", "server.port"}
_ATTRIBUTES: Attributes = {
    "http.server.request.duration": {
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "error.type",
    },
    "http.server.active_requests": {"http.request.method"},
    "db.client.operation.duration": _QUERY,
    "db.client.response.returned_rows": _QUERY,
    "process.cpu.time": {"type"},
    "process.memory.usage": (),
    "process.memory.virtual": (),
    "process.thread.count": (),
    "process.open_file_descriptor.count": (),
    "process.uptime": (),
    "telemetry.worker.count": (),
    "cpython.gc.collections": {"cpython.gc.generation"},
    "cpython.gc.collected_objects": {"cpython.gc.generation"},
    "cpython.gc.uncollectable_objects": {"cpython.gc.generation"},
    "otel.sdk.span.started": {"otel.span.parent.origin", "otel.span.sampling_result"},
    "otel.sdk.span.live": {"otel.span.sampling_result"},
    "otel.sdk.log.created": (),
    "otel.sdk.metric_reader.collection.duration": {*_COMPONENT, "error.type"},
    "otel.sdk.exporter.operation.duration": {
        *_EXPORTER,
        "error.type",
        "http.response.status_code",
        "rpc.response.status_code",
    },
    "telemetry.exporter.retries": {*_EXPORTER, "error.type"},
    **{
        f"otel.sdk.processor.{item}.{name}": keys
        for item in ("span", "log")
        for name, keys in (
            ("processed", {*_COMPONENT, "error.type"}),
            ("queue.size", _COMPONENT),
            ("queue.capacity", _COMPONENT),
        )
    },
    **{
        f"otel.sdk.exporter.{item}.{name}": keys
        for item in ("span", "log", "metric_data_point")
        for name, keys in (("exported", {*_EXPORTER, "error.type"}), ("inflight", _EXPORTER))
    },
}


class _UnlistedView(View):
    """Takes every attribute from the instruments that are not listed."""

    def __init__(self, listed: Collection[str]) -> None:
        super().__init__(instrument_name="*", attribute_keys=set())
        self._listed = listed

    def _match(self, instrument: Any) -> bool:
        if instrument.name in self._listed:
            return False
        logger.warning("metric %s is not listed: it is counted without attributes", instrument.name)
        return True


def build_views(histogram: Callable[[Sequence[float]], Aggregation], of_service: Attributes) -> list[View]:
    """Return the views.

    `histogram` makes the aggregation for given bucket boundaries (seconds). `of_service` names the attributes of each
    of the service's own metrics, and wins over the list of this module.
    """
    listed = {**_ATTRIBUTES, **of_service}
    views = [
        View(
            instrument_name=name,
            aggregation=histogram(_SECONDS) if name in _IN_SECONDS else None,
            attribute_keys=set(keys),
            exemplar_reservoir_factory=latest_exemplars,
        )
        for name, keys in listed.items()
    ]
    return [*views, _UnlistedView(listed)]
