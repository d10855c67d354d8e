"""The store's memory: whatever is sent, all that is kept of it is charged, and the charges stay within the limits."""

import gc
import gzip
import itertools
import multiprocessing
import os
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from telemetry.tools.console.receiving.ingest import SIGNALS
from telemetry.tools.console.storage.retention import MEBIBYTE, Limits, SignalLimits
from telemetry.tools.console.storage.store import Store
from tests.benchmarks.pages import console as running_console
from tests.benchmarks.soak import MOST_MIB, soak
from tests.tools.console.client import JSON, PROTOBUF, attributes, logs, post, requests_total, resource, traces

LIMIT = MEBIBYTE // 4
#: What a store takes beyond its limits: requests over time by mode, and the reports of the newest workers.
FIXED = {
    "spans of many services": MEBIBYTE * 5 // 16,
    "spans of many modes": 4 * MEBIBYTE,
    "starts of many workers": 4 * MEBIBYTE,
}
NUMBERS = itertools.count(1)

Sender = Callable[[Store], None]


def unique(length: int = 0) -> str:
    """A text that has not been used yet."""
    return f"{next(NUMBERS):x}".ljust(length, "x")


def take(store: Store, signal: str, message: Any) -> None:
    SIGNALS[signal].ingest(store, message.SerializeToString(), 0)


def ids() -> list[tuple[str, str]]:
    return [(f"{next(NUMBERS):032x}", f"{next(NUMBERS):016x}")]


def put(message: Any, name: str, value: Any) -> bool:
    """Set a field within an expression."""
    setattr(message, name, value)
    return True


def spans(**values: Callable[[], Any]) -> Sender:
    """Sends spans with these values, each in a trace of its own."""

    def send(store: Store) -> None:
        take(store, "traces", traces(ids(), **{name: value() for name, value in values.items()}))

    return send


def spans_from(change: Callable[[Any], object]) -> Sender:
    """Sends spans from senders that differ."""

    def send(store: Store) -> None:
        message = traces(ids())
        change(message.resource_spans[0])
        take(store, "traces", message)

    return send


def records(change: Callable[[Any], object]) -> Sender:
    """Sends log records from senders that differ."""

    def send(store: Store) -> None:
        message = logs(1)
        change(message.resource_logs[0])
        take(store, "logs", message)

    return send


def points(change: Callable[[Any], object]) -> Sender:
    """Sends points of histograms that differ."""

    def send(store: Store) -> None:
        message = requests_total(1, time_ns=next(NUMBERS), route="/")
        change(message.resource_metrics[0])
        take(store, "metrics", message)

    return send


def scrapes(line: Callable[[], str]) -> Sender:
    """Sends scraped samples."""

    def send(store: Store) -> None:
        parse: Any = text_string_to_metric_families
        store.add_samples("direct", parse(line() + "\n# EOF\n"), next(NUMBERS))

    return send


def many_attributes() -> list[Any]:
    return attributes({unique(): "" for _ in range(100)})


def exemplars(sent: Any) -> None:
    point = sent.scope_metrics[0].metrics[0].histogram.data_points[0]
    for _ in range(50):
        point.exemplars.add(trace_id=os.urandom(16), span_id=os.urandom(8), as_double=1.0)


def scraped_exemplar() -> str:
    labels = f'trace_id="{next(NUMBERS):032x}",span_id="{next(NUMBERS):016x}",x="{unique(40)}"'
    return f'# TYPE a histogram\na_bucket{{le="+Inf"}} 1 # {{{labels}}} 1\na_count 1\na_sum 1'


