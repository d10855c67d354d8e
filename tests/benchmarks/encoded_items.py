"""What encoding costs, in microseconds of CPU an item: ours, beside the SDK's for the same spans.

python -m tests.benchmarks.encoded_items
"""

import argparse
import statistics
from collections.abc import Callable
from time import process_time

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as sdk_encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind

from telemetry.exporting.encoding import LogData, RequestBuilder, ScopeData, SpanData, encode_log, encode_span

ITEMS = 512
ROUNDS = 40
RESOURCE = {"service.name": "user-api", "service.version": "1", "deployment.environment.name": "production"}
SERVER = {
    "http.request.method": "GET",
    "http.route": "/users/<str:pk>",
    "http.response.status_code": 200,
    "url.path": "/users/3",
    "url.scheme": "http",
    "server.address": "localhost",
    "server.port": 8080,
    "client.address": "127.0.0.1",
    "network.protocol.version": "1.1",
    "user_agent.original": "curl/8.5",
}
QUERY = {
    "db.system.name": "postgresql",
    "db.namespace": "userapi",
    "db.query.text": "SELECT id, name, email FROM users_user WHERE id = %s LIMIT 21",
    "db.operation.name": "SELECT",
    "server.address": "localhost",
    "server.port": 5432,
}
SCOPE = ScopeData("telemetry.requests", "1")


def spans() -> list[SpanData]:
    """Return as many server spans as spans of queries."""
    data = []
    for number in range(1, ITEMS + 1):
        ids = number.to_bytes(16), number.to_bytes(8)
        if number % 2:
            path = {**SERVER, "url.path": f"/users/{number}"}
            data.append(SpanData(*ids, None, False, "", "GET /users/<str:pk>", 1, number, number + 9, path, None))
        else:
            data.append(SpanData(*ids, bytes(8), False, "", "SELECT users_user", 2, number, number + 9, QUERY, None))
    return data


def build_spans(data: list[SpanData]) -> bytes:
    builder = RequestBuilder("traces", RESOURCE)
    for span in data:
        builder.add(SCOPE, encode_span(span))
    return builder.build()


def build_logs(data: list[LogData]) -> bytes:
    builder = RequestBuilder("logs", RESOURCE)
    for record in data:
        builder.add(SCOPE, encode_log(record))
    return builder.build()


def cost(action: Callable[[], object]) -> float:
    """Return microseconds of CPU an item, the median of the rounds."""
    action()
    seconds = []
    for _ in range(ROUNDS):
        started = process_time()
        action()
        seconds.append(process_time() - started)
    return statistics.median(seconds) / ITEMS * 1e6


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    data = spans()
    records = [
        LogData(n, n, 9, "INFO", f"user {n} was read", {"code.function.name": "get"}, bytes(16), bytes(8), 1)
        for n in range(ITEMS)
    ]
    resource, scope = Resource(RESOURCE), InstrumentationScope("telemetry.requests", "1")
    theirs = [
        ReadableSpan(
            span.name,
            SpanContext(int.from_bytes(span.trace_id), int.from_bytes(span.span_id), is_remote=False),
            resource=resource,
            attributes=dict(span.attributes),  # type: ignore[arg-type]
            kind=SpanKind(span.kind),
            start_time=span.start,
            end_time=span.end,
            instrumentation_scope=scope,
        )
        for span in data
    ]
    print(f"a span:          {cost(lambda: build_spans(data)):5.1f} us, {len(build_spans(data)) / ITEMS:.0f} bytes")
    print(f"a log record:    {cost(lambda: build_logs(records)):5.1f} us")
    print(f"a span, the SDK: {cost(lambda: sdk_encode_spans(theirs).SerializeToString()):5.1f} us")


if __name__ == "__main__":
    main()
