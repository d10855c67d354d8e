"""Each run has a database of its own, and nothing stays behind."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from telemetry.tools.compare.setups.database import Database, DatabaseError, Postgres, database
from telemetry.tools.compare.setups.project import migrate
from tests.support.postgres import postgres_server
from tests.support.service import ROOT, wait_until
from tests.tools.compare.conftest import command


def tables(url: str) -> int:
    host, _, name = url.removeprefix("postgres://postgres@/").rpartition("/")
    with psycopg.connect(host=host, dbname=name, user="postgres") as connection:
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert found
    return int(found[0])


def databases(url: str) -> set[str]:
    host, _, name = url.removeprefix("postgres://postgres@/").rpartition("/")
    with psycopg.connect(host=host, dbname=name, user="postgres") as connection:
        return {str(row[0]) for row in connection.execute("SELECT datname FROM pg_database")}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a server of this module's own: the other tests make databases on theirs meanwhile."""
    with postgres_server() as url:
        yield url


def test_postgres_gets_databases_beside_the_one_that_is_named(url: str, tmp_path: Path) -> None:
    before = databases(url)
    kept: Database
    with database(url, tmp_path, migrate) as kept:
        assert kept.description.startswith("PostgreSQL 1")
        first, second = kept.fresh(), kept.fresh()
        assert first != second
        assert tables(first) == tables(second) > 0
        assert tables(url) == 0
    assert databases(url) == before


def test_postgres_that_cannot_be_used_keeps_nothing(url: str, tmp_path: Path) -> None:
    def fail(_: str) -> None:
        raise DatabaseError("no tables")

    before = databases(url)
    with pytest.raises(DatabaseError, match="no tables"), database(url, tmp_path, fail):
        pass
    assert databases(url) == before
    elsewhere = f"{url.rpartition('/')[0]}/missing"
    with (
        pytest.raises(DatabaseError, match=r'^PostgreSQL cannot be used: .*database "missing" does not exist'),
        database(elsewhere, tmp_path, migrate),
    ):
        pass


def test_databases_that_cannot_be_removed_are_named(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = databases(url)
    with database(url, tmp_path, lambda _: None) as kept:
        assert isinstance(kept, Postgres)
        kept._connection.close()
        with pytest.raises(DatabaseError, match="PostgreSQL cannot be used: the connection is closed"):
            kept.fresh()
    (left,) = databases(url) - before
    assert f"these databases are left on the server: {left}: the connection is closed" in capsys.readouterr().err


@pytest.mark.timeout(200)
def test_interrupt_while_tables_are_created_leaves_nothing(url: str, tmp_path: Path) -> None:
    """Ctrl-C at a terminal reaches the whole group, the process that creates the tables included."""
    before = databases(url)
    process = subprocess.Popen(
        command(tmp_path, "--database", url), cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(lambda: databases(url) > before, 60, "the database of the comparison")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert databases(url) == before


def test_tables_that_cannot_be_created_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"the service's tables cannot be created: .*unable to open database"):
        migrate(f"sqlite:///{tmp_path}/missing/file")


def test_sqlite_gets_a_copy_for_each_run(tmp_path: Path) -> None:
    def write(url: str) -> None:
        Path(url.removeprefix("sqlite:///")).write_text("tables")

    with database("sqlite", tmp_path, write) as kept:
        first, second = (Path(kept.fresh().removeprefix("sqlite:///")) for _ in range(2))
        assert first != second
        assert first.read_text() == second.read_text() == "tables"
