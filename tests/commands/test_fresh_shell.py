"""What the README offers, typed into a shell in which nothing is set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.support.service import ROOT

READY = ("check", "telemetry", "migrate --check", "help")
OURS = (
    "audit",
    "compare",
    "console",
    "create_admin",
    "create_token",
    "deliver_greetings",
    "demo",
    "doctor",
    "telemetry",
    "traffic",
)


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` with `variables` and what every shell has."""
    shell = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=shell | variables, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def empty_database(tmp_path: Path) -> str:
    """The URL of a database without tables."""
    return f"sqlite:///{tmp_path}/empty.sqlite3"


@pytest.mark.parametrize("command", READY)
def test_command_without_variables_works(command: str, migrated_sqlite: Path) -> None:
    ended = run(*command.split(), DATABASE_URL=f"sqlite:///{migrated_sqlite}")
    assert ended.returncode == 0, ended.stderr
    assert "DJANGO_SECRET_KEY" not in ended.stderr


def test_our_commands_are_all_tried() -> None:
    ours = {name for name, app in get_commands().items() if str(app).startswith(("telemetry", "userapi"))}
    assert ours == set(OURS)


@pytest.mark.parametrize("command", [*OURS, "runserver", "createsuperuser"])
def test_help_without_variables_works(command: str, tmp_path: Path) -> None:
    ended = run(command, "--help", TMPDIR=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"usage: manage.py {command}" in ended.stdout


@pytest.mark.parametrize("command", ["check", "doctor", "help", "telemetry"])
def test_output_that_nobody_reads_any_more_ends_a_command_quietly(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    manage = [sys.executable, "manage.py", *command.split()]
    ended = subprocess.run(manage, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_unknown_command_is_named() -> None:
    assert "Unknown command: 'telemtry'" in run("telemtry").stderr


def test_token_is_made_without_secret_key(migrated_sqlite: Path, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/db.sqlite3"
    (tmp_path / "db.sqlite3").write_bytes(migrated_sqlite.read_bytes())
    assert run("create_admin", DATABASE_URL=database, DJANGO_SUPERUSER_PASSWORD="a long one").returncode == 0
    ended = run("create_token", "admin", DATABASE_URL=database)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.strip()) > 40


@pytest.mark.parametrize(
    "command",
    [
        "create_token somebody",
        "create_admin",
        "changepassword somebody",
        "createsuperuser --noinput --username a --email a@b.c",
        "deliver_greetings --once",
    ],
)
def test_database_before_migrate_is_one_line(command: str, empty_database: str) -> None:
    variables = {"DJANGO_SUPERUSER_PASSWORD": "x", "USERAPI_GREETER_URL": "http://127.0.0.1:1"}
    ended = run(*command.split(), DATABASE_URL=empty_database, **variables)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("run `manage.py migrate` first"), ended.stderr
    assert "Traceback" not in ended.stderr


def test_database_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    ended = run("migrate", DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/db.sqlite3")
    assert ended.returncode == 1
    assert ended.stderr == "manage.py: the database cannot be used (DATABASE_URL): unable to open database file\n"


def test_database_error_with_traceback_asked_for_shows_it(empty_database: str) -> None:
    assert "Traceback" in run("create_token", "somebody", "--traceback", DATABASE_URL=empty_database).stderr


@pytest.mark.parametrize("command", ["runserver --noreload", "check --deploy", "shell --command pass"])
def test_command_that_signs_asks_for_the_key(command: str) -> None:
    ended = run(*command.split())
    assert ended.returncode == 1
    assert ended.stderr.startswith("manage.py: DJANGO_SECRET_KEY is not set; ")
    assert len(ended.stderr.splitlines()) == 1
