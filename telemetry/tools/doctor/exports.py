"""One real export of each signal, by the transports that the service uses.

The items belong to a separate service, `user-api-doctor` and the like, has no `export.mode` and holds one span
(not a server span), one log record or one data point: no count of the service's own telemetry changes.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from random import getrandbits
from time import monotonic, time_ns
from typing import Any

from opentelemetry.trace import SpanKind

from telemetry.config import Signal, SignalConfig
from telemetry.exporting.encoding import LogData, RequestBuilder, ScopeData, SpanData, encode_log, encode_span
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.otlp_metrics import encode
from telemetry.exporting.metrics.views import Views
from telemetry.exporting.transports import Answer, make_transport
from telemetry.tools.doctor.walk import Finding, HopError

SCOPE = "telemetry.doctor"
METRIC = "telemetry.doctor.check"

_ITEMS: dict[Signal, str] = {"traces": "a span", "metrics": "a data point", "logs": "a log record"}


def doctor_service(service: str) -> str:
    """Return the `service.name` of the doctor's own telemetry."""
    return f"{service}-doctor"


def export(signal: Signal, config: SignalConfig, service: str, timeout: float) -> Finding:
    """Send one item; raise HopError unless the receiver accepted it."""
    config = replace(config, timeout=min(config.timeout, timeout))
    resource = {"service.name": doctor_service(service), "telemetry.sdk.language": "python"}
    transport = make_transport(config, signal)
    try:
        # The first answer counts; a service would retry.
        answer = transport.send(_REQUESTS[signal](resource), monotonic() + config.timeout)
    finally:
        with suppress(Exception):
            transport.close()
    return _finding(signal, config, answer)


def _finding(signal: Signal, config: SignalConfig, answer: Answer) -> Finding:
    if answer.reason:
        raise HopError(f"{answer.reason}: {answer.detail}", answer.hint or f"see the log of {config.endpoint}")
    if answer.rejected:
        raise HopError(f"the request was accepted, but {_ITEMS[signal]} was rejected: {answer.detail}", answer.hint)
    return Finding(f"{config.protocol} {config.endpoint} accepted {_ITEMS[signal]}")


def _traces(resource: Mapping[str, Any]) -> bytes:
    now, ids = time_ns(), getrandbits(192).to_bytes(24)
    span = SpanData(ids[:16], ids[16:], None, False, "", "doctor", SpanKind.INTERNAL.value, now, now, {}, None)
    return _request("traces", resource, encode_span(span))


def _logs(resource: Mapping[str, Any]) -> bytes:
    now = time_ns()
    text = "The doctor checks whether this arrives"
    return _request("logs", resource, encode_log(LogData(now, now, 9, "INFO", text, {}, None, None, 0)))


def _request(signal: Signal, resource: Mapping[str, Any], item: bytes) -> bytes:
    builder = RequestBuilder(signal, resource)
    builder.add(ScopeData(SCOPE), item)
    return builder.build()


def _metrics(resource: Mapping[str, Any]) -> bytes:
    aggregation = Aggregation(Views({METRIC: ()}))
    described = "Sent by the doctor to see whether metrics arrive"
    aggregation.record(("gauge", METRIC, "1", described, SCOPE, "", "", None), 1, {})
    return encode(aggregation, resource)[0]


_REQUESTS: dict[Signal, Callable[[Mapping[str, Any]], bytes]] = {"traces": _traces, "metrics": _metrics, "logs": _logs}
