"""`/metrics` covers all workers, no matter which one answers, and its counters never go back."""

import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.support.prometheus import Prometheus
from tests.support.routes import scrape, scraped_requests, send
from tests.support.service import NO_PRELOAD, Service, wait_until

StartService = Callable[..., Service]
DIRECT = {"TELEMETRY_MODE": "direct", "OTEL_TRACES_EXPORTER": "none"}


def test_metrics_never_go_back_while_workers_come_and_go(start_service: StartService) -> None:
    service = start_service("--workers=2", "--max-requests=50", "--max-requests-jitter=10", **DIRECT)
    readings: list[list[float]] = [[], []]
    done = threading.Event()

    def read(own: list[float]) -> None:
        while not done.wait(0.05):
            with suppress(OSError, HTTPException):  # asked a worker that was killed meanwhile
                own.append(scraped_requests(service))

    scrapers = [threading.Thread(target=read, args=(own,), daemon=True) for own in readings]
    for scraper in scrapers:
        scraper.start()
    sent = 0
    for step in (signal.SIGTTIN, signal.SIGTTIN, signal.SIGHUP, signal.SIGTTOU, signal.SIGKILL, signal.SIGTTOU):
        send(service, 30)
        sent += 30
        if step == signal.SIGKILL:
            service.workers()[0].send_signal(step)
        else:
            service.send_signal(step)
        sleep(0.7)
    wait_until(lambda: all(len(own) > 5 for own in readings), 60, "readings")
    done.set()
    for scraper in scrapers:
        scraper.join()
    assert all(own == sorted(own) for own in readings)
    assert scraped_requests(service) == sent


def test_worker_looks_for_garbage_when_it_serves(start_service: StartService) -> None:
    """It does not while it imports the application."""
    service = start_service("--workers=1", NO_PRELOAD, OTEL_METRIC_EXPORT_INTERVAL="200", **DIRECT)

    def collections() -> float:
        send(service, 20)
        lines = scrape(service).splitlines()
        (line,) = [line for line in lines if line.startswith('cpython_gc_collections_total{cpython_gc_generation="0"')]
        return float(line.split()[-1])

    first = collections()
    wait_until(lambda: collections() > first, 20, "a collection")


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
    service = share_service("--workers=2", **DIRECT, METRICS_TOKEN="scrape-me-0123456789")
    scrape(service, **TOKEN)
    return service


def test_metrics_have_the_format_that_was_asked_for_and_need_the_token_if_there_is_one(guarded: Service) -> None:
    for given, asked in (({}, "Bearer"), ({"Authorization": "Bearer wrong"}, 'Bearer error="invalid_token"')):
        status, headers, _ = guarded.get("/metrics", **given)
        assert (status, headers["www-authenticate"], headers["content-type"]) == (
            401,
            asked,
            "text/plain; charset=utf-8",
        )
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
def test_metrics_of_services_stay_apart_while_a_worker_is_stopped_and_after_one_was_killed(
    start_service: StartService,
) -> None:
    first, second = (start_service("--workers=2", **DIRECT) for _ in range(2))
    send(first, 6)
    send(second, 9)
    assert (scraped_requests(first), scraped_requests(second)) == (6, 9)
    assert_answers_with_a_stopped_worker(second, 9)
    first.kill()
    third = start_service("--workers=2", **DIRECT)  # which continues nothing
    send(third, 3)
    assert scraped_requests(third) == 3


def test_prometheus_sums_equal_the_requests(
    start_service: StartService, prometheus: Callable[[str], Prometheus]
) -> None:
    service = start_service("--workers=3", "--max-requests=20", **DIRECT)
    query = prometheus(f"127.0.0.1:{service.port}").value
    send(service, 90)
    total = 'sum(http_server_request_duration_seconds_count{export_mode="direct"})'
    buckets = 'sum(http_server_request_duration_seconds_bucket{le="+Inf"})'
    # A scrape that takes more than a second leaves no value until the next.
    for expression, expected in ((total, 90.0), (buckets, 90.0), ("sum(up)", 1.0)):
        wait_until(lambda e=expression, x=expected: query(e) == x, what=expression)  # type: ignore[misc]


def test_service_outlives_its_files(start_service: StartService) -> None:
    """systemd-logind removes a user's shared memory at the last log-out: the service makes new files and says so."""
    service = start_service("--workers=2", **DIRECT)
    send(service, 6)
    status = wait_until(service.status)
    assert status
    run = Path(status["directory"])
    shutil.rmtree(run.parent.rename(run.parent.with_name(f"removed-{run.parent.name}")))  # all at once

    def mended() -> bool:
        assert service.get("/users")[0] == 200
        return len(list(run.glob("slot-*.ring"))) == 2  # each worker looks once a second

    wait_until(mended, 60, "new files of both workers")
    assert "the telemetry's files were removed" in service.output
    scrape(service)
    send(service, 9)
    assert scraped_requests(service) >= 9
    assert service.process.poll() is None


@pytest.mark.parametrize("name", ["slot-0.ring", "exporter.lock", "service"])
def test_removed_file_costs_no_count(start_service: StartService, name: str) -> None:
    """A cleaner of temporary files may remove one by one."""
    service = start_service("--workers=1", **DIRECT)
    send(service, 6)
    status = wait_until(service.status)
    assert status
    (Path(status["directory"]) / name).unlink()
    send(service, 6)
    wait_until(lambda: service.answers() and "removed" in service.output, 60, "the report of the removal")
    send(service, 6)
    assert scraped_requests(service) == 18
