"""Before it measures, a comparison says that other processes are at work."""

import io
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry.tools.compare import machine
from telemetry.tools.compare.options import Options
from telemetry.tools.compare.progress import Progress
from telemetry.tools.compare.session import BusyError, Session
from telemetry.tools.compare.setups.database import Database, database
from telemetry.tools.compare.setups.project import Project


def _burn() -> None:
    while True:
        pass


@pytest.fixture
def busy() -> Iterator[None]:
    """Processes that use every core."""
    processes = [multiprocessing.Process(target=_burn, daemon=True) for _ in machine.usable_cores()]
    for process in processes:
        process.start()
    yield
    for process in processes:
        process.kill()


@pytest.mark.usefixtures("busy")
def test_busy_machine_is_measured() -> None:
    assert machine.busy(0.3) > 0.5


class Unmigrated(Project):
    """The service without the tables that nothing here needs."""

    def database(self, given: str, folder: Path) -> Database:
        return database(given, folder, lambda _: None)


@pytest.mark.parametrize(("busy_share", "said"), [(0.63, True), (0.05, False)])
def test_busy_machine_is_reported_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, busy_share: float, said: bool
) -> None:
    monkeypatch.setattr(machine, "facts", lambda: {"busy": busy_share, "load_average": [3.0, 1, 1], "usable_cores": 2})
    options = Options(tmp_path, scenarios=(), variants=("off",), rate=1.0)
    stream = io.StringIO()
    report = Session(options, Progress(stream), Unmigrated(), lambda _: None).run()
    assert report["complete"]
    expected = "this machine is busy: other processes use 63% of its CPU time (load average 3, 1, 1)"
    assert stream.getvalue().startswith(expected) is said


@pytest.mark.parametrize(("busy_share", "load"), [(0.3, 0.1), (0.01, 2.0)])
def test_busy_machine_is_refused_before_anything_is_published(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, busy_share: float, load: float
) -> None:
    monkeypatch.setattr(machine, "facts", lambda: {"busy": busy_share, "load_average": [load, 0, 0]})
    options = Options(tmp_path, scenarios=(), variants=("off",), rate=1.0, publish=True)
    session = Session(options, Progress(io.StringIO()), Project(), lambda _: None)
    message = f"other processes use {busy_share:.0%} of this machine and its load average is {load:g}; accepted"
    with pytest.raises(BusyError, match=message):
        session.run()


def test_load_between_steps_decides_whether_a_report_is_published() -> None:
    assert machine.unfit_to_publish(0.04, 0.4) == ""
    assert "at most 5% and 0.5" in machine.unfit_to_publish(0.06, 0.4)
