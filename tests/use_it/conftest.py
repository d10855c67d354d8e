"""The wheel, built once and installed into a folder of its own, and projects that use it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry.tools.console.server import Console
from tests.support.service import ROOT
from tests.support.shared import made_once
from tests.use_it.project import make_project, start_project

_BUILD = "import sys; from flit_core.buildapi import build_wheel; build_wheel(sys.argv[1])"
_INSTALL = ("pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps", "--no-index", "--target")


@pytest.fixture(scope="session")
def wheel(run_folder: Path) -> Path:
    """The wheel of this checkout, built by the backend that pip would call."""

    def build() -> Path:
        folder = run_folder / "wheel"
        folder.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-c", _BUILD, str(folder)], cwd=ROOT, check=True)
        (file,) = folder.glob("*.whl")
        return file

    return made_once(run_folder, "wheel", build)


@pytest.fixture(scope="session")
def site(wheel: Path, run_folder: Path) -> Path:
    """A folder with what the wheel installs, and nothing else of this checkout."""

    def install() -> Path:
        folder = run_folder / "site"
        subprocess.run([sys.executable, "-m", *_INSTALL, str(folder), str(wheel)], check=True)
        return folder

    return made_once(run_folder, "site", install)


@pytest.fixture(scope="session")
def stock(run_folder: Path) -> Path:
    """A project as `startproject` leaves it, to be copied."""
    return made_once(run_folder, "stock-project", lambda: start_project(run_folder / "stock-project"))


@pytest.fixture
def project(stock: Path, tmp_path: Path) -> Path:
    """A project with three views of its own."""
    return make_project(stock, tmp_path / "project")


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console
