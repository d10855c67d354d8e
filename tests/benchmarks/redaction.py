"""What the redactor costs: microseconds for one request's spans and log record, and its share of a request's CPU time.

    python -m tests.benchmarks.redaction --requests 1000

A real worker sends real requests' spans and records to a receiver; what arrived is redacted again and again here, in
one thread, and so timed alone. The request's CPU time is that of the service in the same run, all threads included; its
redactor is off there, so that spans and records arrive as they were made.
"""

import argparse
import logging
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from pathlib import Path
from time import process_time
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

import tests.support.environment  # noqa: F401  (the service's settings need it)
from telemetry.console.records import LogRecord, Span
from telemetry.console.server import Console
from telemetry.logs import translation_of
from telemetry.privacy import Redactor, configure, redactor
from telemetry.privacy.exporters import redacted_span
from tests.conftest import migrate
from tests.support.routes import Route, expect
from tests.support.service import Service

ROUNDS = 7
WARM_UP = 200
AIM = 0.02


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000, help="requests to the service")
    requests = parser.parse_args().requests
    request_seconds, spans, records = observe(requests)
    span_seconds = timed(lambda: [redacted_span(span, redactor()) for span in spans])
    record_seconds = timed(lambda: [translation_of(copy_of(record)) for record in records])
    record_seconds -= timed(lambda: [copy_of(record) for record in records])
    cost = (span_seconds + record_seconds) / requests
    unknown = timed(lambda: [redacted_span(span, Redactor()) for span in spans]) / requests
    print(f"request      {request_seconds * 1e6:8.1f} us of CPU time")
    print(f"spans        {span_seconds / requests * 1e6:8.1f} us for {len(spans) / requests:.1f} spans a request")
    print(f"log records  {record_seconds / requests * 1e6:8.1f} us for {len(records) / requests:.1f} records a request")
    print(f"redaction    {cost * 1e6:8.1f} us: {cost / request_seconds:.2%} of the request (aim: under {AIM:.0%})")
    print(f"at worst     {unknown * 1e6:8.1f} us for the spans if no text had ever been seen before")
    return 0 if cost / request_seconds < AIM else 1


def observe(requests: int) -> tuple[float, list[ReadableSpan], list[logging.LogRecord]]:
    """Return the service's CPU seconds per request, and the spans and log records of the last `requests` requests."""
    with tempfile.TemporaryDirectory() as folder, Console(grpc_port=0, http_port=0, api_port=0) as console:
        database = f"sqlite:///{folder}/db.sqlite3"
        migrate(database)
        env = {"USERAPI_OPEN_ACCESS": "true", "DJANGO_SETTINGS_MODULE": "tests.privacy.settings_without_redaction"}
        env |= Route("collector", "http/protobuf").env(console)
        with Service(Path(folder), database, env, "--workers=1", "--threads=1") as service:
            client = HTTPConnection("127.0.0.1", service.port)
            drive(client, WARM_UP)
            before = cpu_seconds(service)
            drive(client, requests)
            seconds = (cpu_seconds(service) - before) / requests
            client.close()
            service.stop()
        expect(console, "collector", requests + WARM_UP, wait=10)
        spans, records = console.store.spans(), console.store.logs(limit=requests * 10)
    share = requests / (requests + WARM_UP)
    return (
        seconds,
        [as_ended(span) for span in spans[-int(len(spans) * share) :]],
        [as_logged(record) for record in records if record.scope.name == "userapi.access"][-requests:],
    )


def cpu_seconds(service: Service) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in service.workers())


def as_ended(stored: Span) -> ReadableSpan:
    """Return the span as the SDK hands it to an exporter."""
    span = TracerProvider(shutdown_on_exit=False).get_tracer("x").start_span(stored.name, attributes=stored.attributes)
    for event in stored.events:
        span.add_event(event.name, event.attributes)
    span.end()
    assert isinstance(span, ReadableSpan)
    return span


def as_logged(stored: LogRecord) -> logging.LogRecord:
    attributes: dict[str, Any] = dict(stored.attributes)
    return logging.makeLogRecord({"name": "userapi.access", "msg": str(stored.body), **attributes})


def copy_of(record: logging.LogRecord) -> logging.LogRecord:
    """Return a record that no handler has translated yet."""
    return logging.makeLogRecord({key: value for key, value in vars(record).items() if not key.startswith("_")})


def timed(action: Callable[[], Sequence[object]]) -> float:
    """Return the median CPU seconds of `action`."""
    action()
    seconds = []
    for _ in range(ROUNDS):
        configure(())  # what it remembers of the last round must not count
        started = process_time()
        action()
        seconds.append(process_time() - started)
    return statistics.median(seconds)


def drive(client: HTTPConnection, requests: int) -> None:
    """Send a mix of lists, reads of a missing user, creates and bad input."""
    body = '{"name": "Test User", "email": "user%d@example.com"}'
    for number in range(requests):
        match number % 10:
            case 0:
                client.request("POST", "/users", body % random.getrandbits(64), {"Content-Type": "application/json"})
            case 1:
                client.request("POST", "/users", '{"name": ""}', {"Content-Type": "application/json"})
            case 2 | 3:
                client.request("GET", "/users?page_size=10")
            case _:
                client.request("GET", "/users/00000000-0000-0000-0000-000000000000")
        response = client.getresponse()
        response.read()
        assert response.status < 500, response.status


if __name__ == "__main__":
    sys.exit(main())
