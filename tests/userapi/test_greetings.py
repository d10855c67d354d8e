"""The worker of the greetings' queue outlives a failure of its database, and loses no task."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copy
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import OperationalError, connection

from tests.support.ports import free_port
from tests.support.service import ROOT, wait_until
from userapi.greetings import tasks
from userapi.greetings.models import Task

NOBODY = "00000000-0000-0000-0000-000000000000"
ADD = f"INSERT INTO greetings_task (user_id, trace_context, created_at) VALUES ('{NOBODY}', '{{}}', '2020-01-01')"  # noqa: S608


@contextmanager
def worker(folder: Path, database: str) -> Iterator[Callable[[], str]]:
    """Run `manage.py deliver_greetings`, whose greeter is down, and stop it; yield what returns its output."""
    env = {"DATABASE_URL": database, "USERAPI_GREETER_URL": f"http://127.0.0.1:{free_port()}", "TELEMETRY_MODE": "off"}
    env["DATABASE_POOL_SIZE"] = "1"  # while a larger pool grows, it has connections that pg_stat_activity does not show
    log = folder / "worker.log"
    with log.open("wb") as output:
        command = [sys.executable, "manage.py", "deliver_greetings"]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env}, stdout=output, stderr=output)
    try:
        yield log.read_text
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def test_worker_notices_that_the_file_was_replaced(tmp_path: Path, migrated_sqlite: Path) -> None:
    path = Path(copy(migrated_sqlite, tmp_path / "tasks.sqlite3"))
    with worker(tmp_path, f"sqlite:///{path}") as output:
        for number in (1, 2):
            with closing(sqlite3.connect(path)) as database, database:
                database.execute(ADD)
            wait_until(lambda: output().count("was not delivered") == number, 60, "the task")  # noqa: B023
            for journal in tmp_path.glob("tasks.sqlite3-*"):
                journal.unlink(missing_ok=True)
            Path(copy(migrated_sqlite, tmp_path / "backup.sqlite3")).replace(path)


def test_worker_outlives_an_outage(tmp_path: Path, short_path: Path, migrated_postgres: str) -> None:
    folder, _, name = migrated_postgres.removeprefix("postgres://postgres@/").rpartition("/")
    door = short_path / "door"
    door.symlink_to(folder)
    with (
        psycopg.connect(host=folder, dbname=name, user="postgres", autocommit=True) as database,
        worker(tmp_path, f"postgres://postgres@/{door}/{name}") as output,
    ):
        database.execute(ADD)
        wait_until(lambda: "was not delivered" in output(), 60, "the first task")
        door.unlink()
        others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid != %s"
        database.execute(others, [name, database.info.backend_pid])
        wait_until(lambda: "its tasks wait" in output(), 60, "the outage")
        database.execute(ADD)
        door.symlink_to(folder)
        wait_until(lambda: output().count("was not delivered") == 2, 60, "the second task")


def test_worker_ends_during_an_outage(tmp_path: Path) -> None:
    with worker(tmp_path, f"postgres://postgres@/{tmp_path}/nothing") as output:
        wait_until(lambda: "its tasks wait" in output(), 60, "the outage")


@pytest.mark.django_db
def test_task_stays_if_the_database_fails() -> None:
    def fail(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if "users_user" in sql:
            raise OperationalError
        return execute(sql, *args)

    tasks.enqueue(UUID(NOBODY))
    with connection.execute_wrapper(fail), pytest.raises(OperationalError):
        tasks.work()
    assert Task.objects.exists()
