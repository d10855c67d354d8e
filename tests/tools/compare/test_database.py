"""Each run has a database of its own, and nothing stays behind."""

from pathlib import Path

import psycopg

from telemetry.tools.compare.setups.database import Database, database
from telemetry.tools.compare.setups.project import migrate
from tests.support.postgres import postgres_server


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


def test_postgres_gets_databases_beside_the_one_that_is_named(tmp_path: Path) -> None:
    # A server of its own: the other tests make databases on theirs meanwhile.
    with postgres_server() as url:
        before = databases(url)
        kept: Database
        with database(url, tmp_path, migrate) as kept:
            assert kept.description.startswith("PostgreSQL 1")
            first, second = kept.fresh(), kept.fresh()
            assert first != second
            assert tables(first) == tables(second) > 0
            assert tables(url) == 0
        assert databases(url) == before


def test_sqlite_gets_a_copy_for_each_run(tmp_path: Path) -> None:
    def write(url: str) -> None:
        Path(url.removeprefix("sqlite:///")).write_text("tables")

    with database("sqlite", tmp_path, write) as kept:
        first, second = (Path(kept.fresh().removeprefix("sqlite:///")) for _ in range(2))
        assert first != second
        assert first.read_text() == second.read_text() == "tables"
