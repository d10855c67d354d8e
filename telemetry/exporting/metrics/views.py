"""The allowed attributes of each metric, and the buckets of each histogram.

Attributes that are neither listed here nor by the service for its own metrics are dropped, so that no upgrade or
mistake creates new series or exposes private data.
"""

import logging
from collections.abc import Collection, Mapping

from telemetry.journal.records import Instrument

logger = logging.getLogger(__name__)

Attributes = Mapping[str, Collection[str]]
"""The allowed attributes by name of the metric."""

# The SDK's, which suit milliseconds.
# https://opentelemetry.io/docs/specs/otel/metrics/sdk/#explicit-bucket-histogram-aggregation
_DEFAULT = tuple(
    map(float, (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)),
)
# For metrics in seconds whose instruments specify no buckets.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_IN_SECONDS = frozenset(
    {
        "flower.task.runtime.seconds",
        "db.client.operation.duration",
        "otel.sdk.exporter.operation.duration",
        "otel.sdk.metric_reader.collection.duration",
    }
)
_QUERY = {"db.system.name", "db.operation.name", "error.type"}
_COMPONENT = {"otel.component.name", "otel.component.type"}
_EXPORTER = {*_COMPONENT, "server.address", "server.port"}
_PEER = {"server.address", "server.port"}
_HTTP_CLIENT = {*_PEER, "http.request.method", "url.scheme", "url.template"}
_HTTP_ANSWER = {*_HTTP_CLIENT, "http.response.status_code", "error.type", "network.protocol.version"}
_RPC = {*_PEER, "rpc.system", "rpc.system.name", "rpc.service", "rpc.method", "rpc.response.status_code", "error.type"}
_MESSAGING = {
    *_PEER,
    "messaging.system",
    "messaging.operation.name",
    "messaging.destination.name",
    "messaging.destination.template",
    "messaging.consumer.group.name",
    "error.type",
}
# https://opentelemetry.io/docs/specs/semconv/general/metrics/: the metrics of other packages' instrumentations.
_OF_INSTRUMENTATIONS: Attributes = {
    "http.client.request.duration": _HTTP_ANSWER,
    "http.client.request.body.size": _HTTP_ANSWER,
    "http.client.response.body.size": _HTTP_ANSWER,
    "http.client.active_requests": _HTTP_CLIENT,
    "http.client.open_connections": {*_PEER, "http.connection.state", "network.protocol.version", "url.scheme"},
    "http.client.connection.duration": {*_PEER, "network.protocol.version", "url.scheme"},
    "rpc.client.call.duration": _RPC,
    "rpc.client.duration": {*_RPC, "rpc.grpc.status_code"},
    "messaging.client.operation.duration": _MESSAGING,
    "messaging.client.sent.messages": _MESSAGING,
    "messaging.client.consumed.messages": _MESSAGING,
    "messaging.process.duration": _MESSAGING,
    "flower.task.runtime.seconds": {"task", "worker"},
}
_ATTRIBUTES: Attributes = {
    **_OF_INSTRUMENTATIONS,
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
    "otel.sdk.log.created": (),
    "otel.sdk.metric_reader.collection.duration": {*_COMPONENT, "error.type"},
    "otel.sdk.exporter.operation.duration": {
        *_EXPORTER,
        "error.type",
        "http.response.status_code",
        "rpc.response.status_code",
    },
    "telemetry.exporter.retries": {*_EXPORTER, "error.type"},
    "telemetry.exporter.starts": (),
    "telemetry.worker.starts": (),
    "telemetry.journal.dropped": {"telemetry.signal"},
    "telemetry.recording.errors": (),
    "telemetry.spool.usage": {"telemetry.signal"},
    "telemetry.spool.limit": {"telemetry.signal"},
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


class Views:
    """The lists of this module and of the service, which take precedence."""

    def __init__(self, of_service: Attributes) -> None:
        self._listed = {name: frozenset(keys) for name, keys in {**_ATTRIBUTES, **of_service}.items()}

    def attributes(self, name: str) -> frozenset[str]:
        """Return a metric's allowed attributes: none for an unlisted metric, which is logged once."""
        listed = self._listed.get(name)
        if listed is None:
            logger.warning("metric %s is not listed: it is counted without attributes", name)
            listed = self._listed[name] = frozenset()
        return listed

    @staticmethod
    def boundaries(instrument: Instrument) -> tuple[float, ...]:
        """Return the upper bounds of a histogram's buckets."""
        if instrument[1] in _IN_SECONDS:
            return _SECONDS
        return _DEFAULT if instrument[-1] is None else instrument[-1]
