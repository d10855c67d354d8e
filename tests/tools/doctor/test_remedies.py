"""Where the console is the store, no remedy sends anybody to the file of a server that is not there."""

import re
from collections.abc import Callable, Iterator
from time import time, time_ns
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from telemetry.project import Project
from telemetry.tools.backends import Console
from telemetry.tools.console.receiving.scraper import ScrapeTarget
from telemetry.tools.console.server import Console as ConsoleServer
from telemetry.tools.doctor import arrival
from telemetry.tools.doctor.configuration import from_environment
from telemetry.tools.doctor.places import Places
from telemetry.tools.doctor.service import Followed, Service, exposition
from telemetry.tools.doctor.stores import Stores
from telemetry.tools.doctor.walk import HopError, State, Walk
from tests.support.answering import Answering, Reply
from tests.tools.console.client import logs, post
from tests.tools.doctor.conftest import Quiet

DIRECT = from_environment({"TELEMETRY_MODE": "direct"})
SERVERS = re.compile(r"deploy/|Alloy|Prometheus|Loki|Tempo|Grafana|scrape_")


@pytest.fixture
def console() -> Iterator[ConsoleServer]:
    with ConsoleServer(grpc_port=0, http_port=0, api_port=0) as server:
        yield server


def stores(console: ConsoleServer) -> Stores:
    return Stores.of(Places({}, 5.0), DIRECT, Console(console.url))


def remedy(check: Callable[[], object]) -> str:
    """Return the remedy of a check that fails."""
    with pytest.raises(HopError) as caught:
        check()
    return caught.value.remedy


def test_service_that_the_console_does_not_scrape(console: ConsoleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    store, service, walk = stores(console).metrics, Service("http://127.0.0.1:9"), Walk(Quiet(), 0.0)
    assert store
    expected = "start the console with manage.py console --scrape NAME=http://127.0.0.1:9"
    assert remedy(lambda: arrival.scrape(store, service, DIRECT, walk)) == f"{expected}/metrics"
    monkeypatch.setattr("telemetry.lifecycle._Process.project", Project("shop", metrics_path="/internal"))
    assert remedy(lambda: arrival.scrape(store, service, DIRECT, walk)) == f"{expected}/internal"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "give the console a file with METRICS_TOKEN (--scrape-token-file)"),
        (404, "set TELEMETRY_MODE=direct for the service"),
        (0, "correct the host and port in the console's --scrape"),
    ],
)
def test_service_that_the_console_cannot_scrape(status: int, expected: str) -> None:
    with Answering({"/metrics": Reply("no", status or 500)}) as server:
        url = server.url if status else "http://127.0.0.1:9"
        target = ScrapeTarget("direct", f"{url}/metrics")
        with ConsoleServer(grpc_port=0, http_port=0, api_port=0, scrape_targets=[target]) as console:
            console.scraper.scrape()
            store, walk = stores(console).metrics, Walk(Quiet(), 0.0)
            assert store
            assert remedy(lambda: arrival.scrape(store, Service(url), DIRECT, walk)) == expected


def test_no_remedy_of_the_console_names_a_server(console: ConsoleServer) -> None:
    found, walk = stores(console), Walk(Quiet(), 0.0)
    traces, records, metrics = found.traces, found.logs, found.metrics
    assert traces
    assert records
    assert metrics
    followed = Followed("0" * 31 + "1", 200, time(), ours=True, recorded=True)
    with Answering({"/metrics": Reply("no", 401)}) as server:
        remedies = [remedy(lambda: exposition(Service(server.url), DIRECT, found.token_advice))]
    remedies += [
        remedy(lambda: arrival.trace(traces, followed, DIRECT, walk)),
        remedy(lambda: arrival.log(records, followed, DIRECT, walk)),
        remedy(lambda: arrival.sample(metrics, {}, followed, DIRECT, walk)),
        remedy(lambda: arrival.exemplar(metrics, followed, DIRECT, walk)),
    ]
    post(f"{console.http_endpoint}/v1/logs", logs())
    remedies.append(remedy(lambda: arrival.log(records, followed, DIRECT, walk)))
    assert len(set(remedies)) == len(remedies)
    assert [text for text in remedies if SERVERS.search(text)] == []


def scraped(console: ConsoleServer, count: int, label_sets: int, buckets: int) -> None:
    """A scrape of a service with so many series of its histogram, the last of which has this count."""
    name = "http_server_request_duration_seconds"
    lines = [f"# TYPE {name} histogram"]
    for route in range(label_sets):
        labels = f'export_mode="direct",http_route="/{route}"'
        value = count if route == label_sets - 1 else 1
        lines += [f'{name}_bucket{{{labels},le="{le}"}} {value}' for le in (*range(buckets), "+Inf")]
        lines += [f"{name}_count{{{labels}}} {value}", f"{name}_sum{{{labels}}} 1"]
    text = "\n".join([*lines, ""])
    console.store.add_samples("direct", text_string_to_metric_families(text), time_ns())


def counted_again(console: ConsoleServer, label_sets: int, buckets: int) -> tuple[Any, Any, Followed]:
    """Return the console's metrics, its counts before a scrape with one request more, and that request."""
    store = stores(console).metrics
    assert store
    scraped(console, 1, label_sets, buckets)
    before = store.requests()
    scraped(console, 2, label_sets, buckets)
    return store, before, Followed("0" * 31 + "1", 200, time(), ours=True, recorded=True)


def test_request_is_found_among_many_series_of_the_console(console: ConsoleServer) -> None:
    store, before, followed = counted_again(console, 100, buckets=16)
    walk = Walk(Quiet(), 0.0)
    assert arrival.sample(store, before, followed, DIRECT, walk).state == State.OK


def test_series_that_the_console_leaves_out_are_no_failure(console: ConsoleServer) -> None:
    store, before, followed = counted_again(console, 1001, buckets=0)
    walk = Walk(Quiet(), 0.0)
    counted = arrival.sample(store, before, followed, DIRECT, walk)
    assert (counted.state, counted.detail) == (
        State.WARNING,
        "cannot tell: the console left 1 of its series out",
    )
    assert arrival.exemplar(store, followed, DIRECT, walk).state == State.WARNING


def test_tail_sampling_is_no_reason_without_a_collector() -> None:
    """Tempo takes the spans of direct mode from the service itself."""
    with Answering({"/api/v2/traces/": {"trace": {}}}) as server:
        store, walk = Stores.of(Places({"tempo": server.url}, 5.0), DIRECT, None).traces, Walk(Quiet(), 0.0)
        followed = Followed("0" * 31 + "1", 200, time(), ours=True, recorded=True)
        assert store
        assert "tail" not in remedy(lambda: arrival.trace(store, followed, DIRECT, walk))
        collector = from_environment({})
        assert "tail sampling does not drop it" in remedy(lambda: arrival.trace(store, followed, collector, walk))
