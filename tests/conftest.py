"""Fixtures that every test may use."""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.support import postgres
from tests.support.prometheus import Prometheus, skip_without_prometheus
from tests.support.service import ROOT, Service, services
from tests.support.shared import made_once, shared_folder, used_together


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes of this test run have in common."""
    return shared_folder(tmp_path_factory, worker_id)


@pytest.fixture(scope="module")
def disk_folder() -> Iterator[Path]:
    """A folder that is on a disk wherever `tmp_path` is, for a test that mounts something else at /dev/shm."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres_socket_url(run_folder: Path) -> Iterator[str]:
    """The URL of a database on the one PostgreSQL server of this test run."""
    with used_together(run_folder, "postgres", postgres.start, postgres.stop) as server:
        yield server.url


@pytest.fixture
def postgres_url(postgres_socket_url: str) -> str:
    """The URL of an empty database on a real PostgreSQL server."""
    return create_database(postgres_socket_url)


@pytest.fixture(scope="session")
def make_migrated_postgres(postgres_socket_url: str, run_folder: Path) -> Callable[[], str]:
    """A function that returns the URL of another PostgreSQL database with the service's tables."""

    def make() -> str:
        url = create_database(postgres_socket_url)
        migrate(url)
        return url.rpartition("/")[2]

    return lambda: create_database(postgres_socket_url, template=made_once(run_folder, "migrated-postgres", make))


@pytest.fixture
def migrated_postgres(make_migrated_postgres: Callable[[], str]) -> str:
    """The URL of a PostgreSQL database with the service's tables."""
    return make_migrated_postgres()


def create_database(server_url: str, template: str = "template1") -> str:
    """Create a copy of `template`, which must not be in use meanwhile; return its URL."""
    name = f"test_{secrets.token_hex(6)}"
    folder, _, maintenance = server_url.removeprefix("postgres://postgres@/").rpartition("/")
    with psycopg.connect(host=folder, dbname=maintenance, user="postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return f"postgres://postgres@/{folder}/{name}"


@pytest.fixture(scope="session")
def migrated_sqlite(run_folder: Path) -> Path:
    """A SQLite file with the service's tables, to be copied."""

    def make() -> Path:
        path = run_folder / "migrated.sqlite3"
        migrate(f"sqlite:///{path}")
        return path

    return made_once(run_folder, "migrated-sqlite", make)


def migrate(database: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0", "--skip-checks"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database},
        check=True,
    )


@pytest.fixture
def start_service(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Callable[..., Service]]:
    """A function that starts the service: `start_service("--workers=2", TELEMETRY_MODE="direct")`.

    Open access and an SQLite file of the service's own, unless the environment given says otherwise.
    """
    with services(tmp_path, migrated_sqlite) as start:
        yield start


@pytest.fixture(scope="module")
def share_service(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Callable[..., Service]]:
    """`start_service` for a service that runs until the end of the module, whose tests share it."""
    with services(tmp_path_factory.mktemp("shared"), migrated_sqlite) as start:
        yield start


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[str], Prometheus]]:
    """A function that starts a real Prometheus scraping a target such as `127.0.0.1:8080`."""
    skip_without_prometheus()
    with ExitStack() as stack:
        yield lambda target: stack.enter_context(Prometheus(tmp_path, target))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything must run (CI)."""
    report = yield
    if report.skipped and os.environ.get("USERAPI_TESTS_MUST_RUN") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but in CI nothing may be: {call.excinfo and call.excinfo.value}"
    return report
