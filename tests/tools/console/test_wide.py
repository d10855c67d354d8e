"""Pages and API answer in time for thousands of whatever can be sent in a few requests: nothing is quadratic."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from telemetry.tools.console.counting.counts import OTLP_METRIC
from tests.support.speed import is_within
from tests.tools.console.client import attributes, logs, resource, traces
from tests.tools.console.test_fuzz import Site

MANY = 3000
TRACE = "ab" * 16
#: Seconds of CPU time of the thread that answers, which other work on the machine does not lengthen much.
MOST_SECONDS = 1.0
PAGES = (
    "/", "/traces", "/traces?limit=500&sort=duration", "/traces?q=a%3E5", f"/traces/{TRACE}", "/metrics",
    "/metrics?mode=m1", "/metrics/load", "/metrics/load?by=x7&mode=m7", f"/metrics/{OTLP_METRIC}?window=30",
    f"/metrics/{OTLP_METRIC}?by=http.route", "/logs?limit=500", f"/logs?trace_id={TRACE}", "/modes",
    "/api/summary", "/api/services", "/api/traces?limit=1000", f"/api/traces/{TRACE}", "/api/metrics",
    "/api/metrics/load", f"/api/metrics/{OTLP_METRIC}", "/api/logs?limit=1000", "/api/modes", "/api/calls",
)  # fmt: skip
MESSAGES = {
    "traces": ExportTraceServiceRequest, "logs": ExportLogsServiceRequest, "metrics": ExportMetricsServiceRequest
}  # fmt: skip


def ids(count: int = MANY, trace: str | None = TRACE) -> list[tuple[str, str]]:
    """Ids of spans, of one trace or each of its own."""
    return [(trace or f"{number:032x}", f"{number:016x}") for number in range(1, count + 1)]


def spans(*several: Any) -> dict[str, Any]:
    return {"traces": several}


def senders(modes: int = 1, services: int = 1, scopes: int = 1, resources: int = 1) -> dict[str, Any]:
    """A span, a log record and a gauge of each of many senders, and a histogram."""
    sent: dict[str, Any] = {signal: MESSAGES[signal]() for signal in MESSAGES}
    for number in range(max(modes, services, scopes, resources)):
        mode, service, instance = f"m{number % modes}", f"s{number % services}", f"i{number % resources}"
        values = {"resource": resource(mode, service, instance)}
        scope = {"name": f"scope {number % scopes}"}
        of_spans = sent["traces"].resource_spans.add(**values).scope_spans.add(scope=scope)
        of_spans.spans.add(
            trace_id=f"{number + 1:016d}".encode(), span_id=b"12345678", start_time_unix_nano=time.time_ns() - 10**10,
            end_time_unix_nano=time.time_ns() - 9 * 10**9, kind=2,
        )  # fmt: skip
        of_logs = sent["logs"].resource_logs.add(**values).scope_logs.add(scope=scope)
        of_logs.log_records.add(time_unix_nano=time.time_ns())
        for name in (OTLP_METRIC, "load"):
            of_metrics = sent["metrics"].resource_metrics.add(**values).scope_metrics.add(scope=scope)
            add_points(of_metrics.metrics.add(name=name), {})
    return {signal: parts(sent[signal]) for signal in MESSAGES}


def parts(message: Any) -> list[Any]:
    """The message in several, each of which is small enough."""
    [field] = message.DESCRIPTOR.fields
    several = list(getattr(message, field.name))
    return [type(message)(**{field.name: several[at : at + 4000]}) for at in range(0, len(several), 4000)]


def add_points(metric: Any, labels: dict[str, str], bounds: tuple[float, ...] = (0.1, 1.0)) -> None:
    """Two points of a series, before and after the edges of a chart's steps."""
    for seconds in (55, 5):
        at, values = time.time_ns() - seconds * 10**9, attributes(labels)
        times = {"time_unix_nano": at, "start_time_unix_nano": time.time_ns() - 10**12}
        if metric.name == OTLP_METRIC:
            metric.histogram.aggregation_temporality = 2
            point = metric.histogram.data_points.add(
                **times, attributes=values, count=100 - seconds, explicit_bounds=bounds,
                bucket_counts=[100 - seconds, *[0] * len(bounds)],
            )  # fmt: skip
            point.exemplars.add(trace_id=bytes.fromhex(TRACE), span_id=b"12345678", as_double=0.5, time_unix_nano=at)
        else:
            metric.gauge.data_points.add(**times, attributes=values, as_int=1)


