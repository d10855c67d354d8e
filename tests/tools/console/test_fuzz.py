"""No record breaks a page: whatever the receiver accepts, every page and every link on it answers 200."""

import html
import io
import re
import struct
import time
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from prometheus_client import Metric
from prometheus_client.samples import Exemplar, Sample

from telemetry.tools.console.application import ConsoleApplication
from telemetry.tools.console.receiving.ingest import SIGNALS
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.retention import Limits
from tests.tools.console.client import SPAN_ID, TRACE_ID

STARTS = (
    "/", "/?window=30", "/traces", "/traces?status=failed", "/traces?q=a&min_ms=1", "/metrics", "/metrics?text=a",
    "/logs", "/logs?q=a", "/modes", "/api/", "/api/summary", "/api/traces", "/api/metrics", "/api/logs",
)  # fmt: skip
LINK = re.compile(r'href="([^"]*)"')
PAGES = 80
NOW = time.time_ns()


class Site:
    """A console without sockets."""

    def __init__(self, limits: Limits | None = None) -> None:
        console = Console(limits=limits or Limits())
        self.store, self.receiver = console.store, console.receiver
        self._application = ConsoleApplication(console)

    def send(self, signal: str, message: Any) -> None:
        data: bytes = message.SerializeToString()
        self.receiver.receive(SIGNALS[signal], "grpc", lambda: data)

    def get(self, address: str) -> tuple[int, str]:
        path, _, query = address.partition("?")
        statuses: list[str] = []
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": unquoted(path), "QUERY_STRING": query, "SCRIPT_NAME": "",
            "HTTP_HOST": "127.0.0.1", "HTTP_ACCEPT": "text/html", "wsgi.input": io.BytesIO(), "SERVER_NAME": "x",
            "SERVER_PORT": "80", "wsgi.url_scheme": "http",
        }  # fmt: skip

        def start(status: str, *_: Any) -> Any:
            statuses.append(status)

        body = b"".join(self._application(environ, start))
        return int(statuses[0][:3]), body.decode()

    def check(self) -> None:
        """Open every page and what it links to."""
        waiting, seen = list(STARTS), set(STARTS)
        for address in waiting:
            status, body = self.get(address)
            trace = re.match("/traces/([0-9a-f]{32})", address)
            if trace is None or self.store.stored_traces(trace[1]):
                assert status == 200, address
            else:
                assert status in {200, 404}, address
            for link in map(html.unescape, LINK.findall(body)):
                target = link.partition("#")[0]
                if target.startswith("/") and not target.startswith("/assets") and target not in seen:
                    seen.add(target)
                    waiting.append(target)
            if len(waiting) > PAGES:
                break


def unquoted(path: str) -> str:
    """A path as a server hands it over: its bytes as Latin-1."""
    return unquote_to_bytes(path).decode("latin-1")


TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", ".", "..", "a\nb", "a/b", "/", "//", "?", "%", "\0", "\x1b", "a b", "{x}", "<", "\U0001f600"]),
    st.sampled_from(["http.server.request.duration", "export.mode", "service.name", "le", "mode", "collector"]),
)
NAMES = st.one_of(
    TEXTS,
    st.sampled_from(["telemetry.server", "otel.sdk.processor.span.processed", "http_server_request_duration_seconds"]),
)
IDS = st.sampled_from([b"", b"\0", bytes(16), bytes(8), bytes.fromhex(TRACE_ID), bytes.fromhex(SPAN_ID), b"x" * 17])
LONG = st.sampled_from([0, 1, NOW - 10**9, NOW, NOW + 10**12, 2**63 - 1, 2**64 - 1])
FLOATS = st.one_of(
    st.floats(), st.sampled_from([0.0, -0.0, 1.0, -5.0, 1e308, -1e308, 5e-324, float("nan"), float("inf")])
)
ENUMS = st.sampled_from([0, 1, 2, 3, 5, 9, 17, 99, -1])
SMALL = st.integers(0, 3)
COUNTS = st.sampled_from([0, 1, 7, 2**32, 2**64 - 1])


def any_value(draw: Any, depth: int = 0) -> AnyValue:
    kind = draw(st.integers(0, 6 if depth < 3 else 4))
    value = AnyValue()
    if kind == 1:
        value.string_value = draw(TEXTS)
    elif kind == 2:
        value.int_value = draw(st.sampled_from([0, 1, 404, -(2**63), 2**63 - 1]))
    elif kind == 3:
        value.double_value = draw(FLOATS)
    elif kind == 4:
        value.bytes_value = draw(st.binary(max_size=4))
    elif kind == 5:
        value.array_value.values.extend(any_value(draw, depth + 1) for _ in range(draw(SMALL)))
    elif kind == 6:
        value.kvlist_value.values.extend(key_values(draw, depth + 1))
    return value


