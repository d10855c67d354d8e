"""Only tests marked `timing` get a second run: a rerun of any other test would hide a race."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import ROOT

TESTS = """
import pathlib
import pytest

def fails_once(name):
    marker = pathlib.Path(__file__).with_name(name)
    if not marker.exists():
        marker.touch()
        raise AssertionError(name)

@pytest.mark.timing
def test_marked():
    fails_once("marked")

def test_unmarked():
    fails_once("unmarked")

@pytest.mark.timing
def test_always():
    raise AssertionError("always")
"""


def test_reruns_of_marked_tests_alone(tmp_path: Path) -> None:
    (tmp_path / "test_once.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "no:cacheprovider", str(tmp_path)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    summary = set(re.findall(r"^(RERUN|FAILED|PASSED) \S*::(\w+)", answer.stdout, re.MULTILINE))
    assert summary == {
        ("RERUN", "test_marked"),
        ("PASSED", "test_marked"),
        ("FAILED", "test_unmarked"),
        ("RERUN", "test_always"),
        ("FAILED", "test_always"),
    }, answer.stdout + answer.stderr


@pytest.mark.parametrize("path", ["Makefile", ".ci/run", "pyproject.toml"])
def test_reruns_are_not_switched_on_for_all(path: str) -> None:
    assert "--reruns" not in (ROOT / path).read_text(encoding="utf-8")


def test_reruns_have_one_marker() -> None:
    marker = "mark." + "flaky"
    using = [path.name for path in (ROOT / "tests").rglob("*.py") if marker in path.read_text(encoding="utf-8")]
    assert using == ["timing.py"]
