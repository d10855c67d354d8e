"""Plain HTTP against a console, and OTLP's official messages for it."""

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.store import Store
from telemetry.tools.console.storage.traces import Trace, TraceSummary, summarize

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
TRACE_ID = "5b8aa5a2d2c872e8321cf37308d69df2"
SPAN_ID = "051581bf3cb55c13"
CUMULATIVE = 2
DELTA = 1


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30,
) -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def post(url: str, body: bytes | Message, content_type: str = PROTOBUF, **headers: str) -> Answer:
    data = body.SerializeToString() if isinstance(body, Message) else body
    return request(
        url, "POST", data, {"Content-Type": content_type, **{k.replace("_", "-"): headers[k] for k in headers}}
    )


def delayed(console: Console) -> int:
    """How many requests wait for the end of the delay that a fault gives them."""
    condition: Any = vars(console.receiver._stopping)["_cond"]
    return len(condition._waiters)


def attributes(values: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in values.items()]


def resource(mode: str = "collector", service: str = "user-api", instance: str = "instance-1") -> Resource:
    values = {"service.name": service, "service.instance.id": instance, "export.mode": mode}
    return Resource(attributes=attributes(values))


def traces(ids: Sequence[tuple[str, str]], mode: str = "collector", service: str = "user-api", **span: Any) -> Any:
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add(resource=resource(mode, service))
    scope_spans = resource_spans.scope_spans.add()
    now = time.time_ns()
    for trace_id, span_id in ids:
        values: dict[str, Any] = {
            "name": "GET",
            "kind": 2,
            "start_time_unix_nano": now,
            "end_time_unix_nano": now + 2_000_000,
            **span,
        }
        scope_spans.spans.add(trace_id=bytes.fromhex(trace_id), span_id=bytes.fromhex(span_id), **values)
    return message


def one_span(mode: str = "collector", **span: Any) -> Any:
    return traces([(TRACE_ID, SPAN_ID)], mode, **span)


def many_ids(count: int) -> list[tuple[str, str]]:
    return [(f"{number:032x}", f"{number:016x}") for number in range(1, count + 1)]


def logs(
    count: int = 1, logger: str = "userapi.access", mode: str = "collector", body: str = "GET /users 200", **record: Any
) -> Any:
    message = ExportLogsServiceRequest()
    scope_logs: Any = message.resource_logs.add(resource=resource(mode)).scope_logs.add()
    scope_logs.scope.name = logger
    for _ in range(count):
        values: dict[str, Any] = {
            "time_unix_nano": time.time_ns(),
            "severity_number": 9,
            "severity_text": "INFO",
            **record,
        }
        scope_logs.log_records.add(body=AnyValue(string_value=body), **values)
    return message


def summaries(store: Store, *, limit: int | None = None, mode: str | None = None) -> list[TraceSummary]:
    """The latest traces, the newest first; those in which a span has that mode."""
    kept = filter(None, map(Trace.spans, store.stored_traces()))
    found = (spans for spans in kept if mode is None or any(span.resource.mode == mode for span in spans))
    return list(map(summarize, islice(found, limit)))


def requests_total(
    count: int,
    *,
    time_ns: int,
    start_ns: int = 0,
    instance: str = "instance-1",
    mode: str = "collector",
    route: str = "/users",
    temporality: int = CUMULATIVE,
) -> Any:
    """The service's histogram of request durations, with one series."""
    message = ExportMetricsServiceRequest()
    scope_metrics: Any = message.resource_metrics.add(resource=resource(mode, instance=instance)).scope_metrics.add()
    metric = scope_metrics.metrics.add(name="http.server.request.duration", unit="s", description="Duration")
    metric.histogram.aggregation_temporality = temporality
    metric.histogram.data_points.add(
        count=count,
        sum=0.5 * count,
        time_unix_nano=time_ns,
        start_time_unix_nano=start_ns,
        explicit_bounds=[0.1, 1.0],
        bucket_counts=[0, count, 0],
        attributes=attributes({"http.route": route}),
    )
    return message
