"""/livez and /readyz: what they ask, what they answer, and for how long they wait."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event
from time import monotonic

import psycopg
import pytest
from django.test import Client, RequestFactory

from tests.support.service import Service, wait_until
from userapi import health

Answer = tuple[int, dict[str, str], bytes]


def answer(service: Service, path: str = "/readyz", **headers: str) -> Answer:
    """Return the answer to a probe, asked again where a busy machine had no time for the check."""

    def asked() -> Answer | None:
        found = service.get(path, **headers)
        return None if b"No answer within" in found[2] else found

    return wait_until(asked, 60)  # type: ignore[return-value]


def test_health_answers_any_host_without_credentials(start_service: Callable[..., Service]) -> None:
    service = start_service("--workers=1", USERAPI_OPEN_ACCESS="false", DJANGO_HTTPS="true")
    for path in ("/livez", "/readyz"):
        assert answer(service, path, Host="10.1.2.3")[0] == 200
        wait_until(lambda: service.request("HEAD", path)[::2] == (200, b""), 60, f"a HEAD of {path}")  # noqa: B023


def test_probe_of_unknown_host_is_answered_with_telemetry_on(start_service: Callable[..., Service]) -> None:
    service = start_service("--workers=1", TELEMETRY_MODE="direct", OTEL_TRACES_EXPORTER="none", DJANGO_HTTPS="true")
    for path in ("/livez", "/readyz", "/metrics"):
        assert answer(service, path, Host="10.1.2.3")[0] == 200


def test_livez_needs_no_database(client: Client) -> None:
    assert client.get("/livez").json() == {"status": "ok"}  # pytest-django fails the test on any query


def test_health_accepts_reading_only(client: Client) -> None:
    response = client.post("/livez")
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


@pytest.fixture(scope="module")
def without_database(share_service: Callable[..., Service], tmp_path_factory: pytest.TempPathFactory) -> Service:
    return share_service("--workers=1", DATABASE_URL=f"postgres://secret@/{tmp_path_factory.mktemp('no')}/none")


@pytest.mark.timing
def test_readyz_names_unreachable_database(without_database: Service) -> None:
    started = monotonic()
    status, _, body = without_database.get("/readyz")
    assert status == 503
    assert "database" in json.loads(body)["errors"]
    assert b"secret" not in body
    assert monotonic() - started < health.READY_TIMEOUT + 10


def test_api_with_unreachable_database_is_503(without_database: Service) -> None:
    status, headers, body = without_database.get("/users")
    assert (status, headers["content-type"]) == (503, "application/problem+json")
    assert b"secret" not in body


@pytest.mark.parametrize("path", ["/users", "/admin/"])
def test_page_with_unreachable_database_is_503(without_database: Service, path: str) -> None:
    """Who is logged in is in the database, too, and asked for in places outside of the API's views."""
    status, headers, body = without_database.get(path, Accept="text/html", Cookie=f"userapi_sessionid={'a' * 32}")
    assert (status, headers["content-type"], headers["retry-after"]) == (503, "text/html; charset=utf-8", "1")
    assert b"The database does not answer; try again." in body


def test_readyz_names_missing_migrations_until_they_are_made(
    start_service: Callable[..., Service], migrated_sqlite: Path, tmp_path: Path
) -> None:
    path = tmp_path / "late.sqlite3"
    service = start_service("--workers=1", DATABASE_URL=f"sqlite:///{path}")
    status, headers, body = answer(service)
    assert (status, headers["content-type"]) == (503, "application/problem+json")
    assert "run manage.py migrate" in json.loads(body)["errors"]["migrations"][0]
    with closing(sqlite3.connect(migrated_sqlite)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
    assert answer(service)[0] == 200


def test_readiness_waits_no_longer_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    freed = Event()
    started = []

    def hang(self: health._Check) -> None:
        started.append(self)
        freed.wait(60)

    monkeypatch.setattr(health._Check, "run", hang)
    readiness = health.Readiness(timeout=0.1)
    try:
        for _ in range(3):
            assert readiness.reasons() == {"database": ["No answer within 0.1 seconds."]}
            wait_until(lambda: started, 60, "the start of the check")
        assert len(started) == 1
    finally:
        freed.set()
        started[0].join()


def test_readyz_asks_for_migrations_until_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def pretend(self: health._Check) -> None:
        asked.append(self._migrations)
        if len(asked) == 1:
            self.reasons["migrations"] = ["2 not applied"]

    monkeypatch.setattr(health._Check, "run", pretend)
    monkeypatch.setattr(health, "readiness", health.Readiness(timeout=60))
    request = RequestFactory().get("/readyz")
    assert [health.readyz(request).status_code for _ in range(3)] == [503, 200, 200]
    assert asked == [True, True, False]


def test_service_finds_the_database_again(
    start_service: Callable[..., Service], migrated_postgres: str, short_path: Path
) -> None:
    folder, _, name = migrated_postgres.removeprefix("postgres://postgres@/").rpartition("/")
    door = short_path / "door"  # to the server; closed, no connection can be made
    door.symlink_to(folder)
    # One connection: a larger pool grows while its first connection is made, and a connection that is still being made
    # is not in pg_stat_activity.
    url = f"postgres://postgres@/{door}/{name}"
    service = start_service("--workers=1", DATABASE_URL=url, DATABASE_POOL_SIZE="1")
    assert service.get("/users")[0] == 200
    door.unlink()
    with psycopg.connect(host=folder, dbname="postgres", user="postgres", autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [name])
    assert service.get("/users")[0] == 503
    door.symlink_to(folder)
    wait_until(lambda: service.get("/users")[0] == 200, 60, "whether the database is found")
