"""OTLP's protobuf, written by hand: a fifth of the time that the SDK's encoder needs, which builds an object per value.

The messages are those of the SDK's encoder (opentelemetry-exporter-otlp-proto-common 1.45), but for lone surrogates,
bad bodies and bad times, for which that one gives up the batch. `tests.benchmarks.encoding` measures it.
"""

from collections.abc import Callable
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

from telemetry.encoding.logs import encode_logs
from telemetry.encoding.spans import encode_spans

__all__ = ["ENCODERS", "encode_logs", "encode_spans"]

# By signal; metrics, which are few and come at long intervals, have the SDK's.
ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "traces": encode_spans,
    "logs": encode_logs,
    "metrics": lambda data: encode_metrics(data).SerializeToString(),
}