def key_values(draw: Any, depth: int = 0) -> list[KeyValue]:
    keys = st.one_of(TEXTS, st.sampled_from(["http.route", "http.response.status_code", "error.type"]))
    return [KeyValue(key=draw(keys), value=any_value(draw, depth)) for _ in range(draw(SMALL))]


def around(draw: Any, message: Any, field: str) -> Any:
    """The scope's part of a request, below a resource and a scope."""
    outer = getattr(message, f"resource_{field}").add()
    outer.resource.attributes.extend(key_values(draw))
    if draw(st.booleans()):
        mode = draw(st.one_of(TEXTS, st.sampled_from(["collector", "direct"])))
        outer.resource.attributes.add(key="export.mode", value=AnyValue(string_value=mode))
    inner = getattr(outer, f"scope_{field}").add()
    inner.scope.name = draw(NAMES)
    return inner


@st.composite
def spans(draw: Any) -> Any:
    message = ExportTraceServiceRequest()
    for _ in range(draw(SMALL)):
        scope = around(draw, message, "spans")
        for _ in range(draw(st.integers(1, 3))):
            span = scope.spans.add(
                trace_id=draw(st.sampled_from([bytes.fromhex(TRACE_ID), b"y" * 16])),
                span_id=draw(st.binary(min_size=8, max_size=8)),
                parent_span_id=draw(IDS), name=draw(TEXTS), kind=draw(ENUMS), start_time_unix_nano=draw(LONG),
                end_time_unix_nano=draw(LONG), attributes=key_values(draw),
            )  # fmt: skip
            span.status.code, span.status.message = draw(ENUMS), draw(TEXTS)
            for _ in range(draw(SMALL)):
                span.events.add(name=draw(TEXTS), time_unix_nano=draw(LONG), attributes=key_values(draw))
                span.links.add(trace_id=draw(IDS), span_id=draw(IDS), attributes=key_values(draw))
    return message


@st.composite
def logs(draw: Any) -> Any:
    message = ExportLogsServiceRequest()
    for _ in range(draw(SMALL)):
        scope = around(draw, message, "logs")
        for _ in range(draw(st.integers(1, 3))):
            record = scope.log_records.add(
                time_unix_nano=draw(LONG), observed_time_unix_nano=draw(LONG), severity_number=draw(ENUMS),
                severity_text=draw(TEXTS), event_name=draw(TEXTS), trace_id=draw(IDS), span_id=draw(IDS),
                attributes=key_values(draw),
            )  # fmt: skip
            if draw(st.booleans()):
                record.body.CopyFrom(any_value(draw))
            if draw(st.booleans()):
                record.body.string_value = "Starting"
    return message


@st.composite
def metrics(draw: Any) -> Any:
    message = ExportMetricsServiceRequest()
    names = draw(st.lists(NAMES, min_size=1, max_size=2))
    for _ in range(draw(st.integers(1, 3))):
        scope = around(draw, message, "metrics")
        for _ in range(draw(st.integers(1, 2))):
            unit = draw(st.sampled_from(["", "s", "By", "1", "\n"]))
            metric = scope.metrics.add(name=draw(st.sampled_from(names)), unit=unit, description=draw(TEXTS))
            kind = draw(st.sampled_from(["gauge", "sum", "histogram", "exponential_histogram", "summary"]))
            data = getattr(metric, kind)
            if kind not in {"gauge", "summary"}:
                data.aggregation_temporality = draw(ENUMS)
            if kind == "sum":
                data.is_monotonic = draw(st.booleans())
            for _ in range(draw(st.integers(1, 4))):
                add_point(draw, data, kind)
    return message


def add_point(draw: Any, data: Any, kind: str) -> None:
    point = data.data_points.add(
        time_unix_nano=draw(LONG), start_time_unix_nano=draw(LONG), attributes=key_values(draw)
    )
    if kind in {"gauge", "sum"}:
        if draw(st.booleans()):
            point.as_double = draw(FLOATS)
        else:
            point.as_int = draw(st.sampled_from([0, -1, 2**63 - 1]))
    else:
        point.count, point.sum = draw(COUNTS), draw(FLOATS)
    if kind == "histogram":
        point.explicit_bounds.extend(draw(st.lists(FLOATS, max_size=4)))
        point.bucket_counts.extend(draw(st.lists(COUNTS, max_size=5)))
    elif kind == "exponential_histogram":
        point.scale = draw(st.sampled_from([-2000, -11, 0, 3, 20, 2000, 2**31 - 1, -(2**31)]))
        point.zero_count = draw(COUNTS)
        for side in (point.positive, point.negative):
            side.offset = draw(st.sampled_from([-(2**31), -10, 0, 10, 2**31 - 1]))
            side.bucket_counts.extend(draw(st.lists(COUNTS, max_size=4)))
    elif kind == "summary":
        point.quantile_values.add(quantile=draw(FLOATS), value=draw(st.floats(0)))
        return
    for _ in range(draw(SMALL)):
        point.exemplars.add(
            as_double=draw(FLOATS), time_unix_nano=draw(LONG), trace_id=draw(IDS), span_id=draw(IDS),
            filtered_attributes=key_values(draw),
        )  # fmt: skip


