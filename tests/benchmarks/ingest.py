"""How much the console's ingestion costs: `python -m tests.benchmarks.ingest [--rate SPANS/S] [--seconds S]`.

Prints, as JSON: spans per CPU second of decoding and storing alone; then, with a real sender in a process of its own at
a fixed rate, the share of one core that the receiving process uses for each protocol (transport included), and the
latency of API pages meanwhile, with a store that is full.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import grpc
from django.conf import settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from telemetry.tools.console.receiving.ingest import SIGNALS
from telemetry.tools.console.receiving.receiver import Receiver
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.store import Store
from tests.tools.console.client import attributes, request

TRACES = SIGNALS["traces"]
BATCH = 512
SPANS_PER_TRACE = 4
PROTOCOLS = ("grpc", "http", "http-gzip")
PAGES = ("/api/summary", "/api/traces?limit=50", "/api/traces?limit=50&mode=direct", "/api/logs?limit=50")


def batch() -> bytes:
    """One request of BATCH spans as the service sends them, with new ids."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource = {
        "service.name": "user-api",
        "service.version": "0.1.0",
        "service.instance.id": "bf5ac0d9-8b2a-5c16-a3f4-9d3c7f9f2f11",
        "deployment.environment.name": "benchmark",
        "export.mode": "collector",
    }
    resource_spans.resource.attributes.extend(attributes(resource))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "opentelemetry.instrumentation.django"
    now = time.time_ns()
    values = attributes({f"http.attribute.{index}": f"value {index}" for index in range(10)})
    for number in range(BATCH):
        if number % SPANS_PER_TRACE == 0:
            trace_id, parent = os.urandom(16), b""
        span = scope_spans.spans.add(
            trace_id=trace_id, span_id=os.urandom(8), parent_span_id=parent, name="GET users/<str:pk>",
            kind=3 if parent else 2, start_time_unix_nano=now, end_time_unix_nano=now + 3_000_000,
        )  # fmt: skip
        parent = parent or span.span_id
        span.attributes.extend(values)
    return request.SerializeToString()


def take(receiver: Receiver, data: bytes) -> None:
    receiver.receive(TRACES, "grpc", lambda: data)


def decode_and_store(seconds: float) -> dict[str, float]:
    """Spans per CPU second without transport, and the memory per stored span against what the store believes."""
    receiver = Receiver(Store())
    batches = [batch() for _ in range(200)]
    tracemalloc.start()
    kept = batches[:20]
    before = tracemalloc.get_traced_memory()[0]
    sample = Receiver(Store())
    for data in kept:
        take(sample, data)
    per_span = (tracemalloc.get_traced_memory()[0] - before) / (len(kept) * BATCH)
    tracemalloc.stop()
    retained = sample.store.retained()["spans"]
    cpu = time.process_time()
    stored = 0
    for data in batches:
        take(receiver, data)
        stored += BATCH
        if time.process_time() - cpu > seconds:
            break
    return {
        "spans_per_cpu_second": round(stored / (time.process_time() - cpu)),
        "memory_per_span_bytes": round(per_span),
        "accounted_per_span_bytes": round(retained.bytes / retained.records),
    }


def paced(rate: float, seconds: float) -> Iterator[bytes]:
    """Batches at a fixed rate of spans per second, made before they are due."""
    begin = time.monotonic()
    for number in range(int(rate * seconds / BATCH)):
        data = batch()
        time.sleep(max(begin + number * BATCH / rate - time.monotonic(), 0))
        yield data


def send(protocol: str, endpoint: str, rate: float, seconds: float) -> None:
    """The sender's process."""
    if protocol == "grpc":
        with grpc.insecure_channel(endpoint.removeprefix("http://")) as channel:
            export = channel.unary_unary(f"/{TRACES.grpc_service}/Export", None, None)
            for data in paced(rate, seconds):
                export(data, timeout=10)
        return
    headers = {"Content-Type": "application/x-protobuf"} | (
        {"Content-Encoding": "gzip"} if protocol == "http-gzip" else {}
    )
    for data in paced(rate, seconds):
        body = gzip.compress(data, 1) if protocol == "http-gzip" else data
        request(f"{endpoint}/v1/traces", "POST", body, headers)


def receive(console: Console, protocol: str, rate: float, seconds: float) -> dict[str, Any]:
    """The receiving process while one sender sends."""
    endpoint = console.grpc_endpoint if protocol == "grpc" else console.http_endpoint
    command = [sys.executable, "-m", "tests.benchmarks.ingest", "--rate", str(rate), "--seconds", str(seconds)]
    before = console.store.mode("collector").spans
    with subprocess.Popen([*command, "--send", protocol, endpoint]) as sender:
        console.store.wait_for(lambda store: store.mode("collector").spans > before, 30)
        cpu, clock = time.process_time(), time.monotonic()
        latencies: dict[str, list[float]] = {page: [] for page in PAGES}
        quiet_until = clock + seconds / 2
        while sender.poll() is None and time.monotonic() < quiet_until:
            time.sleep(0.05)
        share = (time.process_time() - cpu) / (time.monotonic() - clock)
        while sender.poll() is None:
            for page, measured in latencies.items():
                begin = time.perf_counter()
                request(console.url + page)
                measured.append((time.perf_counter() - begin) * 1000)
            time.sleep(0.05)
    return {
        "arrived_spans": console.store.mode("collector").spans - before,
        "cores": round(share, 3),
        "p95_ms": {page: round(statistics.quantiles(times, n=20)[-1], 1) for page, times in latencies.items() if times},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=5000.0, help="spans per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each protocol")
    parser.add_argument("--send", nargs=2, metavar=("PROTOCOL", "ENDPOINT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        protocol, endpoint = options.send
        send(protocol, endpoint, options.rate, options.seconds)
        return
    settings.configure()
    result: dict[str, Any] = {"decode_and_store": decode_and_store(options.seconds), "rate": options.rate}
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        while not console.store.retained()["spans"].evicted:
            take(console.receiver, batch())
        for protocol in PROTOCOLS:
            result[protocol] = receive(console, protocol, options.rate, options.seconds)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