SENDERS: dict[str, Sender] = {
    "spans": spans(),
    "spans with names": spans(name=lambda: unique(50)),
    "spans with long names": spans(name=lambda: unique(5000)),
    "spans with wide characters": spans(name=lambda: unique(2000) + "\N{GRINNING FACE}"),
    "spans with routes": spans(attributes=lambda: attributes({"http.route": unique(300)})),
    "spans with attributes": spans(attributes=many_attributes),
    "spans with links": spans(links=lambda: [Span.Link(trace_id=os.urandom(16), span_id=os.urandom(8))]),
    "spans of many services": spans(service=lambda: unique(200)),
    "spans of many modes": spans(mode=lambda: unique(5000)),
    "spans of many resources": spans_from(lambda sent: sent.resource.attributes.extend(many_attributes())),
    "spans of large resources": spans_from(
        lambda sent: sent.resource.attributes.extend(attributes({"x": unique(9999)}))
    ),
    "spans of many scopes": spans_from(lambda sent: put(sent.scope_spans[0].scope, "name", unique(5000))),
    "spans with schemas": spans_from(lambda sent: put(sent, "schema_url", unique(5000))),
    "log records": records(lambda _: None),
    "log records of many traces": records(
        lambda sent: put(sent.scope_logs[0].log_records[0], "trace_id", os.urandom(16))
    ),
    "log records of many loggers": records(lambda sent: put(sent.scope_logs[0].scope, "name", unique(300))),
    "log records of many resources": records(lambda sent: sent.resource.attributes.extend(many_attributes())),
    "starts of many workers": records(
        lambda sent: (
            put(sent.scope_logs[0].scope, "name", "telemetry.server"),
            put(sent.scope_logs[0].log_records[0].body, "string_value", "Starting"),
            sent.resource.attributes.extend(attributes({"service.instance.id": unique(5000)})),
            sent.scope_logs[0].log_records[0].attributes.extend(attributes({"x": unique(5000)})),
        )
    ),
    "points": points(lambda _: None),
    "points of many metrics": points(lambda sent: put(sent.scope_metrics[0].metrics[0], "name", unique(300))),
    "points with units": points(
        lambda sent: (
            put(sent.scope_metrics[0].metrics[0], "name", unique()),
            put(sent.scope_metrics[0].metrics[0], "unit", unique(5000)),
        )
    ),
    "points with descriptions": points(
        lambda sent: (
            put(sent.scope_metrics[0].metrics[0], "name", unique()),
            put(sent.scope_metrics[0].metrics[0], "description", unique(5000)),
        )
    ),
    "points with exemplars": points(exemplars),
    "points of many routes": points(
        lambda sent: sent.scope_metrics[0]
        .metrics[0]
        .histogram.data_points[0]
        .attributes.extend(attributes({unique(): unique(500)}))
    ),
    "points of many scopes": points(lambda sent: put(sent.scope_metrics[0].scope, "name", unique(5000))),
    "points of many workers": points(
        lambda sent: sent.resource.attributes.extend(attributes({"service.instance.id": unique(5000)}))
    ),
    "points of many resources": points(
        lambda sent: sent.resource.CopyFrom(resource(instance="")) or sent.resource.attributes.extend(many_attributes())
    ),
    "reasons of losses": points(
        lambda sent: (
            put(sent.scope_metrics[0].metrics[0], "name", "otel.sdk.processor.span.processed"),
            sent.scope_metrics[0].metrics[0].sum.data_points.add(
                as_int=1, attributes=attributes({"error.type": unique(5000)})
            ),
        )
    ),
    "samples": scrapes(lambda: "a 1"),
    "samples with labels": scrapes(lambda: f'a{{x="{unique(500)}"}} 1'),
    "samples with names": scrapes(lambda: f"a{unique(500)} 1"),
    "samples with descriptions": scrapes(lambda: f"# HELP a{unique()} {unique(5000)}\na{unique()} 1"),
    "samples of services": scrapes(lambda: f'a{{service_name="{unique(500)}",export_mode="{unique(500)}"}} 1'),
    "samples with exemplars": scrapes(scraped_exemplar),
}  # fmt: skip


def measured(name: str) -> tuple[int, int]:
    """Return the bytes that a store says it keeps, and those that it takes, when it has evicted what `name` sends."""
    send = SENDERS[name]
    limit = SignalLimits(1_000_000, LIMIT)
    store = Store(Limits(spans=limit, logs=limit, points=limit))
    send(store)  # what is made once, with the first record, is no part of the measurement
    gc.freeze()  # what this process holds of all other tests takes longer to search than all that is sent here
    tracemalloc.start()
    while not any(kept.evicted for kept in store.retained().values()):
        send(store)
    for _ in range(300 if name in FIXED else 100):
        send(store)
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return max(kept.bytes for kept in store.retained().values()), taken


