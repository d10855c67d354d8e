"""OTLP's protobuf, encoded by hand in a fifth of the time of the SDK's encoder, which builds an object per value.

The messages equal those of the SDK's encoder (opentelemetry-exporter-otlp-proto-common 1.45), except for lone
surrogates, invalid bodies and invalid times, where that one fails for the whole batch, and for the trace state of a
link, which it omits. `python -m tests.benchmarks.encoded_items` measures it.
"""

from telemetry.exporting.encoding.builder import RequestBuilder, encode_scope_attributes
from telemetry.exporting.encoding.common import attributes as encode_attributes
from telemetry.exporting.encoding.forms import EventData, LinkData, LogData, ScopeData, SpanData
from telemetry.exporting.encoding.logs import encode_body, encode_log, encode_plain_log
from telemetry.exporting.encoding.spans import encode_plain_span, encode_rest, encode_span

__all__ = [
    "EventData",
    "LinkData",
    "LogData",
    "RequestBuilder",
    "ScopeData",
    "SpanData",
    "encode_attributes",
    "encode_body",
    "encode_log",
    "encode_plain_log",
    "encode_plain_span",
    "encode_rest",
    "encode_scope_attributes",
    "encode_span",
]
