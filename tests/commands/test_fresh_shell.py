"""What the README offers, typed into a shell in which nothing is set."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from django.core.management import get_commands

from tests.support.service import ROOT

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


def start(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `variables` and what every shell has."""
    shell = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=shell | variables, capture_output=True, text=True, check=False, timeout=60
    )


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return start("manage.py", *arguments, **variables)


# Each command reads the settings anew, as if it were the first one.
EACH = """
import contextlib, io, json, os, sys, traceback
import manage
from django.conf import settings
from django.utils.functional import empty

for arguments in json.loads(sys.argv[1]):
    os.environ.pop("DJANGO_SECRET_KEY", None)
    sys.modules.pop("userapi.settings", None)
    settings._wrapped = empty
    code, output, errors = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            manage.main(["manage.py", *arguments])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            if isinstance(ended.code, str):
                print(ended.code, file=sys.stderr)
        except Exception:
            code = 1
            traceback.print_exc()
    print(json.dumps([code, output.getvalue(), errors.getvalue()]))
"""


class Ended(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run_each(*commands: str, **variables: str) -> dict[str, Ended]:
    """Run these commands of `manage.py` one after the other in one such process; return how each ended."""
    arguments = json.dumps([command.split() for command in commands])
    ended = start("-c", EACH, arguments, **variables)
    assert ended.returncode == 0, ended.stderr
    return dict(zip(commands, (Ended(*json.loads(line)) for line in ended.stdout.splitlines()), strict=True))


def test_command_without_variables_works(migrated_sqlite: Path) -> None:
    ended = run("check", DATABASE_URL=f"sqlite:///{migrated_sqlite}")
    assert ended.returncode == 0, ended.stderr
    assert "DJANGO_SECRET_KEY" not in ended.stderr


def test_our_commands_are_all_tried() -> None:
    ours = {name for name, app in get_commands().items() if str(app).startswith(("telemetry", "userapi"))}
    assert ours == set(OURS)


def test_commands_without_variables_work_and_say_how_they_are_used(migrated_sqlite: Path, tmp_path: Path) -> None:
    helps = {f"{command} --help": f"usage: manage.py {command}" for command in (*OURS, "runserver", "createsuperuser")}
    ready = {"telemetry": "TELEMETRY_MODE", "migrate --check": "", "help": "[accounts]"} | helps
    found = run_each(*ready, DATABASE_URL=f"sqlite:///{migrated_sqlite}", TMPDIR=str(tmp_path))
    for command, expected in ready.items():
        ended = found[command]
        assert (ended.returncode, ended.stderr) == (0, ""), command
        assert expected in ended.stdout, command


@pytest.mark.parametrize("command", ["doctor", "help"])  # one that ends with an exit code, and one that returns
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
    (tmp_path / "db.sqlite3").write_bytes(migrated_sqlite.read_bytes())
    variables = {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "DJANGO_SUPERUSER_PASSWORD": "a long one"}
    admin, token = run_each("create_admin", "create_token admin", **variables).values()
    assert (admin.returncode, token.returncode, token.stderr) == (0, 0, "")
    assert len(token.stdout.strip()) > 40


def test_database_before_migrate_is_one_line(tmp_path: Path) -> None:
    variables = {"DJANGO_SUPERUSER_PASSWORD": "x", "USERAPI_GREETER_URL": "http://127.0.0.1:1"}
    found = run_each(
        "create_token somebody",
        "create_admin",
        "changepassword somebody",
        "createsuperuser --noinput --username a --email a@b.c",
        "deliver_greetings --once",
        "create_token somebody --traceback",
        DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3",
        **variables,
    )
    assert "Traceback" in found.pop("create_token somebody --traceback").stderr
    for command, ended in found.items():
        assert ended.returncode == 1, command
        assert ended.stderr.splitlines()[-1].endswith("run `manage.py migrate` first"), (command, ended.stderr)
        assert "Traceback" not in ended.stderr, command


def test_database_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    ended = run("migrate", DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/db.sqlite3")
    assert ended.returncode == 1
    assert ended.stderr == "manage.py: the database cannot be used (DATABASE_URL): unable to open database file\n"


@pytest.mark.parametrize("command", ["runserver --noreload", "check --deploy", "shell --command pass"])
def test_command_that_signs_asks_for_the_key(command: str) -> None:
    ended = run(*command.split())
    assert ended.returncode == 1
    assert ended.stderr.startswith("manage.py: DJANGO_SECRET_KEY is not set; ")
    assert len(ended.stderr.splitlines()) == 1
