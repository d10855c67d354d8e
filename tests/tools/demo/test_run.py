"""The demo as one runs it: real processes, every count exact, nothing left running."""

import json
import shutil
import signal
import socket
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from time import monotonic

import pytest

from telemetry.tools.demo.ports import MODES
from telemetry.tools.traffic.client import call
from tests.support.service import wait_until
from tests.tools.demo.conftest import EndedDemo, RunningDemo, StartDemo, occupied

# Seconds; on a busy machine each starts its processes slowly.
pytestmark = pytest.mark.timeout(400)

STATUSES = {"200", "201", "202", "204", "400", "404", "409", "500"}


def assert_exact(mode: str, tally: dict[str, int]) -> None:
    """Check that each request is in every signal, once, and that no other is."""
    assert tally["sent"] > 0
    assert tally["answered"] == tally["sent"]
    counts = {tally[name] for name in ("server_spans", "access_records", "requests")}
    assert counts == {tally["sent"] + tally["calls"]}
    assert [tally[name] for name in ("visitors", "failed", "dropped", "duplicate_spans")] == [0, 0, 0, 0]
    assert tally["spans"] > tally["server_spans"]
    assert tally["log_records"] >= tally["access_records"]
    points = tally["data_points"] > 0, tally["scraped_samples"] > 0
    assert points == ((True, False) if mode == "collector" else (False, True))


def test_demo_counts_are_exact(ended_demo: EndedDemo) -> None:
    assert ended_demo.code == 0, ended_demo.errors
    tally = json.loads(ended_demo.output)
    assert tally["ok"]
    assert tally["reasons"] == []
    assert set(tally["modes"]) == set(MODES)
    for mode, counts in tally["modes"].items():
        assert_exact(mode, counts)
        assert set(counts["statuses"]) == STATUSES
        assert abs(counts["statuses"]["500"] - counts["sent"] / 100) <= 1
    # The greeter, in collector mode, was called by the services of both modes and by the worker.
    queued = sum(counts["statuses"]["202"] for counts in tally["modes"].values())
    assert tally["modes"]["collector"]["calls"] >= 2 * queued > 0
    assert tally["modes"]["direct"]["calls"] == 0
    assert ended_demo.output.count("\n") == 1
    assert "name admin, password " in ended_demo.errors


def test_demo_delivers_what_its_last_processes_have_recorded(ended_demo: EndedDemo) -> None:
    """The exporter of the worker, which is no server, outlives it: the console waits for both."""
    assert "delivered a greeting" in (ended_demo.folder / "worker.log").read_text()
    assert [log.name for log in ended_demo.folder.glob("*.log") if "dropped" in log.read_text()] == []


def test_demo_of_one_mode_leaves_other_port_alone(start_demo: StartDemo) -> None:
    demo = start_demo("--mode", "direct")
    with occupied(demo.ports.collector):
        demo.wait_for_traffic()
        demo.wait_for_arrivals("direct")
        assert call(demo.ports.direct, "GET", "/livez").status == 200
        demo.signal(signal.SIGINT)
        # `wait` finds the occupied port busy, so only the process is waited for here.
        demo.wait_until_gone(seconds=120)
    assert demo.wait() == 0, demo.errors
    assert set(demo.tally()["modes"]) == {"direct"}
    assert_exact("direct", demo.tally()["modes"]["direct"])


def test_demo_second_run_keeps_data_shows_failing_requests_and_lists_visitors(
    start_demo: StartDemo, ended_demo: EndedDemo, tmp_path: Path
) -> None:
    shutil.copytree(ended_demo.folder, tmp_path / "demo")
    demo = start_demo("--rate", "20")
    demo.wait_for_traffic()
    answer = call(demo.ports.collector, "GET", "/users?page_size=100")
    assert len([user for user in answer.body["results"] if user["email"].endswith("@example.com")]) == 20
    _assert_failures_are_shown(demo)
    missing = call(demo.ports.collector, "GET", "/nowhere")
    assert (missing.status, missing.body["status"]) == (404, 404)
    for port, count in ((demo.ports.collector, 3), (demo.ports.direct, 5)):
        for _ in range(count):
            assert call(port, "GET", "/users").status == 200
    demo.signal(signal.SIGTERM)
    assert demo.wait() == 0, demo.errors
    tally = demo.tally()
    assert {mode: counts["visitors"] for mode, counts in tally["modes"].items()} == {"collector": 5, "direct": 5}
    assert demo.errors.index("Stopping") < demo.errors.index("Everything that was sent arrived")
    assert "sample users" not in demo.errors
    assert (demo.folder / "secret-key").read_text() == (ended_demo.folder / "secret-key").read_text()


