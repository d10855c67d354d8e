"""OTLP's protobuf, written by hand: a fifth of the time that the SDK's encoder needs, which builds an object per value.

The messages are those of the SDK's encoder (opentelemetry-exporter-otlp-proto-common 1.45), but for lone surrogates,
bad bodies and bad times, for which that one gives up the batch, and for the trace state of a link, which it leaves out.
`python -m tests.benchmarks.encoded_items` measures it.
"""

from telemetry.exporting.encoding.builder import RequestBuilder
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
    "encode_span",
]
