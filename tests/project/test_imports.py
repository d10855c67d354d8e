"""The service uses telemetry through its public names, whatever modules are added on either side."""

import re
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest

from tests.support.service import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
#: Django's settings name these in strings, which import-linter does not see.
NAMED_IN_SETTINGS = {"telemetry.middleware", "telemetry.tools"}


def public_modules() -> set[str]:
    """Return the modules of telemetry that the contract lets the service import."""
    (contract,) = [one for one in SETTINGS["contracts"] if one.get("id") == "public-names"]
    return {imported.partition(" -> ")[2] for imported in contract["ignore_imports"]}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The code of both packages, to be changed."""
    for package in SETTINGS["root_packages"]:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=lambda *_: ["__pycache__", "static", "templates"])
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sysconfig.get_path("scripts")) / "lint-imports"
    command = [str(program), "--contract", "public-names", "--no-cache"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False, timeout=120)


def add(checkout: Path, module: str, code: str) -> None:
    path = checkout.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(exist_ok=True)
    (path.parent / "__init__.py").touch()
    path.write_text(code)


def test_service_cannot_import_a_module_added_to_telemetry(checkout: Path) -> None:
    imports = {"userapi.users.added": "telemetry.added", "userapi.users.other": "telemetry.other.deeper"}
    for module in imports.values():
        add(checkout, module, "NAME = 1\n")
    assert lint(checkout).returncode == 0
    for importer, module in imports.items():
        add(checkout, importer, f"from {module} import NAME\n")
    answer = lint(checkout)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    for importer, module in imports.items():
        assert f"{importer} -> {module}" in re.sub(r"\s+", " ", answer.stdout)


def test_service_may_import_public_modules(checkout: Path) -> None:
    assert public_modules()
    add(checkout, "userapi.added", "".join(f"import {name}\n" for name in sorted(public_modules())))
    answer = lint(checkout)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_strings_of_the_service_name_public_modules() -> None:
    allowed = public_modules() | NAMED_IN_SETTINGS
    found = {
        match[1]: path
        for path in (ROOT / "userapi").rglob("*.py")
        for match in re.finditer(r"[\"'](telemetry\.[a-z_]+)", path.read_text(encoding="utf-8"))
    }
    assert "telemetry.middleware" in found
    assert {name: path for name, path in found.items() if name not in allowed} == {}
