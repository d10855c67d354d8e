"""A collector as the comparison starts it: the generator of the load, on the same cores, goes first."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from telemetry.tools.compare.scenarios.context import Context
from telemetry.tools.compare.session import collector_title
from telemetry.tools.compare.setups.collectors import BackendPorts, Rotel
from telemetry.tools.compare.setups.route import VARIANTS
from telemetry.tools.compare.setups.standing import Standing
from telemetry.tools.demo.processes import Processes
from tests.support.ports import free_port
from tests.support.rotel import needs_rotel


@needs_rotel
def test_collector_has_less_weight_than_the_generator(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        rotel = Rotel(processes, tmp_path, "grpc", BackendPorts(free_port(), free_port()))
        rotel.start()
        (child,) = (each for each in psutil.Process().children() if each.name() == "rotel-agent")
        assert child.nice() > os.nice(0)
        group = Path(f"/proc/{child.pid}/autogroup")
        if group.exists():  # else the process' own value counts
            assert int(group.read_text().split()[-1]) > 0
        rotel.kill()


@pytest.mark.parametrize(("key", "title"), [("collector-http", "Rotel 1"), ("direct", "")])
def test_collector_is_named_whatever_the_scenario(
    key: str, title: str, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = SimpleNamespace(name="Rotel 1", port=free_port(), start=lambda: None, kill=lambda: None)
    monkeypatch.setattr(Context, "collector", lambda *_: started)
    console: Any = SimpleNamespace(console=SimpleNamespace(grpc_port=free_port(), http_port=free_port()))
    standing = Standing(context, VARIANTS[key])
    standing.folder = Path()
    standing._way_to(console)
    standing._stack.close()
    assert collector_title(context) == title
