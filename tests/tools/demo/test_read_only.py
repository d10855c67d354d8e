"""The demo where a folder that it would write to is read-only."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from telemetry.tools.demo.environment import database_file
from telemetry.tools.demo.ports import Ports
from tests.support.service import ROOT
from tests.tools.demo.conftest import assert_exact, occupied

READ_ONLY = "mount -t tmpfs -o ro tmpfs {place} && exec {command}"
DEMO = f"{sys.executable} manage.py demo --json --for 2 --mode collector --port-offset {{offset}} --folder {{folder}}"


def in_namespace(place: Path, command: str) -> list[str]:
    """Return how to run `command` where `place` is a read-only file system, which only Linux can do without root."""
    probe = subprocess.run(["unshare", "--map-root-user", "--mount", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("no mount namespaces here (unshare --map-root-user --mount)")
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", READ_ONLY.format(place=place, command=command)]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)


@pytest.mark.timeout(300)
def test_demo_of_one_mode_with_read_only_shared_memory_works(
    disk_folder: Path, offset: int, migrated_sqlite: Path
) -> None:
    shutil.copy(migrated_sqlite, database_file(disk_folder))
    with occupied(Ports(offset).direct):  # it leaves the other mode's port alone
        ended = run(in_namespace(Path("/dev/shm"), DEMO.format(offset=offset, folder=disk_folder)))  # noqa: S108
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Everything that was sent arrived" in ended.stderr
    modes = json.loads(ended.stdout)["modes"]
    assert set(modes) == {"collector"}
    assert_exact("collector", modes["collector"])


def test_demo_in_read_only_folder_is_one_line(tmp_path: Path, offset: int) -> None:
    ended = run(in_namespace(tmp_path, DEMO.format(offset=offset, folder=tmp_path)))
    lines = [line for line in ended.stderr.splitlines() if "ignoring these" not in line]
    assert (ended.returncode, ended.stdout, len(lines)) == (1, "", 1)
    assert lines[0].endswith("Read-only file system; choose another one with --folder")
