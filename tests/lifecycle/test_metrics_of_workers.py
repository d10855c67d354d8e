"""`/metrics` covers all workers, no matter which one answers."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from telemetry.tools.console.server import Console
from tests.support.prometheus import Prometheus
from tests.support.routes import LAZY, Route, expect, scrape, scraped_requests, send
from tests.support.service import NO_PRELOAD, Service, wait_until

StartService = Callable[..., Service]
DIRECT = {"TELEMETRY_MODE": "direct", "OTEL_TRACES_EXPORTER": "none"}
REMOVED = "the telemetry's files were removed"


def assert_answers_with_a_stopped_worker(service: Service, requests: int) -> None:
    stopped = service.workers()[0]
    stopped.suspend()
    try:
        started = monotonic()
        assert [scraped_requests(service) for _ in range(4)] == [requests] * 4
        assert monotonic() - started < 20
    finally:
        stopped.resume()


FORMATS: list[tuple[str, str, Callable[[str], Any]]] = [
    ("text/plain", "text/plain; version=0.0.4; charset=utf-8", parse_text),
    (
        "application/openmetrics-text; version=1.0.0",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        parse_openmetrics,
    ),
]


TOKEN = {"Authorization": "Bearer scrape-me-0123456789"}


@pytest.fixture(scope="module")
def guarded(share_service: Callable[..., Service]) -> Service:
    """A service whose metrics need a token."""
    env = DIRECT | {"OTEL_METRIC_EXPORT_INTERVAL": "200", "METRICS_TOKEN": "scrape-me-0123456789"}
    service = share_service("--workers=1", NO_PRELOAD, **env)
    scrape(service, **TOKEN)
    return service


def test_worker_looks_for_garbage_when_it_serves(guarded: Service) -> None:
    """It does not while it imports the application."""

    def collections() -> float:
        send(guarded, 20)
        lines = scrape(guarded, **TOKEN).splitlines()
        (line,) = [line for line in lines if line.startswith('cpython_gc_collections_total{cpython_gc_generation="0"')]
        return float(line.split()[-1])

    first = collections()
    wait_until(lambda: collections() > first, 20, "a collection")


def test_metrics_have_the_format_that_was_asked_for_and_need_the_token_if_there_is_one(guarded: Service) -> None:
    for given, asked in (({}, "Bearer"), ({"Authorization": "Bearer wrong"}, 'Bearer error="invalid_token"')):
        status, headers, _ = guarded.get("/metrics", **given)
        assert (status, headers["www-authenticate"], headers["content-type"]) == (
            401,
            asked,
            "text/plain; charset=utf-8",
        )
    assert "Unauthorized: /metrics" in guarded.output
    send(guarded, 9)
    for accept, content_type, parse in FORMATS:
        status, headers, body = guarded.get("/metrics", **TOKEN, Accept=accept)
        assert (status, headers["content-type"]) == (200, content_type)
        families = {family.name: family for family in parse(body.decode())}
        assert families["http_server_request_duration_seconds"].type == "histogram"
        labels = families["http_server_request_duration_seconds"].samples[0].labels
        assert (labels["service_name"], labels["export_mode"]) == ("user-api", "direct")
        assert "process_cpu_time_seconds" in families or "process_cpu_time_seconds_total" in families


def test_head_is_answered_without_a_warning(guarded: Service) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/users", "/docs", "/", "/nope"):
        status, headers, body = guarded.request("HEAD", path, headers=TOKEN if path == "/metrics" else None)
        assert (status, body) == (404 if path == "/nope" else 200, b"")
        assert int(headers["content-length"]) > 0
    assert "no-body response" not in guarded.output


@pytest.mark.timing
def test_services_on_one_host_stay_apart_while_a_worker_is_stopped_and_after_one_was_killed(
    console: Console, start_service: StartService, migrated_postgres: str
) -> None:
    """In metrics and in spans, which name the database of each."""
    env = Route("direct", "grpc").env(console) | LAZY
    first, second = start_service("--workers=1", **env), start_service("--workers=2", **env)
    send(first, 6)
    send(second, 9)
    assert (scraped_requests(first), scraped_requests(second)) == (6, 9)
    assert_answers_with_a_stopped_worker(second, 9)
    first.kill()
    third = start_service("--workers=1", **env, DATABASE_URL=migrated_postgres)  # which continues nothing
    send(third, 3)
    assert scraped_requests(third) == 3
    for service in (second, third):
        service.stop()
    expect(console, "direct", 6 + 9 + 3)
    requests: Counter[tuple[str, ...]] = Counter()
    databases: defaultdict[tuple[str, ...], set[object]] = defaultdict(set)
    for span in console.store.spans():
        if span.kind == "client":
            databases[span.resource.instance].add(span.attributes.get("db.system.name"))
        requests[span.resource.instance] += span.kind == "server"
    assert sorted((number, databases[instance]) for instance, number in requests.items()) == [
        (3, {"postgresql"}),
        (6, {"sqlite"}),
        (9, {"sqlite"}),
    ]


def test_prometheus_sums_equal_the_requests(
    start_service: StartService, prometheus: Callable[[str], Prometheus]
) -> None:
    service = start_service("--workers=2", "--max-requests=20", **DIRECT)
    query = prometheus(f"127.0.0.1:{service.port}").value
    send(service, 60)
    total = 'sum(http_server_request_duration_seconds_count{export_mode="direct"})'
    buckets = 'sum(http_server_request_duration_seconds_bucket{le="+Inf"})'
    # A scrape that takes more than a second leaves no value until the next.
    for expression, expected in ((total, 60.0), (buckets, 60.0), ("sum(up)", 1.0)):
        wait_until(lambda e=expression, x=expected: query(e) == x, what=expression)  # type: ignore[misc]


def test_service_outlives_its_files(start_service: StartService) -> None:
    """A cleaner of temporary files may remove one by one, which costs no count, and systemd-logind all at once."""
    service = start_service("--workers=2", **DIRECT)
    send(service, 6)
    status = wait_until(service.status)
    assert status
    sent, run = 6, Path(status["directory"])
    for name in ("slot-0.ring", "exporter.lock", "service"):
        reports = service.output.count("removed")
        (run / name).unlink()
        send(service, 6)
        wait_until(lambda: service.answers() and service.output.count("removed") > reports, 60, f"a report of {name}")  # noqa: B023
        send(service, 6)
        sent += 12
        assert scraped_requests(service) == sent, name

    # At a user's last log-out: the service makes new files and says so.
    reports = service.output.count(REMOVED)
    shutil.rmtree(run.parent.rename(run.parent.with_name(f"removed-{run.parent.name}")))

    def mended() -> bool:
        assert service.get("/users")[0] == 200
        return len(list(run.glob("slot-*.ring"))) == 2  # each worker looks once a second

    wait_until(mended, 60, "new files of both workers")
    assert service.output.count(REMOVED) >= reports + 2
    scrape(service)
    send(service, 9)
    assert scraped_requests(service) >= 9
    assert service.process.poll() is None