@pytest.fixture(scope="module")
def child() -> Iterator[ProcessPoolExecutor]:
    """A process in which no thread of another test's servers allocates, too."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as process:
        yield process


@pytest.mark.parametrize("name", SENDERS)
def test_store_stays_within_its_limits(child: ProcessPoolExecutor, name: str) -> None:
    kept, taken = child.submit(measured, name).result()
    assert LIMIT // 2 < kept <= LIMIT
    assert taken <= LIMIT + FIXED.get(name, LIMIT // 4)


def two_bytes(field: int) -> bytes:
    """An empty message in that field."""
    return bytes([field << 3 | 2, 0])


def inside(field: int, body: bytes) -> bytes:
    """A message in that field."""
    length, encoded = len(body), bytearray([field << 3 | 2])
    while length > 127:
        encoded.append(length & 127 | 128)
        length >>= 7
    return bytes([*encoded, length]) + body


MANY = 1_900_000
#: What a console may need at once for one request of 4 MiB.
MOST_GROWTH = 100 * MEBIBYTE
BOMBS = {
    "resources": ("traces", two_bytes(1) * MANY),
    "scopes": ("traces", inside(1, two_bytes(2) * MANY)),
    "spans": ("traces", inside(1, inside(2, two_bytes(2) * MANY))),
    "attributes of a span": ("traces", inside(1, inside(2, inside(2, two_bytes(9) * MANY)))),
    "events of spans": ("traces", inside(1, inside(2, inside(2, two_bytes(11) * 100_000) * 18))),
    "attributes of a resource": ("traces", inside(1, inside(1, two_bytes(1) * MANY))),
    "log records": ("logs", inside(1, inside(2, two_bytes(2) * MANY))),
    "values of a log record": ("logs", inside(1, inside(2, inside(2, inside(5, inside(5, two_bytes(1) * MANY)))))),
    "metrics": ("metrics", inside(1, inside(2, two_bytes(2) * MANY))),
    "points": ("metrics", inside(1, inside(2, inside(2, inside(1, b"a") + inside(9, two_bytes(1) * MANY))))),
    "exemplars of points": (
        "metrics", inside(1, inside(2, inside(2, inside(1, b"a") + inside(9, inside(1, two_bytes(8) * 100_000) * 18)))),
    ),
    "JSON objects": ("traces", b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * 1_300_000 + b"{}]}]}]}"),
    "JSON lists": ("traces", b"[" + b"[]," * 1_300_000 + b"[]]"),
}  # fmt: skip


class Receiving:
    """A console that runs alone."""

    def __init__(self, urls: dict[str, str], process: int) -> None:
        self.urls = urls
        self._status = Path(f"/proc/{process}/status")
        self._begin = self._peak()

    def _peak(self) -> int:
        return int(self._status.read_text().partition("VmHWM:")[2].split()[0]) * 1024

    @property
    def growth(self) -> int:
        """By how much the most memory that it ever had exceeds what it had at the start (bytes)."""
        return self._peak() - self._begin


@pytest.fixture(scope="module")
def receiving() -> Iterator[Receiving]:
    with running_console() as (urls, process):
        yield Receiving(urls, process)


@pytest.mark.parametrize("name", BOMBS)
def test_request_is_bounded_before_it_is_decoded(receiving: Receiving, name: str) -> None:
    signal, body = BOMBS[name]
    kind = JSON if name.startswith("JSON") else PROTOBUF
    answer = post(f"{receiving.urls['OTLP/HTTP']}/v1/{signal}", gzip.compress(body), kind, Content_Encoding="gzip")
    assert answer.status in {200, 413}
    if answer.status == 200:
        assert b"larger than 262144 bytes" in answer.body or name.endswith(("s of spans", "s of points"))
    assert receiving.growth < MOST_GROWTH


def test_gzip_of_many_members_is_bounded(receiving: Receiving) -> None:
    answer = post(f"{receiving.urls['OTLP/HTTP']}/v1/traces", gzip.compress(b"") * 100_000, Content_Encoding="gzip")
    assert answer.status == 200
    assert receiving.growth < MOST_GROWTH


def test_compressed_grpc_request_is_bounded(receiving: Receiving) -> None:
    with grpc.insecure_channel(receiving.urls["OTLP/gRPC"].removeprefix("http://")) as channel:
        export = channel.unary_unary(f"/{SIGNALS['traces'].grpc_service}/Export", None, None)
        with pytest.raises(grpc.RpcError) as caught:
            export(BOMBS["spans"][1] * 10, timeout=30, compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert receiving.growth < MOST_GROWTH


def test_console_takes_little_memory_for_what_does_not_repeat() -> None:
    with running_console() as (urls, process):
        result = soak(urls, psutil.Process(process), seconds=5, rate=5000)
    assert result["lost"] == 0
    assert min(result["kept"].values()) > 0
    # Five seconds fill less than half of the store.
    assert result["memory_mib"]["peak"] <= MOST_MIB // 2
