"""`python -m tests.benchmarks.NAME --help` says what is measured, and measures nothing."""

import subprocess
import sys

import pytest

from tests.support.service import ROOT

PROGRAMS = sorted(
    path.stem for path in (ROOT / "tests" / "benchmarks").glob("*.py") if '__name__ == "__main__"' in path.read_text()
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_measures_nothing(program: str) -> None:
    command = [sys.executable, "-m", f"tests.benchmarks.{program}", "--help"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("usage: ")
