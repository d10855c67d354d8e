import os
from pathlib import Path

import pytest

from telemetry.tools.demo.guard import watch
from telemetry.tools.demo.processes import Child
from tests.support.service import wait_until


def test_watch_returns_what_is_left_latest_first() -> None:
    assert watch(["+10\n", "+11\n", "-10\n", "+12\n"]) == [12, 11]


def test_watch_ignores_line_that_was_cut_short() -> None:
    assert watch(["+10\n", "+11"]) == [10]


@pytest.mark.parametrize("begun", [True, False])
def test_command_runs_only_when_it_is_let(tmp_path: Path, *, begun: bool) -> None:
    """Whoever starts it and is killed before the guard knows it leaves nothing running."""
    child = Child("it", ["touch", str(tmp_path / "ran")], os.environ, tmp_path / "log")
    if begun:
        child.begin()
    else:
        assert child._process.stdin
        child._process.stdin.close()  # as the end of its parent does
    wait_until(lambda: child.code is not None, 60, "its end")
    assert ((tmp_path / "ran").exists(), child.code == 0) == (begun, begun)
