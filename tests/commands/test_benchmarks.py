"""`python -m tests.benchmarks.NAME --help` says what is measured, and measures nothing."""

import runpy
import subprocess
import sys

import pytest

from tests.support.service import ROOT

FOLDER = ROOT / "tests" / "benchmarks"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py") if '__name__ == "__main__"' in path.read_text())


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_measures_nothing(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / f"{program}.py"), run_name="__main__")
    shown = capsys.readouterr()
    assert (ended.value.code, shown.err) == (0, "")
    assert shown.out.startswith("usage: ")


def test_benchmark_is_a_program_of_its_own() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.memory", "--help"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("usage: ")
