"""`make verify`: the doctor in each service that runs. A stand-in for `docker` says which do."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.service import ROOT

STAND_IN = """#!/bin/sh
case "$1" in
version) [ "$RUNNING" != none ] || { echo "Cannot connect to the Docker daemon" >&2; exit 1; } ;;
container) for one in $RUNNING; do [ "$one" = "$5" ] && { echo true; exit 0; }; done; exit 1 ;;
exec) echo "$*" >>"$CALLS"; [ "$2" != "$FAILING" ] ;;
esac
"""


def verify(folder: Path, *args: str, running: str, failing: str = "") -> tuple[int, list[str]]:
    stand_in = folder / "docker"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    calls = folder / "calls"
    calls.write_text("")
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "RUNNING": running, "FAILING": failing, "CALLS": str(calls)}
    answer = subprocess.run([ROOT / "deploy" / "verify", *args], env=env, capture_output=True, check=False)
    (folder / "errors").write_bytes(answer.stderr)
    return answer.returncode, calls.read_text().splitlines()


def test_verify_each_service(tmp_path: Path) -> None:
    code, calls = verify(tmp_path, "--json", running="user-api user-api-direct alloy")
    assert code == 0
    assert calls == [f"exec {name} python manage.py doctor --json" for name in ("user-api", "user-api-direct")]


@pytest.mark.parametrize("failing", ["user-api", "user-api-direct"])
def test_verify_one_failing(tmp_path: Path, failing: str) -> None:
    code, calls = verify(tmp_path, running="user-api user-api-direct", failing=failing)
    assert code == 1
    assert len(calls) == 2


def test_verify_with_jaeger(tmp_path: Path) -> None:
    code, calls = verify(tmp_path, running="user-api-direct jaeger")
    assert code == 0
    assert calls == ["exec user-api-direct python manage.py doctor --tempo none"]


def test_verify_without_an_engine(tmp_path: Path) -> None:
    assert verify(tmp_path, running="none") == (1, [])
    assert b"Cannot connect to the Docker daemon" in (tmp_path / "errors").read_bytes()
    assert b"docker compose up" not in (tmp_path / "errors").read_bytes()


def test_verify_nothing_runs(tmp_path: Path) -> None:
    assert verify(tmp_path, running="alloy") == (1, [])
    assert b"docker compose up -d starts them" in (tmp_path / "errors").read_bytes()
