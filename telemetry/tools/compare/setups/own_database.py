"""Copies of the database of a reader's project: the original is read once, and never written to."""

import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, Self

from telemetry.tools.compare.setups.database import Database, DatabaseError, drop
from telemetry.tools.compare.upstream import HERE
from telemetry.tools.compare.upstream.project import APPLICATION, DATABASE_NAME, SETTINGS

_ASK = (
    "import json; from django.conf import settings; d = settings.DATABASES.get('default', {}); "
    "names = ('ENGINE', 'NAME', 'USER', 'PASSWORD', 'HOST', 'PORT'); "
    "print(json.dumps({name: str(d.get(name) or '') for name in names}))"
)


_ASK_WSGI = (
    "from telemetry.tools.compare.upstream import project; project.application(); "
    "from django.conf import settings; print(settings.DATABASES.get('default', {}).get('NAME', ''))"
)


class NoDatabase:
    """The database of a project that has none."""

    description = "no database"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: there is nothing to remove."""

    def fresh(self) -> str:
        return ""


class SqliteCopies:
    """Copies of a file in `folder`, made by SQLite's backup API over a read-only connection."""

    def __init__(self, original: Path, folder: Path) -> None:
        self.description = f"SQLite {sqlite3.sqlite_version}, copies of the project's"
        self._original = original
        self._folder = folder
        self._numbers = count(1)

    def __enter__(self) -> Self:
        self._template = self._folder / "template.sqlite3"
        try:
            with (
                closing(sqlite3.connect(f"{self._original.absolute().as_uri()}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(self._template)) as target,
            ):
                source.backup(target)
        except sqlite3.Error as error:
            raise DatabaseError(f"the project's database {self._original} cannot be copied: {error}") from None
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: the folder is removed as a whole."""

    def fresh(self) -> str:
        copy = self._folder / f"run-{next(self._numbers)}.sqlite3"
        shutil.copy(self._template, copy)
        return f"sqlite:{copy}"


class PostgresCopies:
    """Databases on the project's own server: a template restored from pg_dump, copied for each run.

    The project's user needs the right to create databases.
    """

    def __init__(self, given: dict[str, str]) -> None:
        self.description = "PostgreSQL, copies of the project's"
        self._given = given
        self._made: list[str] = []

    def __enter__(self) -> Self:
        import psycopg

        if missing := [program for program in ("bash", "pg_dump", "psql") if shutil.which(program) is None]:
            raise self._error(f"{', '.join(missing)} is not installed")
        try:
            self._connection = psycopg.connect(**self._parameters(), autocommit=True)
        except psycopg.Error as error:
            raise self._error(str(error)) from None
        try:
            self._template = self._create()
            self._fill()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _error(self, reason: str) -> DatabaseError:
        return DatabaseError(
            f"the project's database {self._given['NAME']} cannot be copied: {' '.join(reason.split())}"
        )

    def _fill(self) -> None:
        given = self._given
        names = {"HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD"}
        env = os.environ | {variable: given[name] for name, variable in names.items() if given[name]}
        command = 'set -o pipefail; pg_dump --no-owner "$1" | psql -X --quiet --set ON_ERROR_STOP=1 --dbname "$2"'
        done = subprocess.run(  # noqa: S603  (the names are arguments, not part of the command)
            ["bash", "-c", command, "copy", given["NAME"], self._template],  # noqa: S607
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise self._error(" | ".join(done.stderr.strip().splitlines()[-2:]))

    def __exit__(self, *_: object) -> None:
        drop(self._connection, self._made)

    def fresh(self) -> str:
        return f"postgresql:{self._create(self._template)}"

    def _create(self, template: str = "") -> str:
        import psycopg

        name = f"compare_{secrets.token_hex(6)}"
        how = f' TEMPLATE "{template}"' if template else ""
        try:
            self._connection.execute(f'CREATE DATABASE "{name}"{how}'.encode())
        except psycopg.Error as error:
            raise self._error(str(error)) from None
        self._made.append(name)
        return name

    def _parameters(self) -> dict[str, Any]:
        names = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "NAME": "dbname"}
        return {parameter: self._given[name] for name, parameter in names.items() if self._given[name]}


def own_database(settings: str, application: str, folder: Path) -> Database:
    """Return an object that copies the default database of the project with these settings; raises DatabaseError.

    The WSGI application is loaded once to check that it would use a copy, not the original.
    """
    given: dict[str, str] = json.loads(_printed(f"--settings {settings}", _ASK, {"DJANGO_SETTINGS_MODULE": settings}))
    engine = given["ENGINE"]
    if not engine or engine.endswith("dummy"):
        return NoDatabase()
    elsewhere = str(folder / "none")
    env = {"DJANGO_SETTINGS_MODULE": f"{HERE}.project_settings", SETTINGS: settings, DATABASE_NAME: elsewhere}
    if _printed(f"--wsgi {application}", _ASK_WSGI, env | {APPLICATION: application}) != elsewhere:
        raise DatabaseError(
            f"--wsgi {application} overwrites DJANGO_SETTINGS_MODULE, so the load would reach the project's own "
            "database; expected os.environ.setdefault, as startproject writes it"
        )
    if "sqlite" in engine:
        return SqliteCopies(Path(given["NAME"]), folder)
    if "postgresql" in engine:
        return PostgresCopies(given)
    raise DatabaseError(f"ENGINE is {engine!r}; expected a backend for SQLite or PostgreSQL")


def _printed(option: str, code: str, env: dict[str, str]) -> str:
    """Return the last line that `code` prints in a separate Python process; raises DatabaseError."""
    answer = subprocess.run(  # noqa: S603  (this Python, with the reader's own modules)
        [sys.executable, "-c", code],
        env=os.environ | env | {"TELEMETRY_MODE": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode or not answer.stdout.strip():
        reason = answer.stderr.strip().splitlines() or ["nothing was printed"]
        raise DatabaseError(f"{option} cannot be loaded: {reason[-1]}")
    return answer.stdout.splitlines()[-1]
