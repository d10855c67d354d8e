"""What Alloy lets through of spans and log records full of secrets, sent as a service without a redactor would."""

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from telemetry.tools.console.server import Console
from tests.privacy.canaries import Canaries
from tests.stack.servers import Binaries, Stack

_TRACE_ID, _SPAN_ID = bytes(range(16)), bytes(range(8))
_WAIT_SECONDS = 30.0


def leaks(folder: Path, binaries: Binaries) -> list[str]:
    """Return one line for each secret that came out of Alloy, and for anything that makes the check worthless."""
    canaries = Canaries()
    spans, records = span_with_secrets(canaries), record_with_secrets(canaries)
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        send(console.http_port, spans, records)
        unguarded = canaries.found_in(*received(console))
    problems = [f"the check does not see: {what}" for mark, what in canaries.marks.items() if mark not in unguarded]
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        env = {
            "TEMPO_OTLP_GRPC": f"127.0.0.1:{console.grpc_port}",
            "LOKI_OTLP_URL": f"http://127.0.0.1:{console.http_port}",
        }
        stack = Stack(folder, binaries, env)
        with stack.alloy:
            send(stack.otlp_http, spans, records)
            arrived = console.store.wait_for(lambda store: bool(store.spans() and store.logs()), _WAIT_SECONDS)
        texts = list(received(console))
    if not arrived:
        problems.append("spans and records did not arrive")
    everything = b"".join(texts)
    kept = (
        *("/users/{id}", "kept as it is", "https://example.com/x?***", "name=x&password=***", "sent Bearer *** along"),
        "1024 at most",
    )
    problems += [f"{text} is not there" for text in kept if arrived and text.encode() not in everything]
    return problems + [f"came through: {what}" for what in canaries.found_in(*texts).values()]


def received(console: Console) -> Iterator[bytes]:
    for stored in (*console.store.spans(), *console.store.logs()):
        yield repr(stored).encode()


def send(port: int, spans: ExportTraceServiceRequest, records: ExportLogsServiceRequest) -> None:
    for path, message in (("traces", spans), ("logs", records)):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/{path}",
            data=message.SerializeToString(),
            headers={"Content-Type": "application/x-protobuf"},
        )
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310  (of this module)


def attributes(values: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in values.items()]


def secrets_of(canaries: Canaries, place: str) -> dict[str, str]:
    """Return attributes with a secret of each kind."""
    jwt = f"eyJ{canaries.mark('JSON web token', place)}.eyJzdWIi.c2ln"
    return {
        "http.request.header.authorization": f"Bearer {canaries.mark('authorization header', place)}",
        "http.request.header.cookie": f"sessionid={canaries.mark('cookie header', place)}",
        "http.response.header.set-cookie": f"a={canaries.mark('set-cookie header', place)}",
        "http.request.header.x-api-key": canaries.mark("API key header", place),
        "http.request.header.x_api_key": canaries.mark("API key header with underscores", place),
        "http.response.header.set_cookie": f"a={canaries.mark('set-cookie header with underscores', place)}",
        "password": canaries.mark("attribute password", place),
        "app.client_secret": canaries.mark("attribute client_secret", place),
        "accessToken": canaries.mark("attribute accessToken", place),
        "max_tokens": "1024 at most",
        "url.query": f"q={canaries.mark('query', place)}",
        "url.full": f"https://example.com/x?q={canaries.mark('query of a URL', place)}",
        "http.target": f"/x?q={canaries.mark('query of a path', place)}",
        "contact": f"mail to {canaries.email(place)} please",
        "escaped": canaries.email(place).replace("@", "%40"),
        "note": f"sent Bearer {canaries.mark('bearer token', place)} along",
        "basic": f"Basic {canaries.mark('basic credentials', place)}",
        "jwt": f"token {jwt}",
        "form": f"name=x&password={canaries.mark('password', place)}&api_key={canaries.mark('API key', place)}",
    }


def text_with_secrets(canaries: Canaries, place: str) -> str:
    return (
        f"kept as it is, {canaries.email(place)} at https://example.com/?q={canaries.mark('query of a URL', place)} "
        f"password={canaries.mark('password', place)} eyJ{canaries.mark('JSON web token', place)}.e.s "
        f"Basic {canaries.mark('basic credentials', place)}\n"
        f"Authorization: Token {canaries.mark('authorization header', place)}\n"
        f"Cookie: sessionid={canaries.mark('cookie header', place)}"
    )


def span_with_secrets(canaries: Canaries) -> ExportTraceServiceRequest:
    now = time.time_ns()
    event = {
        **secrets_of(canaries, "event"),
        "exception.message": f"Key (email)=({canaries.email('event')}) exists",
        "exception.stacktrace": f"token: {canaries.mark('token', 'event')}, Bearer {canaries.mark('token', 'event')}",
    }
    span = Span(
        trace_id=_TRACE_ID,
        span_id=_SPAN_ID,
        name=f"GET {canaries.email('span name')}",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=now,
        end_time_unix_nano=now + 1_000_000,
        attributes=attributes({"http.route": "/users/{id}", **secrets_of(canaries, "span")}),
        events=[Span.Event(name="exception", time_unix_nano=now, attributes=attributes(event))],
        status=Status(code=Status.STATUS_CODE_ERROR, message=f"no {canaries.email('status message')}"),
    )
    resource = Resource(attributes=attributes({"service.name": "another-service"}))
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=[span])])]
    )


def record_with_secrets(canaries: Canaries) -> ExportLogsServiceRequest:
    record = LogRecord(
        time_unix_nano=time.time_ns(),
        severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
        body=AnyValue(string_value=text_with_secrets(canaries, "log body")),
        attributes=attributes(secrets_of(canaries, "log record")),
    )
    resource = Resource(attributes=attributes({"service.name": "another-service"}))
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[ScopeLogs(log_records=[record])])]
    )
