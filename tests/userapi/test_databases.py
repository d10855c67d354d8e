"""Connections: kept by each thread, to the file that is there now, and never shared with a forked child."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.ports import free_port
from tests.support.service import ROOT, Service, wait_until

THREADS = 4
FORK = """
import os
from django.db import connection
QUESTION = {"sqlite": "SELECT count(*) FROM users_user", "postgresql": "SELECT pg_backend_pid()"}[connection.vendor]

def asked():
    with connection.cursor() as cursor:
        cursor.execute(QUESTION)
        return cursor.fetchone()[0]

before, driver = asked(), connection.connection
child = os.fork()
if child == 0:
    fresh = connection.connection is None
    print("child", fresh, asked(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("parent", connection.connection is driver, before, asked())
"""


@pytest.fixture(scope="module")
def database(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "service.sqlite3"
    shutil.copy(migrated_sqlite, path)
    return path


def opened(pid: int, path: Path) -> set[int]:
    """Return the descriptors by which a process and its children have the file open."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return {file.fd for process in processes for file in process.open_files() if file.path == str(path)}


@pytest.fixture(scope="module")
def service(share_service: Callable[..., Service], database: Path) -> Service:
    return share_service("--workers=1", f"--threads={THREADS}", DATABASE_URL=f"sqlite:///{database}")


def test_service_keeps_a_connection_for_each_thread(service: Service, database: Path) -> None:
    service.get("/users")
    first = opened(service.process.pid, database)
    assert first
    with ThreadPoolExecutor(2 * THREADS) as clients:
        assert {answer[0] for answer in clients.map(lambda _: service.get("/users"), range(60))} == {200}
    kept = opened(service.process.pid, database)
    assert first <= kept
    assert len(kept) <= THREADS


def test_file_that_was_replaced_is_opened_again(
    service: Service, database: Path, migrated_sqlite: Path, tmp_path: Path
) -> None:
    user = {"name": "Test User", "email": "test@example.com"}
    assert service.request("POST", "/users", user)[0] == 201
    backup = tmp_path / "backup.sqlite3"
    shutil.copy(migrated_sqlite, backup)
    for journal in database.parent.glob("service.sqlite3-*"):
        journal.unlink(missing_ok=True)
    backup.replace(database)
    # It is new in the file that was put there, and every thread says so.
    assert service.request("POST", "/users", user)[0] == 201
    with ThreadPoolExecutor(2 * THREADS) as clients:
        answers = list(clients.map(lambda _: service.get("/users?search=test"), range(20)))
    assert all(answer[0] == 200 and answer[2].count(b"test@example.com") == 1 for answer in answers)


@contextmanager
def runserver(url: str) -> Iterator[tuple[int, int]]:
    """Yield the process id and the port of `manage.py runserver`."""
    port = free_port()
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    env = {**os.environ, "DATABASE_URL": url, "USERAPI_OPEN_ACCESS": "true"}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_runserver_closes_the_connections_of_threads_that_end(database: Path, tmp_path: Path) -> None:
    client = Service(tmp_path, "", {})
    with runserver(f"sqlite:///{database}") as (pid, client.port):
        wait_until(client.answers, 60, "runserver")
        assert [client.get("/users")[0] for _ in range(10)] == [200] * 10
        wait_until(lambda: not opened(pid, database), 60, "the end of its threads")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_forked_child_has_connections_of_its_own(request: pytest.FixtureRequest, database: Path, kind: str) -> None:
    url = request.getfixturevalue("migrated_postgres") if kind == "postgresql" else f"sqlite:///{database}"
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", FORK],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    child, parent = (line.split() for line in done.stdout.splitlines())
    assert child[:2] == ["child", "True"]
    assert parent[:2] == ["parent", "True"]
    assert parent[2] == parent[3]
    if kind == "postgresql":
        assert child[2] != parent[2]