@st.composite
def families(draw: Any) -> list[Metric]:
    found = []
    for _ in range(draw(SMALL)):
        kind = draw(st.sampled_from(["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "unknown"]))
        family = Metric(draw(st.one_of(NAMES, st.just("a"))) or "a", draw(TEXTS), kind)
        for _ in range(draw(st.integers(1, 4))):
            suffix = draw(st.sampled_from(["", "_bucket", "_sum", "_count", "_total", "_created"]))
            labels = {draw(NAMES): draw(TEXTS) for _ in range(draw(SMALL))}
            if draw(st.booleans()):
                labels["le"] = draw(st.sampled_from(["0.1", "1", "+Inf", "NaN", "x", ""]))
            exemplar = None
            if draw(st.booleans()):
                ids = {
                    "trace_id": draw(st.one_of(TEXTS, st.just(TRACE_ID))),
                    "span_id": draw(st.one_of(TEXTS, st.just(SPAN_ID))),
                }
                exemplar = Exemplar(ids, draw(FLOATS), draw(st.one_of(st.none(), FLOATS)))
            family.samples.append(Sample(f"{family.name}{suffix}", labels, draw(FLOATS), None, exemplar))
        found.append(family)
    return found


@given(st.data())
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # a request is long in words
def test_every_page_answers_whatever_was_accepted(data: Any) -> None:
    site = Site()
    site.send("traces", data.draw(spans(), "spans"))
    site.send("logs", data.draw(logs(), "logs"))
    for _ in range(2):
        site.send("metrics", data.draw(metrics(), "metrics"))
    scraped = data.draw(families(), "families")
    for seconds in (30, 0):
        site.store.add_samples("direct", scraped, NOW - seconds * 10**9)
    site.check()


def metric_message(name: str, kind: str, *values: float) -> Any:
    """Points of that kind, some seconds apart."""
    message = ExportMetricsServiceRequest()
    metric: Any = message.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    for index, value in enumerate(values):
        at = time.time_ns() - (len(values) - index) * 10**9
        if kind == "histogram":
            metric.histogram.data_points.add(count=int(value), time_unix_nano=at, bucket_counts=[int(value)])
        else:
            getattr(metric, kind).data_points.add(as_double=value, time_unix_nano=at)
    return message


def test_name_with_a_line_break_has_a_page() -> None:
    site = Site()
    for name in ("a\nb", "a/../b", "\n", "//", "a?b#c%d", "ü\U0001f600\0"):
        site.send("metrics", metric_message(name, "gauge", 1.0))
    site.check()
    assert site.get("/metrics/a%0Ab")[0] == 200


@pytest.mark.parametrize("values", [(1e308, 5e-324), (5e-324, 5e-324), (-1e308, 1e308), (1e308,) * 5, (-1.0, -2.0)])
def test_gauges_of_any_size_are_drawn(values: tuple[float, ...]) -> None:
    site = Site()
    site.send("metrics", metric_message("a", "gauge", *values))
    site.check()
    assert "<svg" in site.get("/metrics/a")[1]


def test_link_without_a_trace_id_is_no_link() -> None:
    site = Site()
    message = ExportTraceServiceRequest()
    span: Any = message.resource_spans.add().scope_spans.add().spans.add(
        trace_id=bytes.fromhex(TRACE_ID), span_id=bytes.fromhex(SPAN_ID)
    )  # fmt: skip
    span.links.add()
    site.send("traces", message)
    status, body = site.get(f"/traces/{TRACE_ID}")
    assert status == 200
    assert "a trace without a valid id" in body


def test_one_name_of_two_shapes_has_a_page() -> None:
    site = Site()
    for kinds in (("gauge", "histogram"), ("histogram", "sum")):
        for kind in kinds:
            site.send("metrics", metric_message("-".join(kinds), kind, 1.0, 2.0))
    site.check()


def test_more_modes_than_are_counted_have_their_pages() -> None:
    site = Site()
    for number in range(100):
        message = ExportTraceServiceRequest()
        outer = message.resource_spans.add()
        outer.resource.attributes.add(key="export.mode", value=AnyValue(string_value=f"mode {number}"))
        outer.scope_spans.add().spans.add(trace_id=struct.pack(">QQ", 1, number), span_id=bytes.fromhex(SPAN_ID))
        site.send("traces", message)
    site.check()
