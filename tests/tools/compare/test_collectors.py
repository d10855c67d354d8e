"""A collector as the comparison starts it: the generator of the load, on the same cores, goes first."""

import os
from pathlib import Path

import psutil
import pytest

from telemetry.tools.compare.setups.collectors import BackendPorts, Rotel
from telemetry.tools.demo.processes import Processes
from tests.support.ports import free_port


@pytest.mark.skipif(not Rotel.is_installed(), reason="rotel is not installed (make test installs it)")
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
