"""The demo as one runs it: real processes, every count exact, nothing left running."""

import json
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from telemetry.tools.demo.environment import database_file
from telemetry.tools.demo.ports import MODES
from telemetry.tools.management.commands.demo import Command
from tests.support.service import wait_until
from tests.tools.demo.conftest import EndedDemo, StartDemo, VisitedDemo, assert_exact, occupied

# Seconds; on a busy machine each starts its processes slowly.
pytestmark = pytest.mark.timeout(400)

STATUSES = {"200", "201", "202", "204", "400", "404", "409", "500"}


def test_demo_killed_leaves_nothing_running(killed_demo: EndedDemo) -> None:
    """Its end was waited for. Until then it had worked, and left the port of the other mode alone."""
    assert killed_demo.code == -signal.SIGKILL
    assert "Made 20 sample users." in killed_demo.errors


def test_demo_counts_are_exact(visited_demo: VisitedDemo) -> None:
    """With all visits, after a stop by a signal."""
    ended = visited_demo.ended
    assert ended.code == 0, ended.errors
    tally = json.loads(ended.output)
    assert tally["ok"]
    assert tally["reasons"] == []
    assert set(tally["modes"]) == set(MODES)
    for mode, counts in tally["modes"].items():
        assert_exact(mode, counts, visitors=5)
        assert set(counts["statuses"]) == STATUSES
        assert abs(counts["statuses"]["500"] - counts["sent"] / 100) <= 1
    # The greeter, in collector mode, was called by the services of both modes and by the worker.
    queued = sum(counts["statuses"]["202"] for counts in tally["modes"].values())
    assert tally["modes"]["collector"]["calls"] >= 2 * queued > 0
    assert tally["modes"]["direct"]["calls"] == 0
    assert ended.output.count("\n") == 1
    assert "name admin, password " in ended.errors
    assert ended.errors.index("Stopping") < ended.errors.index("Everything that was sent arrived")


def test_demo_delivers_what_its_last_processes_have_recorded(visited_demo: VisitedDemo) -> None:
    """The exporter of the worker, which is no server, outlives it: the console waits for both."""
    folder = visited_demo.ended.folder
    assert "delivered a greeting" in (folder / "worker.log").read_text()
    assert [log.name for log in folder.glob("*.log") if "dropped" in log.read_text()] == []


def test_demo_second_run_keeps_data(visited_demo: VisitedDemo, killed_demo: EndedDemo) -> None:
    assert len([email for email in visited_demo.emails if email.endswith("@example.com")]) == 20
    assert "sample users" not in visited_demo.ended.errors
    assert visited_demo.ended.secret == killed_demo.secret


@pytest.mark.parametrize("mode", MODES)
def test_demo_shows_failing_requests(visited_demo: VisitedDemo, mode: str) -> None:
    """With the exception; its log record was waited for."""
    (span,) = [span for span in visited_demo.failures[mode]["spans"] if span["kind"] == "server"]
    (exception,) = [event for event in span["events"] if event["name"] == "exception"]
    assert exception["attributes"]["exception.type"] == "telemetry.tools.demo.urls.PriceError"
    assert "KeyError" in exception["attributes"]["exception.stacktrace"]


def test_demo_with_busy_port_starts_nothing(start_demo: StartDemo, offset: int) -> None:
    port = 8081 + offset
    with occupied(port):
        demo = start_demo("--for", "1")
        demo.wait_until_gone()
    assert demo.wait() == 1
    lines = [line for line in demo.errors.splitlines() if "ignoring these" not in line]
    assert len(lines) == 1
    assert str(port) in lines[0]
    assert "--port-offset" in lines[0]
    assert demo.output == ""
    assert not list(demo.folder.glob("*.log"))


def test_demo_with_port_taken_meanwhile_names_it(start_demo: StartDemo, tmp_path: Path) -> None:
    with closing(sqlite3.connect(database_file(tmp_path / "demo"))) as database:
        database.execute("BEGIN EXCLUSIVE")  # the demo waits for it before it starts the service
        demo = start_demo("--for", "5", "--mode", "direct")
        wait_until(lambda: "Starting" in demo.errors, 60, "the demo's start")
        server = socket.create_server(("127.0.0.1", demo.ports.direct))
    with server:
        demo.wait_until_gone(seconds=120)
    assert demo.wait() == 1
    assert f"port {demo.ports.direct} for the service in direct mode is busy" in demo.errors
    assert "--port-offset" in demo.errors


@pytest.mark.timing
def test_demo_whose_processes_die_says_so_and_hurries_at_a_second_interrupt(start_demo: StartDemo) -> None:
    demo = start_demo("--mode", "collector")
    demo.wait_for_traffic()
    demo.wait_for_arrivals("collector")
    demo.part("gunicorn", "greeter").suspend()
    demo.part("gunicorn").kill()
    wait_until(lambda: "Stopping" in demo.errors, 60, "the stop")
    demo.part("console").kill()
    started = monotonic()
    # Two of the same kind that come at once would be one.
    demo.signal(signal.SIGINT)
    demo.signal(signal.SIGTERM)
    assert demo.wait() == 1
    # Without hurry it takes forty seconds until the greeter is killed.
    assert monotonic() - started < 30
    reasons = "\n".join(demo.tally()["reasons"])
    assert "the service in collector mode ended by itself" in reasons
    assert "the greeter was killed before it had stopped" in reasons
    assert "the console does not answer" in reasons
    assert not demo.tally()["ok"]


def test_demo_fails_when_console_dies(start_demo: StartDemo) -> None:
    demo = start_demo("--mode", "direct")
    demo.wait_for_traffic()
    demo.part("console").kill()
    assert demo.wait() == 1
    assert any(reason.startswith("the console ended by itself") for reason in demo.tally()["reasons"])
    assert not demo.tally()["ok"]


def test_demo_fails_when_telemetry_is_lost(start_demo: StartDemo) -> None:
    demo = start_demo("--mode", "collector", "--rate", "20")
    demo.wait_for_traffic()
    demo.wait_for_arrivals("collector")
    exporter = demo.part("telemetry.exporting")
    exporter.suspend()
    log = demo.folder / "collector.log"
    before = len(log.read_text())
    wait_until(lambda: "userapi.access" in log.read_text()[before:], 60, "a request that nobody exports")
    demo.signal(signal.SIGINT)
    wait_until(lambda: not demo.runs, 60, "the demo's end")
    exporter.kill()
    assert demo.wait() == 1
    assert any("did not arrive" in reason for reason in demo.tally()["reasons"])


def test_demo_with_bad_option_is_usage_error(start_demo: StartDemo) -> None:
    demo = start_demo("--port-offset=x")
    assert demo.wait() == 2
    assert "expected" in demo.errors


@pytest.mark.parametrize("option", ["--port-offset=99999", "--rate=0", "--for=-1"])
def test_demo_with_value_out_of_bounds_is_usage_error(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        Command().run_from_argv(["manage.py", "demo", option])
    assert "expected" in capsys.readouterr().err