def metrics(*several: tuple[str, dict[str, str], tuple[float, ...]]) -> dict[str, Any]:
    """Series of metrics: name, labels and bounds of each."""
    found = []
    for at in range(0, len(several), 4000):
        message = ExportMetricsServiceRequest()
        scope: Any = message.resource_metrics.add(resource=resource("m1")).scope_metrics.add()
        for name, labels, bounds in several[at : at + 4000]:
            add_points(scope.metrics.add(name=name), labels, bounds)
        found.append(message)
    return {"metrics": found}


def each_alone(**wide: list[dict[str, str]]) -> dict[str, Any]:
    return {"metrics": [found for labels in wide["labels"] for found in metrics(*both(labels))["metrics"]]}


def both(labels: dict[str, str], bounds: tuple[float, ...] = (0.1, 1.0)) -> list[Any]:
    return [(name, labels, bounds) for name in (OTLP_METRIC, "load")]


def chain() -> Any:
    """A trace as deep as it has spans."""
    message = traces(ids())
    for span in message.resource_spans[0].scope_spans[0].spans:
        number = int.from_bytes(span.span_id)
        span.parent_span_id = (number - 1).to_bytes(8) if number > 1 else b""
    return message


def linked(links: list[Any]) -> list[Any]:
    """Spans of other traces, with links to the trace."""
    several = [f"{number:032x}" for number in range(1, 21)]
    return [traces(ids(1)), *(traces([(each, "1" * 16)], links=links) for each in several)]


def link(trace_id: str = TRACE, span_id: bytes = b"12345678") -> Any:
    return Span.Link(trace_id=bytes.fromhex(trace_id), span_id=span_id)


def numbered(count: int, begin: str) -> dict[str, str]:
    return {f"{begin}{number}": "" for number in range(count)}


WIDE: dict[str, Callable[[], dict[str, Any]]] = {
    "modes": lambda: senders(modes=MANY),
    "modes and services": lambda: senders(modes=64, services=MANY),
    "services, scopes and resources": lambda: senders(services=MANY, scopes=MANY, resources=MANY),
    "modes of a few metrics": lambda: {
        "metrics": [message for _ in range(2) for message in senders(modes=MANY)["metrics"]]
    },
    "metrics": lambda: metrics(*((f"load{number}", {}, ()) for number in range(MANY))),
    "series": lambda: metrics(*(one for number in range(MANY) for one in both({"http.route": f"/{number}"}))),
    "label names": lambda: each_alone(labels=[numbered(MANY, f"x{number}") for number in range(6)]),
    "label names of series": lambda: metrics(*(one for number in range(MANY) for one in both({f"x{number}": "1"}))),
    "label values": lambda: each_alone(labels=[{"x7": f"{number}" + "v" * 200_000} for number in range(12)]),
    "bounds": lambda: metrics(
        *(
            (OTLP_METRIC, {"a": f"{number}"}, tuple(number + bound / 100 for bound in range(100)))
            for number in range(120)
        )
    ),
    "depth": lambda: spans(chain()),
    "width": lambda: spans(traces(ids(), parent_span_id=bytes(7) + b"\1")),
    "width of overlapping spans": lambda: spans(traces(ids(), start_time_unix_nano=1, end_time_unix_nano=10**18)),
    "spans that are their own parents": lambda: spans(traces(ids(), parent_span_id=b"no span!")),
    "statements": lambda: spans(
        traces(ids(), parent_span_id=bytes(7) + b"\1", attributes=attributes({"db.query.text": "SELECT 1 FROM a"}))
    ),
    "modes of a trace": lambda: spans(*(traces([each], mode=f"m{each[1]}") for each in ids(500))),
    "links": lambda: spans(*linked([link()] * 2500)),
    "links without a span": lambda: spans(*linked([link(span_id=b"")] * 2500)),
    "linking spans": lambda: spans(traces(ids()), traces(ids(trace=None), links=[link()])),
    "linking spans without a span": lambda: spans(traces(ids()), traces(ids(trace=None), links=[link(span_id=b"")])),
    "events": lambda: spans(traces(ids(10), events=[Span.Event(name="e", time_unix_nano=time.time_ns())] * 2000)),
    "attributes": lambda: spans(
        *(traces([each], attributes=attributes(numbered(MANY, "attribute"))) for each in ids(20))
    ),
    "log records of a trace": lambda: {
        "logs": [logs(MANY, trace_id=bytes.fromhex(TRACE), span_id=b"12345678")], "traces": [traces(ids())]
    },
    "equal log records": lambda: {"logs": [logs(MANY, time_unix_nano=time.time_ns())]},
}  # fmt: skip


