"""Short comparisons from the command to the report, with real processes."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean

import psutil
import pytest

from telemetry.tools.compare.setups.collectors import Rotel
from tests.support.service import ROOT
from tests.tools.compare.conftest import Ended, command

Compare = Callable[..., Ended]

# Seconds; on a busy machine each starts its processes slowly.
pytestmark = pytest.mark.timeout(400)


def test_cost_and_freshness_of_a_real_service(compare: Compare) -> None:
    arguments = ("--scenarios", "cost", "freshness", "--variants", "off", "direct", "collector-grpc")
    ended = compare(*arguments)
    assert ended.code == 0, ended.output
    report = ended.report
    assert (report["ok"], report["complete"], report["problems"]) == (True, True, [])
    off, control, direct, collector = report["cost"]["variants"]
    assert off["counts"] == control["counts"] == {}
    assert control["ratio"]["cpu"]["pairs"] == 1
    (without,), (of_direct,), (run,) = off["runs"], direct["runs"], collector["runs"]
    assert (without["exporter_cpu"], without["exporter_memory"]) == (None, None)
    assert 0 < of_direct["exporter_cpu"] < of_direct["cpu"]
    assert 5 * 2**20 < of_direct["exporter_memory"] < 100 * 2**20
    goals = {line["goal"] for line in report["goals"]}
    assert goals >= {"memory of the exporter", "memory of a worker above off"}
    for signal_name in ("spans", "log records", "counter"):
        counts = collector["counts"][signal_name]
        assert counts["sent"] == counts["stored"] > run["requests"]
        assert counts["lost"] == 0
    if Rotel.is_installed():  # it has no wheel for every Python
        assert collector["collector"].startswith("Rotel")
        assert run["collector_cpu"] > 0
        assert run["total_cpu"] == pytest.approx(run["cpu"] + run["collector_cpu"], rel=0.01)
        parts = run["memory"] + run["exporter_memory"] + run["collector_memory"]  # of one worker
        assert run["total_memory"] == pytest.approx(parts, rel=0.01)  # each figure is rounded
        assert run["total_bytes"] > run["sent_bytes"]
    assert run["sent_bytes"] > 100
    assert run["cpu"] > 0.0005
    assert 0 < run["p50"] <= run["p95"] <= run["p99"]
    # Of a worker alone less may be counted than without telemetry: it shares libraries with the exporter (PSS).
    assert min(run["memory"], without["memory"]) > 20 * 2**20
    assert run["total_memory"] > without["total_memory"]
    ratio = collector["ratio"]["cpu"]
    both = without["cpu"], control["runs"][0]["cpu"]
    assert ratio["value"] == pytest.approx(run["cpu"] / geometric_mean(both), rel=0.01)
    assert ratio["pairs"] == 1
    assert ratio["low"] is None
    fresh = {one["key"]: one for one in report["freshness"]["variants"]}
    assert fresh.keys() == {"direct", "collector-grpc"}
    signals = fresh["collector-grpc"]["signals"]
    assert signals.keys() == {"spans", "log records", "counter"}
    assert all(0 < one["median"] <= one["p95"] and one["requests"] > 0 for one in signals.values())
    assert report["machine"]["packages"]["gunicorn"]
    assert report["setup"]["rate"] == 20
    # Values given with --set may be secret, so only their names are shown.
    assert report["setup"]["service_environment"] == ["OTEL_BLRP_SCHEDULE_DELAY", "OTEL_BSP_SCHEDULE_DELAY"]
    assert "DELAY=300" not in report["command"]


def test_set_up_that_does_not_start_leaves_the_others_measured(compare: Compare) -> None:
    settings = "DJANGO_SETTINGS_MODULE=tests.tools.compare.settings_without_direct"
    ended = compare("--scenarios", "cost", "--variants", "off", "direct", "--set", settings)
    assert ended.code == 1, ended.output
    (problem,) = ended.report["problems"]
    assert problem.startswith("cost, direct: the service does not answer: ")
    assert "these settings are not for direct mode" in problem
    off, control = ended.report["cost"]["variants"]
    assert (off["key"], control["key"], control["ratio"]["cpu"]["pairs"]) == ("off", "off-control", 1)
    assert len(off["runs"]) == len(control["runs"]) == 1


FAULTS = ("killed", "exporter-killed", "everything-killed", "recycled", "stop", "stop-and-start")
NOTHING_LOST = {"killed", "exporter-killed", "everything-killed", "recycled", "stop-and-start"}


def test_faults_are_counted_with_their_reasons(compare: Compare) -> None:
    arguments = ("--scenarios", "loss", "--faults", *FAULTS, "--variants", "off", "collector-http")
    ended = compare(*arguments, "--collector", "none", "--duration", "2", "--workers", "2")
    assert ended.code == 0, ended.output
    runs = {(run["fault"], run["key"]): run for run in ended.report["loss"]["runs"]}
    assert len(runs) == len(FAULTS)
    for (fault, _), run in runs.items():
        assert run["requests"] > 10
        for account in run["accounts"]:
            assert account["unexplained"] == 0
            assert bool(account["reasons"]) is bool(account["lost"])
            assert account["lost"] == 0 or fault not in NOTHING_LOST
    lost = [line for line in ended.report["goals"] if line["goal"].startswith("lost: ")]
    assert len(lost) == len(NOTHING_LOST)
    assert all(line["met"] for line in lost)


def test_start_of_a_worker_that_is_slow_to_log_it_is_counted(compare: Compare) -> None:
    """A fault may end when the worker that replaces another has joined, and not yet logged that it serves."""
    slow = ("--set", "DJANGO_SETTINGS_MODULE=tests.tools.compare.settings_with_slow_start")
    arguments = ("--scenarios", "loss", "--faults", "killed", "recycled", "--variants", "collector-http", *slow)
    ended = compare(*arguments, "--collector", "none", "--duration", "2", "--workers", "2")
    assert ended.code == 0, ended.output


FIVE_ROUNDS = ("--scenarios", "cost", "--rounds", "5", "--variants", "off", "--workers", "1", "--duration", "0.5")


def test_killed_comparison_has_left_what_it_had_measured(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path, *FIVE_ROUNDS, "--rate", "20"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    seen = ""
    while "[2/5]" not in seen:
        line = process.stderr.readline()
        assert line, seen
        seen += line
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=60)
    report = json.loads((tmp_path / "report.json").read_text())
    rounds = report["cost"]["rounds"]  # the kill may come late
    assert (report["complete"], report["stopped_during"]) == (False, f"cost, round {rounds + 1} of 5")
    assert rounds >= 1
    assert not (tmp_path / "report.html").exists()
    drawn = subprocess.run([sys.executable, "-m", "telemetry.tools.compare.report", tmp_path], cwd=ROOT, check=False)
    assert drawn.returncode == 0
    assert f"Partial: stopped during “{report['stopped_during']}”" in (tmp_path / "report.html").read_text()
    _, alive = psutil.wait_procs(children, 30)
    assert alive == []


def test_interrupt_gives_a_partial_report_and_leaves_nothing_running(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path, *FIVE_ROUNDS, "--rate", "20"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    output = ""
    while "[2/5]" not in output:
        line = process.stderr.readline()
        assert line, output
        output += line
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    html = (tmp_path / "report.html").read_text()
    stopped = re.search(r"Partial: stopped during “cost, round [2-5] of 5”", html)
    assert stopped
    assert f"**{stopped[0]}.**" in (tmp_path / "report.md").read_text()
    assert '"complete": false' in (tmp_path / "report.json").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "report.md", "report.html"}
    _, alive = psutil.wait_procs(children, 30)
    assert alive == []
