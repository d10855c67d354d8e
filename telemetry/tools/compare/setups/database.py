"""A separate database for every run, copied from one template so that all runs start alike."""

import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from psycopg import Connection


class DatabaseError(Exception):
    """A database that cannot be used or copied; one line."""


class Database(Protocol):
    """The service's database. A context manager that removes everything at its end."""

    description: str

    def __enter__(self) -> Self:
        """Make the template."""

    def __exit__(self, *exception: object) -> None:
        """Remove everything."""

    def fresh(self) -> str:
        """Return the URL of an empty, migrated database."""


class Sqlite:
    """Files in `folder`. `migrate` fills the database behind a URL with tables."""

    def __init__(self, folder: Path, migrate: Callable[[str], None]) -> None:
        import sqlite3

        self.description = f"SQLite {sqlite3.sqlite_version}"
        self._folder = folder
        self._migrate = migrate
        self._numbers = count(1)

    def __enter__(self) -> Self:
        self._template = self._folder / "template.sqlite3"
        self._migrate(f"sqlite:///{self._template}")
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: the folder is removed as a whole."""

    def fresh(self) -> str:
        copy = self._folder / f"run-{next(self._numbers)}.sqlite3"
        shutil.copy(self._template, copy)
        return f"sqlite:///{copy}"


class Postgres:
    """New databases on the server that `url` names; the one named there is only connected to.

    Its user needs the right to create databases.
    """

    def __init__(self, url: str, migrate: Callable[[str], None]) -> None:
        self.description = "PostgreSQL"
        self._url = url
        self._migrate = migrate
        self._made: list[str] = []

    def __enter__(self) -> Self:
        import psycopg

        with _errors_in_one_line():
            self._connection = psycopg.connect(**self._parameters(), autocommit=True)
        try:
            self.description = f"PostgreSQL {self._connection.info.server_version // 10000}"
            self._template = self._create()
            self._migrate(self._named(self._template))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        drop(self._connection, self._made)

    def fresh(self) -> str:
        return self._named(self._create(f' TEMPLATE "{self._template}"'))

    def _create(self, how: str = "") -> str:
        name = f"compare_{secrets.token_hex(6)}"
        with _errors_in_one_line():
            self._connection.execute(f'CREATE DATABASE "{name}"{how}'.encode())
        self._made.append(name)
        return name

    def _parameters(self) -> dict[str, Any]:
        """Return what psycopg needs; a URL without a host names the folder of a Unix socket in its path."""
        parts = urlsplit(self._url)
        folder, _, name = unquote(parts.path).rpartition("/")
        given = {"user": parts.username, "password": parts.password, "port": parts.port}
        return {
            "host": parts.hostname or folder,
            "dbname": name,
            **{key: unquote(str(value)) for key, value in given.items() if value},
        }

    def _named(self, name: str) -> str:
        parts = urlsplit(self._url)
        return urlunsplit(parts._replace(path=f"{parts.path.rpartition('/')[0]}/{name}"))


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    import psycopg

    try:
        yield
    except (psycopg.Error, ValueError) as error:  # ValueError: a port that is no number
        raise DatabaseError(f"PostgreSQL cannot be used: {' '.join(str(error).split())}") from None


def drop(connection: "Connection[Any]", names: Sequence[str]) -> None:
    """Remove databases and close the connection; where that fails, print a line that names those left."""
    import psycopg

    left = list(names)
    try:
        while left:
            connection.execute(f'DROP DATABASE IF EXISTS "{left[-1]}" WITH (FORCE)'.encode())
            left.pop()
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        print(f"compare: these databases are left on the server: {', '.join(left)}: {reason}", file=sys.stderr)  # noqa: T201
    connection.close()


def database(url: str, folder: Path, migrate: Callable[[str], None]) -> Database:
    """Return the database for `--database`: `sqlite` or the URL of a PostgreSQL."""
    return Sqlite(folder, migrate) if url == "sqlite" else Postgres(url, migrate)
