#!/usr/bin/env python
"""Django's command-line utility for administrative tasks."""

import atexit
import gc
import os
import secrets
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, ProgrammingError, connections
from django.db.migrations.executor import MigrationExecutor

_COMMANDS_THAT_SIGN = ("runserver", "shell", "testserver")


def main(arguments: list[str]) -> None:
    """Run the command that `arguments` name.

    A wrong variable or an unusable database ends it with one line, an output without a reader with none.
    """
    command = "help" if {"--help", "-h"} & {*arguments} else "".join(arguments[1:2])
    if command == "demo":
        from telemetry.tools.demo.environment import prepare

        prepare(arguments[2:])
    if command == "compare":
        from telemetry.tools.compare.environment import prepare as prepare_comparison

        prepare_comparison()
    if not _needs_key(command, arguments) and not os.environ.get("DJANGO_SECRET_KEY", "").strip():
        os.environ["DJANGO_SECRET_KEY"] = secrets.token_urlsafe(50)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "userapi.settings")
    try:
        _ = settings.INSTALLED_APPS
    except ImproperlyConfigured as error:
        sys.exit(f"{arguments[0]}: {error}")
    try:
        try:
            execute_from_command_line(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the output's reader has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the interpreter's end
        sys.exit(1)
    except (OperationalError, ProgrammingError) as error:
        problem = None if "--traceback" in arguments else _database_problem(error)
        if problem is None:
            raise
        sys.exit(f"{arguments[0]}: {problem}")


def _needs_key(command: str, arguments: list[str]) -> bool:
    """Whether the command signs something with DJANGO_SECRET_KEY, or checks it."""
    return command in _COMMANDS_THAT_SIGN or (command == "check" and "--deploy" in arguments)


def _database_problem(error: DatabaseError) -> str | None:
    """Return in one line why the database cannot be used; None where `error` is not about that."""
    try:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as unusable:
        error, missing = unusable, []
    if missing:
        return f"the database lacks {len(missing)} migrations: run `manage.py migrate` first"
    if isinstance(error, OperationalError):
        return f"the database cannot be used (DATABASE_URL): {' '.join(str(error).split())}"
    return None


if __name__ == "__main__":
    atexit.register(gc.freeze)  # it ends without searching all of its memory for garbage first
    main(sys.argv)
