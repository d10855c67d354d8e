"""`make secrets`: an .env with fresh secrets, once."""

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.compose import SECRETS
from tests.support.service import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "write_env.py", tmp_path / "deploy")
    shutil.copy(ROOT / ".env.example", tmp_path)
    return tmp_path


def write(checkout: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "deploy" / "write_env.py")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def values(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))


def test_secrets_fresh_and_private(checkout: Path) -> None:
    answer = write(checkout)
    assert answer.returncode == 0, answer.stderr
    file = checkout / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    example, made = values((checkout / ".env.example").read_text()), values(file.read_text())
    assert {name for name in made if made[name] != example[name]} == set(SECRETS)
    assert len(made["DJANGO_SECRET_KEY"]) >= 50
    for name in SECRETS:
        assert re.fullmatch(r"[A-Za-z0-9_-]{16,}", made[name]), name
        assert made[name] not in answer.stdout
    assert made["COMPOSE_PROFILES"] == "collector"
    file.unlink()
    assert write(checkout).returncode == 0
    again = values(file.read_text())
    assert not {again[name] for name in SECRETS} & {made[name] for name in SECRETS}


def test_secrets_never_overwritten(checkout: Path) -> None:
    (checkout / ".env").write_text("COMPOSE_PROFILES=direct\n")
    answer = write(checkout)
    assert answer.returncode == 1
    assert "stays as it is" in answer.stderr
    # With another password the database would refuse the service.
    assert "down -v, then remove it" in answer.stderr
    assert (checkout / ".env").read_text() == "COMPOSE_PROFILES=direct\n"


def test_secrets_example_without_place_is_an_error(checkout: Path) -> None:
    example = checkout / ".env.example"
    example.write_text(example.read_text().replace("\nPOSTGRES_PASSWORD=", "\nPOSTGRES_PASSWORD=changeme"))
    answer = write(checkout)
    assert answer.returncode != 0
    assert "POSTGRES_PASSWORD is 0 times empty" in answer.stderr
    assert not (checkout / ".env").exists()


def test_secrets_example_holds_none() -> None:
    example = values((ROOT / ".env.example").read_text(encoding="utf-8"))
    assert {name: example[name] for name in SECRETS} == dict.fromkeys(SECRETS, "")


def test_secrets_file_is_ignored() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert not [line for line in ignored if line.startswith("!.env")]