def _assert_failures_are_shown(demo: RunningDemo) -> None:
    """Check that the console has a failing request of each mode, with the exception and its log record."""
    failed: dict[str, str] = {}

    def arrived() -> bool:
        for mode in MODES:
            traces = call(demo.ports.console, "GET", f"/api/traces?mode={mode}&limit=500").body["traces"]
            failed.update((mode, trace["trace_id"]) for trace in traces if trace["root_name"] == "GET /demo/failure")
        return set(failed) == set(MODES)

    wait_until(arrived, 60, "the failing requests")
    for mode, trace_id in failed.items():
        trace = call(demo.ports.console, "GET", f"/api/traces/{trace_id}").body
        (span,) = [span for span in trace["spans"] if span["kind"] == "server"]
        (exception,) = [event for event in span["events"] if event["name"] == "exception"]
        assert exception["attributes"]["exception.type"] == "telemetry.tools.demo.urls.PriceError", mode
        assert "KeyError" in exception["attributes"]["exception.stacktrace"]
        wait_until(partial(_has_error_record, demo, trace_id), 60, "the exception's log record")


def _has_error_record(demo: RunningDemo, trace_id: str) -> bool:
    logs = call(demo.ports.console, "GET", f"/api/traces/{trace_id}").body["logs"]
    return any(log["severity"].lower() == "error" for log in logs)


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
    (tmp_path / "demo").mkdir()
    with closing(sqlite3.connect(tmp_path / "demo" / "db.sqlite3")) as database:
        database.execute("BEGIN EXCLUSIVE")  # the demo waits for it before it starts the service
        demo = start_demo("--for", "5", "--mode", "direct")
        wait_until(lambda: "Starting" in demo.errors, 60, "the demo's start")
        server = socket.create_server(("127.0.0.1", demo.ports.direct))
    with server:
        demo.wait_until_gone(seconds=120)
    assert demo.wait() == 1
    assert f"port {demo.ports.direct} for the service in direct mode is busy" in demo.errors
    assert "--port-offset" in demo.errors


def test_demo_fails_when_console_dies(start_demo: StartDemo) -> None:
    demo = start_demo("--mode", "collector")
    demo.wait_for_traffic()
    demo.wait_for_arrivals("collector")
    demo.part("console").kill()
    assert demo.wait() == 1
    assert any(reason.startswith("the console ended by itself") for reason in demo.tally()["reasons"])
    assert not demo.tally()["ok"]


def test_demo_fails_when_service_dies(start_demo: StartDemo) -> None:
    demo = start_demo("--mode", "direct")
    demo.wait_for_traffic()
    demo.wait_for_arrivals("direct")
    demo.part("gunicorn").kill()
    assert demo.wait() == 1
    assert any("in direct mode ended by itself" in reason for reason in demo.tally()["reasons"])


def test_demo_fails_when_telemetry_is_lost(start_demo: StartDemo) -> None:
    demo = start_demo("--mode", "collector", "--rate", "60")
    demo.wait_for_traffic()
    demo.wait_for_arrivals("collector", 60)
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


@pytest.mark.timing
def test_demo_second_interrupt_hurries(start_demo: StartDemo) -> None:
    demo = start_demo("--mode", "collector")
    demo.wait_for_traffic()
    demo.wait_for_arrivals("collector")
    service = demo.part("gunicorn")
    for process in [service, *service.children()]:
        process.suspend()
    started = monotonic()
    # Two of the same kind that come at once would be one.
    demo.signal(signal.SIGINT)
    demo.signal(signal.SIGTERM)
    assert demo.wait() == 1
    # Without hurry it takes forty seconds until the service is killed.
    assert monotonic() - started < 30


def test_demo_killed_leaves_nothing_running(start_demo: StartDemo) -> None:
    demo = start_demo("--mode", "direct")
    demo.wait_for_traffic()
    demo.signal(signal.SIGKILL)
    demo.wait_until_gone()


@pytest.mark.parametrize(
    ("option", "value"), [("--port-offset", "x"), ("--port-offset", "99999"), ("--rate", "0"), ("--for", "-1")]
)
def test_demo_with_bad_option_is_usage_error(start_demo: StartDemo, option: str, value: str) -> None:
    demo = start_demo(f"{option}={value}")
    assert demo.wait() == 2
    assert "expected" in demo.errors
