"""The scraper against a real HTTP server with prometheus_client's own output."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder

from telemetry.tools.console.receiving.scraper import Scraper, ScrapeTarget
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.store import Store
from telemetry.tools.console.views import series_json
from tests.support.service import free_port, wait_until

LABELS = {"export_mode": "direct", "service_name": "user-api"}


@dataclass
class Metrics:
    """A service's registry behind a server, which misbehaves on demand."""

    url: str = ""
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    status: int = 200
    text: str | None = None
    delay: float = 0.0
    plain: bool = False
    requests: list[dict[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.duration = self.histogram()
        self.created = Counter("user_created", "Users", ["export_mode"], registry=self.registry)

    def histogram(self) -> Histogram:
        labels = [*LABELS, "http_route"]
        return Histogram("http_server_request_duration_seconds", "Duration", labels, registry=self.registry)

    def observe(self, route: str, count: int = 1, trace_id: str | None = None) -> None:
        for _ in range(count):
            exemplar = {"trace_id": trace_id, "span_id": "01" * 8} if trace_id else None
            self.duration.labels(**LABELS, http_route=route).observe(0.2, exemplar)


@contextmanager
def metrics_server() -> Iterator[Metrics]:
    metrics = Metrics()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            metrics.requests.append({name.lower(): value for name, value in self.headers.items()})
            metrics.released.wait(metrics.delay)
            encode, content_type = choose_encoder("" if metrics.plain else self.headers["Accept"])
            body = encode(metrics.registry) if metrics.text is None else metrics.text.encode()
            self.send_response(metrics.status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    metrics.url = f"http://127.0.0.1:{server.server_port}/metrics"
    try:
        yield metrics
    finally:
        metrics.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    with metrics_server() as running:
        yield running


@pytest.fixture
def store() -> Store:
    return Store()


def scraper(store: Store, *targets: ScrapeTarget) -> Scraper:
    return Scraper(store, targets, 60)


@pytest.mark.parametrize("plain", [False, True], ids=["openmetrics", "text"])
def test_scrape_stores_samples_with_their_labels(store: Store, metrics: Metrics, plain: bool) -> None:
    metrics.plain = plain
    metrics.observe("/users", 3)
    metrics.created.labels("direct").inc(2)
    [state] = scraper(store, ScrapeTarget("direct", metrics.url)).scrape()
    assert (state.up, state.last_error, state.scrapes, state.failures) == (True, "", 1, 0)
    assert state.duration_seconds > 0
    totals = store.mode("direct")
    assert (totals.scraped_samples, totals.requests) == (state.samples, 3)
    assert metrics.requests[0]["accept"].startswith("application/openmetrics-text")
    names = {item.first.name: item.first.type for item in store.metrics()}
    assert names["http_server_request_duration_seconds"] == "histogram"
    assert names["user_created"] == "counter"
    series = {
        item.sample: (item, points[-1].decode().data["value"])
        for item, points in store.series("http_server_request_duration_seconds")
        if item.attributes.get("le", "+Inf") == "+Inf"
    }
    item, value = series["http_server_request_duration_seconds_count"]
    assert (value, item.mode, item.service, item.attributes["http_route"]) == (3, "direct", "user-api", "/users")


def test_scrape_keeps_exemplars(store: Store, metrics: Metrics) -> None:
    metrics.observe("/users", trace_id="ab" * 16)
    scraper(store, ScrapeTarget("direct", metrics.url)).scrape()
    exemplars = [
        exemplar
        for _, points in store.series("http_server_request_duration_seconds")
        for exemplar in points[-1].decode().exemplars
    ]
    assert [(item.trace_id, item.span_id, item.value) for item in exemplars] == [("ab" * 16, "01" * 8, 0.2)]


def test_odd_numbers_of_a_target_are_stored(store: Store, metrics: Metrics) -> None:
    metrics.text = (
        "# TYPE http_server_request_duration_seconds histogram\n"
        'http_server_request_duration_seconds_bucket{le="+Inf"} 1 # {trace_id="a"} 1 99999999999999999\n'
        "http_server_request_duration_seconds_count 1\nhttp_server_request_duration_seconds_sum 1\n"
        '# TYPE odd gauge\nodd NaN\nodd{a="b"} +Inf\n# EOF\n'
    )
    [state] = scraper(store, ScrapeTarget("direct", metrics.url)).scrape()
    assert (state.last_error, state.samples) == ("", 5)
    found = [
        series_json(*item) for name in ("odd", "http_server_request_duration_seconds") for item in store.series(name)
    ]
    assert [item["points"][0]["value"] for item in found] == ["NaN", "Infinity", 1, 1, 1]
    assert found[2]["points"][0]["exemplars"][0]["time"] is None


def test_scraped_requests_survive_a_counter_that_goes_back(store: Store, metrics: Metrics) -> None:
    scrape = scraper(store, ScrapeTarget("direct", metrics.url)).scrape
    metrics.observe("/users", 5)
    metrics.observe("/other", 2)
    scrape()
    scrape()
    assert store.mode("direct").requests == 7
    metrics.registry.unregister(metrics.duration)
    metrics.duration = metrics.histogram()
    metrics.observe("/users", 3)
    scrape()
    metrics.observe("/users", 1)
    scrape()
    assert store.mode("direct").requests == 11


def test_same_series_of_two_targets_adds_up(store: Store, metrics: Metrics) -> None:
    metrics.observe("/users", 5)
    scraper(store, ScrapeTarget("one", metrics.url), ScrapeTarget("two", metrics.url)).scrape()
    assert store.mode("direct").requests == 10


def test_token_is_sent_and_masked(store: Store, metrics: Metrics) -> None:
    target = ScrapeTarget("direct", metrics.url, token="s3cret")
    scraper(store, target).scrape()
    assert metrics.requests[0]["authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(target)


def test_failing_scrape_is_recorded_not_raised(
    store: Store, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.status = 401
    subject = scraper(store, ScrapeTarget("direct", metrics.url))
    with caplog.at_level(logging.DEBUG, "telemetry.tools.console.receiving.scraper"):
        subject.scrape()
        [state] = subject.scrape()
    assert (state.up, state.samples, state.scrapes, state.failures) == (False, 0, 2, 2)
    assert state.last_error == "HTTP 401 Unauthorized"
    assert len(caplog.messages) == 1
    metrics.status = 200
    [state] = subject.scrape()
    assert (state.up, state.last_error, state.failures, state.missed) == (True, "", 2, 0)
    metrics.status = 503
    [state] = subject.scrape()
    assert (state.failures, state.missed) == (3, 1)


@pytest.mark.parametrize("text", ["no metrics at all {", "a_total 1\n", "# EOF\nx 1\n"])
def test_invalid_exposition_is_recorded(store: Store, metrics: Metrics, text: str) -> None:
    metrics.text = text
    [state] = scraper(store, ScrapeTarget("direct", metrics.url)).scrape()
    assert state.up is False
    assert "not a valid application/openmetrics-text exposition" in state.last_error
    assert store.totals() == {}


def test_unreachable_target_is_recorded(store: Store) -> None:
    [state] = scraper(store, ScrapeTarget("gone", f"http://127.0.0.1:{free_port()}/metrics")).scrape()
    assert state.up is False
    assert "ConnectionRefusedError" in state.last_error


def test_redirect_is_not_followed(store: Store, metrics: Metrics) -> None:
    metrics.status = 302
    [state] = scraper(store, ScrapeTarget("direct", metrics.url)).scrape()
    assert state.last_error == "HTTP 302 Found"


def test_targets_are_scraped_at_the_interval(metrics: Metrics) -> None:
    target = ScrapeTarget("direct", metrics.url)
    with Console(grpc_port=0, http_port=0, api_port=0, scrape_targets=[target], scrape_interval=0.05) as console:
        wait_until(lambda: console.scraper.targets[0].scrapes >= 3)
    wait_until(lambda: not any(thread.name == "scraper" for thread in threading.enumerate()))


def test_stop_gives_a_slow_scrape_up(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telemetry.tools.console.receiving.scraper._TIMEOUT_SECONDS", 60.0)
    metrics.delay = 60
    target = ScrapeTarget("slow", metrics.url)
    with Console(grpc_port=0, http_port=0, api_port=0, scrape_targets=[target]) as console:
        wait_until(lambda: metrics.requests)
    wait_until(lambda: console.scraper.targets[0].failures)
    assert "timed out" not in console.scraper.targets[0].last_error


@pytest.mark.parametrize(
    ("name", "url"),
    [("", "http://h/"), ("a", ""), ("a", "ftp://h/"), ("a", "http://"), ("a", "http://h:x/"), ("a", "localhost:8081")],
)
def test_bad_target_names_what_is_expected(name: str, url: str) -> None:
    with pytest.raises(ValueError, match="expected NAME=http://HOST"):
        ScrapeTarget(name, url)


def test_target_given_twice_is_refused(store: Store) -> None:
    target = ScrapeTarget("a", "http://127.0.0.1/")
    with pytest.raises(ValueError, match="scrape target 'a' is given twice"):
        scraper(store, target, target)


def test_interval_of_zero_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="scrape interval is 0; expected seconds above 0"):
        Scraper(store, [], 0)
