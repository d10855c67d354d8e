"""Prometheus shows the same names, whether it scrapes the service or gets its metrics by OTLP."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from telemetry.exposition.names import Translation
from telemetry.tools.console.server import Console
from tests.contract.differences import merge, unexplained
from tests.contract.reference import blocks
from tests.contract.round import ENVIRONMENT, Round, send
from tests.contract.scrape import stored
from tests.contract.snapshot import prometheus as shown
from tests.contract.snapshot import prometheus_samples, to_text
from tests.contract.translation import bucket_limit, family_name, label_name
from tests.support.greeter import Greeter
from tests.support.prometheus import WITH_QUERIES, Prometheus, skip_without_prometheus
from tests.support.routes import Route
from tests.support.service import Service, wait_until

NOT_MEASURED = ("health check",)


@pytest.fixture(scope="module")
def scraping(share_service: Callable[..., Service], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A real Prometheus that knows of the whole round, sent to two workers."""
    skip_without_prometheus()
    folder = tmp_path_factory.mktemp("scraping")
    with Console(grpc_port=0, http_port=0, api_port=0) as console, Greeter(folder, {"TELEMETRY_MODE": "off"}) as hop:
        environment = {**Route("direct", "grpc").env(console), **ENVIRONMENT, "USERAPI_GREETER_URL": hop.url}
        service = share_service("--workers=2", **environment)
        with Prometheus(folder, f"127.0.0.1:{service.port}") as server:
            requests = len(list(send(service, lambda: None))) - len(NOT_MEASURED)
            counted = 'sum(http_server_request_duration_seconds_count{export_mode="direct"})'
            wait_until(lambda: (server.value(counted) or 0) >= requests, 60, "Prometheus' count of requests")
            wait_until(lambda: server.value("otel_sdk_exporter_log_exported_total"), 60, "telemetry's own metrics")
            yield server


def test_names_in_prometheus_are_those_of_otlp(scraping: Prometheus, rounds: dict[str, Round]) -> None:
    pushed = shown(prometheus_samples(rounds["collector"]))

    def merged() -> dict[str, Any]:
        scraped = shown(list(stored(scraping, '{job="user-api"}')))
        both: dict[str, Any] = merge({"prometheus": pushed}, {"prometheus": scraped})
        return both

    with suppress(TimeoutError):  # some series come with a later scrape than others
        wait_until(lambda: not unexplained(merged()), 30)
    found = merged()
    assert not unexplained(found), to_text(found)


def test_documented_queries_find_something(scraping: Prometheus) -> None:
    """Those that look for losses, which end in `> 0`, find none; those of the push have nothing in direct mode."""
    texts = [path.read_text(encoding="utf-8") for path in WITH_QUERIES]
    queries = [query for text in texts for _, _, query in blocks(text, "promql")]
    expected = [query for query in queries if not query.endswith("> 0") and "_metric_data_point_" not in query]
    # A rate needs two samples.
    missing = list(expected)

    def all_found() -> bool:
        missing[:] = [query for query in missing if scraping.value(query) is None]
        return not missing

    try:
        wait_until(all_found, 90)
    except TimeoutError:
        pytest.fail("nothing is found by\n" + "\n".join(missing))


@pytest.mark.parametrize(
    ("name", "unit", "kind", "family"),
    [
        ("http.server.request.duration", "s", "histogram", "http_server_request_duration_seconds"),
        ("users.created", "{user}", "counter", "users_created_total"),
        ("jobs.total", "1", "counter", "jobs_total"),
        ("cache.hit", "1", "gauge", "cache_hit_ratio"),
        ("cache.ratio", "1", "gauge", "cache_ratio"),
        ("process.memory.usage", "By", "up_down_counter", "process_memory_usage_bytes"),
        ("queue.size", "1", "up_down_counter", "queue_size"),
        ("network.io", "By/s", "gauge", "network_io_bytes_per_second"),
        ("requests", "{request}/s", "gauge", "requests_per_second"),
        ("2xx.answers", "{answer}", "counter", "_2xx_answers_total"),
        ("load..average_", "", "gauge", "load_average"),
    ],
)
def test_names_of_reference_and_scrape(name: str, unit: str, kind: str, family: str) -> None:
    assert family_name(name, unit, kind) == family
    assert Translation({}).family(kind.replace("_", ""), name, unit, "").name == family.removesuffix("_total")


@pytest.mark.parametrize(("bound", "limit"), [(1.0, "1"), (0.0025, "0.0025"), (10000.0, "10000"), (2.5, "2.5")])
def test_reference_bucket_limits(bound: float, limit: str) -> None:
    assert bucket_limit(bound) == limit


@pytest.mark.parametrize(
    ("key", "label"), [("http.route", "http_route"), ("2nd", "key_2nd"), ("a_b--c", "a_b_c"), ("_a", "key_a")]
)
def test_labels_of_reference_and_scrape(key: str, label: str) -> None:
    assert label_name(key) == label
    assert Translation({}).labels({key: "value"}) == f'{label}="value"'
