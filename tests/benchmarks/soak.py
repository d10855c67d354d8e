"""How much memory the console takes under load: `python -m tests.benchmarks.soak [--seconds S] [--rate SPANS/S]`.

Sends spans to a real `manage.py console`, each with names, attributes and ids that have never been used before, and
with them log records and data points of new series, for 5 minutes at 5,000 spans per second by default. Looks at pages
meanwhile. Prints, as JSON, what arrived, what was kept, and the console's memory; fails if the memory exceeds
`--most-mib`, or if spans did not arrive at the rate.
"""

import argparse
import itertools
import json
import os
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.benchmarks.pages import console
from tests.tools.console.client import attributes, post, request, resource

SPANS, RECORDS, SERIES = 500, 50, 20
PAGES = ("/", "/traces?limit=500", "/traces?q=nothing+like+it", "/metrics", "/logs", "/modes", "/api/summary")
LOOK_SECONDS = 1.0
#: The store's 192 MiB, the process without any record (80 MiB), and what requests, pages and the allocator take.
MOST_MIB = 420
NUMBERS = itertools.count(1)
#: Where a number goes: twelve digits, so that no length in a message changes.
PLACE = b"?" * 12


def unique(what: str) -> str:
    """A text that `fresh` makes unique."""
    return f"{what} {PLACE.decode()}"


def fresh(template: bytes) -> bytes:
    """The request with another number, never used before, in each place."""
    first, *parts = template.split(PLACE)
    return first + b"".join(b"%012d%s" % (next(NUMBERS), part) for part in parts)


def templates() -> dict[str, bytes]:
    """A request of each signal, with a place for a number in all that is to be unique."""
    now = time.time_ns()
    spans, logs, metrics = ExportTraceServiceRequest(), ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    sender = resource(instance=unique("worker"))
    scope_spans = spans.resource_spans.add(resource=sender).scope_spans.add()
    scope_logs: Any = logs.resource_logs.add(resource=sender).scope_logs.add()
    scope_metrics: Any = metrics.resource_metrics.add(resource=sender).scope_metrics.add()
    scope_spans.scope.name, scope_logs.scope.name = unique("library"), unique("logger")
    for _ in range(SPANS):
        scope_spans.spans.add(
            trace_id=b"span" + PLACE, span_id=os.urandom(8), name=unique("GET"), kind=2, start_time_unix_nano=now,
            end_time_unix_nano=now + 1_000_000,
            attributes=attributes({"http.route": unique("/users"), unique("key"): unique("value")}),
        )  # fmt: skip
    for _ in range(RECORDS):
        scope_logs.log_records.add(
            time_unix_nano=now, trace_id=b"logs" + PLACE, span_id=os.urandom(8),
            body=AnyValue(string_value=unique("message")), attributes=attributes({unique("key"): unique("value")}),
        )  # fmt: skip
    for _ in range(SERIES):
        metric = scope_metrics.metrics.add(name=unique("metric"), unit=unique("unit"), description=unique("words"))
        point = metric.sum.data_points.add(as_int=1, time_unix_nano=now)
        point.attributes.extend(attributes({unique("key"): unique("value")}))
        point.exemplars.add(as_int=1, time_unix_nano=now, trace_id=b"exem" + PLACE, span_id=os.urandom(8))
    messages = {"traces": spans, "logs": logs, "metrics": metrics}
    return {signal: message.SerializeToString() for signal, message in messages.items()}


def look(url: str) -> None:
    """Open every page once."""
    for page in PAGES:
        assert request(url + page, headers={"Accept": "text/html"}).status == 200, page


def soak(urls: dict[str, str], process: psutil.Process, seconds: float, rate: float) -> dict[str, Any]:
    """Send and look for that long; what arrived, and the highest and the last memory in MiB."""
    begin = looked = time.monotonic()
    memory = [process.memory_info().rss >> 20]
    watching: Future[None] | None = None
    sent, requests = 0, templates()
    with ThreadPoolExecutor(1) as pool:
        while time.monotonic() - begin < seconds:
            for signal, template in requests.items():
                assert post(f"{urls['OTLP/HTTP']}/v1/{signal}", fresh(template)).status == 200
            sent += SPANS
            if time.monotonic() - looked > LOOK_SECONDS:
                looked, requests = time.monotonic(), templates()
                memory.append(process.memory_info().rss >> 20)
                if watching is None or watching.done():
                    if watching is not None:
                        watching.result()
                    watching = pool.submit(look, urls["Console"])
            time.sleep(max(begin + sent / rate - time.monotonic(), 0))
        elapsed = time.monotonic() - begin
    summary = request(f"{urls['Console']}/api/summary").json
    arrived = summary["modes"]["collector"]["spans"]
    status = Path(f"/proc/{process.pid}/status").read_text()
    return {
        "seconds": round(elapsed),
        "spans_per_second": round(arrived / elapsed),
        "lost": sent - arrived,
        "kept": {name: kept["records"] for name, kept in summary["retained"].items()},
        "evicted": {name: kept["evicted"] for name, kept in summary["retained"].items()},
        "memory_mib": {
            "start": memory[0],
            "half": memory[len(memory) // 2],
            "end": process.memory_info().rss >> 20,
            "peak": int(status.partition("VmHWM:")[2].split()[0]) >> 10,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="(default: 300)")
    parser.add_argument("--rate", type=float, default=5000.0, help="spans per second (default: 5000)")
    parser.add_argument("--most-mib", type=int, default=MOST_MIB, help=f"the most memory (default: {MOST_MIB})")
    options = parser.parse_args()
    with console() as (urls, process):
        result = soak(urls, psutil.Process(process), options.seconds, options.rate)
    print(json.dumps(result, indent=2))
    if result["memory_mib"]["peak"] > options.most_mib or result["spans_per_second"] < 0.95 * options.rate:
        sys.exit(f"more than {options.most_mib} MiB, or less than {options.rate:.0f} spans per second")


if __name__ == "__main__":
    main()
