"""Short comparisons from the command to the report, with real processes."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import psutil
import pytest

from tests.support.rotel import HAS_ROTEL
from tests.support.service import ROOT, wait_until
from tests.tools.compare.conftest import SHORT, Ended, command

# Seconds; on a busy machine each starts its processes slowly.
pytestmark = pytest.mark.timeout(400)


def test_cost_of_a_real_service(compare: Callable[..., Ended]) -> None:
    ended = compare("--scenarios", "cost", "--variants", "off", "collector-grpc")
    assert ended.code == 0, ended.output
    report = ended.report
    assert (report["ok"], report["complete"], report["problems"]) == (True, True, [])
    assert report["cost"]["rounds"] == 1
    off, control, collector = report["cost"]["variants"]
    assert off["counts"] == control["counts"] == {}
    assert control["ratio"]["cpu"]["pairs"] == 1
    (without,), (run,) = off["runs"], collector["runs"]
    assert (without["exporter_cpu"], without["exporter_memory"]) == (None, None)
    assert 0 < run["exporter_cpu"] < run["cpu"]
    assert 5 * 2**20 < run["exporter_memory"] < 100 * 2**20
    assert "memory of a worker above off" in {line["goal"] for line in report["goals"]}
    for signal_name in ("spans", "log records", "counter"):
        counts = collector["counts"][signal_name]
        assert counts["sent"] == counts["stored"] > run["requests"]
        assert counts["lost"] == 0
    if HAS_ROTEL:
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
    assert report["machine"]["packages"]["gunicorn"]
    assert report["setup"]["rate"] == 20
    # Values given with --set may be secret, so only their names are shown.
    assert report["setup"]["service_environment"] == ["OTEL_BLRP_SCHEDULE_DELAY", "OTEL_BSP_SCHEDULE_DELAY"]
    assert "DELAY=300" not in report["command"]


FAULTS = ("killed", "exporter-killed", "everything-killed", "recycled", "stop", "stop-and-start")
NOTHING_LOST = {"killed", "exporter-killed", "everything-killed", "recycled", "stop-and-start"}


def test_faults_are_counted_with_their_reasons(measure: Callable[..., dict[str, Any]]) -> None:
    arguments = ["--scenarios", "loss", "--faults", *FAULTS, "--variants", "off", "collector-http"]
    report = measure(*arguments, "--collector", "none", "--duration", "2", "--workers", "2")
    assert (report["complete"], report["problems"]) == (True, [])
    runs = {(run["fault"], run["key"]): run for run in report["loss"]["runs"]}
    assert len(runs) == len(FAULTS)
    for (fault, _), run in runs.items():
        assert run["requests"] > 10
        for account in run["accounts"]:
            assert account["unexplained"] == 0
            assert bool(account["reasons"]) is bool(account["lost"])
            assert account["lost"] == 0 or fault not in NOTHING_LOST
    lost = [line for line in report["goals"] if line["goal"].startswith("lost: ")]
    assert len(lost) == len(NOTHING_LOST)
    assert all(line["met"] for line in lost)


def test_start_of_a_worker_that_is_slow_to_log_it_is_counted(measure: Callable[..., dict[str, Any]]) -> None:
    """A fault may end when the worker that replaces another has joined, and not yet logged that it serves."""
    slow = ["GUNICORN_CMD_ARGS=--preload", "DJANGO_SETTINGS_MODULE=tests.tools.compare.settings_with_slow_start"]
    arguments = ["--scenarios", "loss", "--faults", "killed", "recycled", "--variants", "collector-http"]
    report = measure(*arguments, "--collector", "none", "--duration", "2", "--workers", "2", "--set", *slow)
    assert (report["complete"], report["problems"]) == (True, [])


def _started_until(step: str, folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start a comparison, and return it when it has begun a step, with the processes that it has then."""
    process = subprocess.Popen(command(folder, *SHORT, *arguments), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    seen = ""
    while step not in seen:
        line = process.stderr.readline()
        assert line, seen
        seen += line
    comparison = psutil.Process(process.pid)
    return process, wait_until(lambda: comparison.children(recursive=True), 60, "the step's processes")


def test_killed_comparison_has_left_what_it_had_measured(tmp_path: Path) -> None:
    """A set-up that does not start included: the other is measured."""
    arguments = ["--scenarios", "cost", "--rounds", "5", "--variants", "collector-http", "direct"]
    arguments += ["--collector", "none", "--set", "DJANGO_SETTINGS_MODULE=tests.tools.compare.settings_without_direct"]
    process, children = _started_until("[2/5]", tmp_path, *arguments)
    process.kill()
    process.communicate(timeout=60)
    report = json.loads((tmp_path / "report.json").read_text())
    (collector,) = report["cost"]["variants"]
    rounds = len(collector["runs"])  # the kill may come late
    assert (report["complete"], report["stopped_during"]) == (False, f"cost, round {rounds + 1} of 5")
    assert (collector["key"], len(report["problems"])) == ("collector-http", rounds)
    assert report["cost"]["rounds"] == rounds >= 1
    for problem in report["problems"]:
        assert problem.startswith("cost, direct: the service does not answer: ")
        assert "these settings are not for direct mode" in problem
    assert not (tmp_path / "report.html").exists()
    drawn = subprocess.run([sys.executable, "-m", "telemetry.tools.compare.report", tmp_path], cwd=ROOT, check=False)
    assert drawn.returncode == 0
    assert f"Partial: stopped during “{report['stopped_during']}”" in (tmp_path / "report.html").read_text()
    _, alive = psutil.wait_procs(children, 30)
    assert alive == []


def test_interrupt_gives_a_partial_report_and_leaves_nothing_running(tmp_path: Path) -> None:
    arguments = ("--scenarios", "freshness", "cost", "--rounds", "5", "--variants", "direct")
    process, children = _started_until("[2/6]", tmp_path, *arguments)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    partial = re.search(r"Partial: stopped during “cost, round [1-5] of 5.*?”", (tmp_path / "report.html").read_text())
    assert partial
    assert f"**{partial[0]}.**" in (tmp_path / "report.md").read_text()
    report = json.loads((tmp_path / "report.json").read_text())
    assert not report["complete"]
    (fresh,) = report["freshness"]["variants"]
    assert fresh["signals"].keys() == {"spans", "log records", "counter"}
    assert all(0 < one["median"] <= one["p95"] and one["requests"] > 0 for one in fresh["signals"].values())
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "report.md", "report.html"}
    _, alive = psutil.wait_procs(children, 30)
    assert alive == []
