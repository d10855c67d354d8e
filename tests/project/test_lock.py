"""`make sbom` and `make audit` cover what the lock holds, and `make PYTHON=...` keeps environments apart."""

import json
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.support.service import ROOT

LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the Makefile of this checkout in `folder`."""
    command = ["make", "--no-print-directory", "--file", str(ROOT / "Makefile"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_sbom_lists_what_the_lock_pins(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    scripts = f"BIN={sysconfig.get_path('scripts')}"
    # Its validation against the schema takes seconds; CI's own `make sbom` does it.
    answer = make(ROOT, "--old-file", ".venv/.installed-dev", "sbom", scripts, f"SBOM={file}", "ARGS=--no-validate")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    sbom = json.loads(file.read_text())
    assert (sbom["bomFormat"], sbom["metadata"]["component"]["name"]) == ("CycloneDX", "user-api")
    pinned = dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", LOCK, re.MULTILINE))
    assert len(pinned) > 50
    assert {one["name"]: one["version"] for one in sbom["components"]} == pinned
    for component in sbom["components"]:
        assert component["purl"].startswith("pkg:pypi/")
        hashes = {one["content"] for ref in component["externalReferences"] for one in ref["hashes"]}
        assert hashes
        assert all(f"--hash=sha256:{one}" in LOCK for one in hashes)


def test_audit_takes_no_unknown_package_for_a_safe_one() -> None:
    answer = make(ROOT, "--dry-run", "--old-file", ".venv/.installed-dev", "audit")
    assert {"--strict", "--require-hashes", "requirements.txt", "requirements-dev.txt"} <= set(answer.stdout.split())


@pytest.mark.parametrize(
    ("existing", "arguments", "used"),
    [
        (None, [], ".venv/"),
        (None, ["PYTHON=new"], ".venv/"),
        ("3.99", ["PYTHON=new"], ".venv/"),
        ("3.11", ["PYTHON=new"], ".venv-3.99/"),
        ("3.11", [], ".venv/"),
    ],
)
def test_make_keeps_environments_apart(tmp_path: Path, existing: str | None, arguments: list[str], used: str) -> None:
    python = tmp_path / "new"
    python.write_text("#!/bin/sh\necho 3.99\n")
    python.chmod(0o755)
    if existing:
        (tmp_path / ".venv" / "lib" / f"python{existing}").mkdir(parents=True)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).touch()
    arguments = [argument.replace("=new", f"={python}") for argument in arguments]
    printed = make(tmp_path, "--dry-run", "test", *arguments).stdout
    assert f"{used}bin/python -m pytest" in printed, printed