@pytest.mark.parametrize("name", WIDE)
def test_pages_of_many_answer_in_time(name: str) -> None:
    site = Site()
    for signal, messages in WIDE[name]().items():
        for message in messages:
            site.send(signal, message)
    assert any(kept.records for kept in site.store.retained().values())
    slow = {}
    for page in PAGES:
        begin = time.thread_time()
        status, _ = site.get(page)
        took = time.thread_time() - begin
        assert status in {200, 404}
        if not is_within(took, MOST_SECONDS):
            slow[page] = round(took, 1)
    assert slow == {}


@pytest.fixture(scope="module")
def site() -> Site:
    """What 300 modes and services have sent, and a trace of all of them."""
    found = Site()
    wide = senders(modes=300, services=300)
    for signal, messages in wide.items():
        for message in messages:
            found.send(signal, message)
    for number in range(300):
        found.send("traces", traces([(TRACE, f"{number + 1:016x}")], mode=f"m{number}", service=f"s{number}"))
    return found


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("/metrics", ["and 290 more", "100 more are left out"]),
        ("/metrics?mode=m99", ["and 290 more", "99 more are left out", '<option value="m99" selected>m99</option>']),
        ("/metrics?mode=m1", ["100 more are left out", '<option value="m1" selected>m1</option>']),
        (f"/metrics/{OTLP_METRIC}?window=5", ["The quantiles of 192 more modes are left out", "100 more are left out"]),
        (f"/traces/{TRACE}", ["and 290 more</dd>", "s106 and 290 more"]),
    ],
)
def test_what_a_page_leaves_out_is_counted(site: Site, page: str, expected: list[str]) -> None:
    status, body = site.get(page)
    assert status == 200
    assert [text for text in expected if text not in body] == []
    assert len(body) < 500_000


def test_filters_offer_all_services_that_they_have_room_for(site: Site) -> None:
    _, body = site.get("/traces?service=s99")
    # The newest 256 senders are known.
    assert '<option value="s99" selected>s99</option>' in body
    assert "55 more are left out" in body


def test_labels_that_differ_are_found_once(site: Site) -> None:
    series = [
        one for number in range(3) for one in both({f"x{index}": f"{number % (index + 1)}" for index in range(250)})
    ]
    for message in metrics(*series)["metrics"]:
        site.send("metrics", message)
    _, body = site.get("/metrics/load?mode=m1&by=x9&window=5")
    assert '<option value="x9" selected>x9</option>' in body
    assert '<option value="x0">' not in body  # has one value in all series that have it
    assert "50 more are left out" in body
