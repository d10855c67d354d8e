"""Whether Loki takes batches as large as Alloy makes them, of the records that grow most inside of it."""

import http.client
import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tests.stack.servers import DEPLOY, Binaries, Stack

_CONSUMERS = 4
_RESOURCE_ATTRIBUTES = 25  # as many as a pod has in a cloud
_TAKEN = 204
_SECONDS = 20.0


def largest_batch() -> int:
    """Return the bytes of Alloy's largest batch for Loki."""
    text = (DEPLOY / "alloy" / "config.alloy").read_text(encoding="utf-8")
    exporter = text[text.index('otelcol.exporter.otlphttp "loki"') :]
    found = re.search(r"max_size\s+= (\d+)", exporter)
    assert found
    return int(found[1])


def refusals(folder: Path, binaries: Binaries) -> list[str]:
    """Send Loki a full batch from each of Alloy's consumers, again where it refuses; return its last refusals."""
    stack = Stack(folder, binaries, {})
    with stack.loki, ThreadPoolExecutor(_CONSUMERS) as consumers:
        answers = list(consumers.map(send, [stack.loki_port] * _CONSUMERS, [batch(largest_batch())] * _CONSUMERS))
    return [answer for answer in answers if answer]


def batch(size: int) -> bytes:
    """Return an export request of at most `size` bytes, full of records that say as little as one can."""
    attributes = [
        _attribute(f"resource.attribute.number.{n}", secrets.token_hex(20)) for n in range(_RESOURCE_ATTRIBUTES)
    ]
    attributes.append(_attribute("service.name", "user-api"))
    now = time.time_ns()
    record = LogRecord(
        time_unix_nano=now, trace_id=bytes(16), span_id=bytes(8), body=AnyValue(string_value="GET /users")
    )
    records = (size - 4096) // (record.ByteSize() + 4)
    scope = ScopeLogs(log_records=[record] * records)
    resource = ResourceLogs(resource=Resource(attributes=attributes), scope_logs=[scope])
    encoded = ExportLogsServiceRequest(resource_logs=[resource]).SerializeToString()
    assert size * 0.9 < len(encoded) <= size
    return encoded


def send(port: int, body: bytes) -> str:
    """Send `body` until it is taken, for a while; return the last refusal, or nothing."""
    deadline = time.monotonic() + _SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/otlp/v1/logs", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        reply = answer.read().decode(errors="replace")
        connection.close()
        if answer.status == _TAKEN:
            return ""
        if time.monotonic() > deadline:
            return f"status {answer.status}: {reply}"
        time.sleep(1)


def _attribute(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
