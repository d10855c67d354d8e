"""Clients cannot make series: the number of them is bounded by the service's routes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.signals.odd_requests import KINDS, OddRequest, OddRequests
from tests.support.routes import scrape
from tests.support.service import ROOT, Service


def test_thousands_of_odd_requests_make_no_series(migrated_sqlite: Path) -> None:
    env = {
        "DATABASE_URL": f"sqlite:///{migrated_sqlite}",
        "TELEMETRY_MODE": "direct",
        "OTEL_TRACES_EXPORTER": "none",
        "USERAPI_OPEN_ACCESS": "true",
    }
    run = subprocess.run(
        [sys.executable, "-m", "tests.signals.in_process", str(2 * KINDS)],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    before, after, *new = run.stdout.splitlines()[-1].split(maxsplit=2)
    assert int(before) > 100
    assert (before, new) == (after, [])


def test_odd_requests_make_no_series_in_a_real_server(start: Callable[..., Service]) -> None:
    service = start("--keep-alive=60", mode="direct", OTEL_TRACES_EXPORTER="none", OTEL_LOGS_EXPORTER="console")
    odd = iter(OddRequests(seed=2))
    send(service, odd)
    before = series(service)
    send(service, odd)
    assert series(service) == before
    assert len(before) > 100


def send(service: Service, odd: Iterator[OddRequest]) -> None:
    """Send every fifth kind: all methods, paths, hosts and headers, not all products of them."""
    connection = HTTPConnection("127.0.0.1", service.port)
    for method, target, headers in list(islice(odd, KINDS))[::5]:
        connection.request(method, target, headers=headers)
        response = connection.getresponse()
        response.read()
        assert response.status < 500, (method, target, headers)
    connection.close()


def series(service: Service) -> set[str]:
    families = parse_text(scrape(service))
    return {f"{sample.name} {sorted(sample.labels.items())}" for family in families for sample in family.samples}
