"""`make` in a checkout of its own: the environment is made, made again when it was left half made, and not twice."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import ROOT

# Seconds: each makes a virtual environment.
pytestmark = pytest.mark.timeout(300)

# As Debian's Python without python3-venv: it leaves an environment that has no pip.
WITHOUT_ENSUREPIP = f"""#!/bin/sh
[ "$1" = -m ] || exec {sys.executable} "$@"
{sys.executable} -m venv --without-pip .venv && echo "ensurepip is not available"
exit 1
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile beside requirements that need no network, and a command that says how it was run."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).touch()
    (tmp_path / "manage.py").write_text("import sys; print('ran', *sys.argv[1:], sys.prefix)")
    return tmp_path


def make(checkout: Path, *arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments, f"PYTHON={python}"]
    # `make test` passes on what it was called with.
    given = ("MAKE", "MFLAGS", "ARGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(given)}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_environment_left_half_made_mends_itself_and_is_made_once(checkout: Path) -> None:
    broken = checkout / "python3"
    broken.write_text(WITHOUT_ENSUREPIP)
    broken.chmod(0o755)
    failed = make(checkout, "demo", python=str(broken))
    assert failed.returncode != 0
    assert "ensurepip is not available" in failed.stdout
    assert (checkout / ".venv" / "bin" / "python").exists()
    # Made anew, and then its packages were not all installed.
    (checkout / "requirements-dev.txt").write_text("no such package\n")
    failed = make(checkout, "dev")
    assert failed.returncode != 0
    assert " -m venv --clear .venv\n" in failed.stdout
    (checkout / "requirements-dev.txt").write_text("")
    first, second = make(checkout, "dev"), make(checkout, "compare")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "Installing what tests and the comparison need" in first.stdout
    assert " -m venv " not in first.stdout
    assert second.stdout == f"ran compare {checkout / '.venv'}\n"
    demo = make(checkout, "demo", "ARGS=--for 1")
    assert demo.stdout == f"ran demo --for 1 {checkout / '.venv'}\n", demo.stderr
