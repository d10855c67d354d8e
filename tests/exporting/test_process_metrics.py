"""CPU, memory and age of real processes, seen from outside."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.process_metrics import ProcessMetrics
from telemetry.exporting.metrics.views import Views
from telemetry.exporting.rings import Writer

BUSY = "print(flush=True)\nwhile True:\n    sum(range(1000))\n"
Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def process() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE))
        assert started[-1].stdout
        started[-1].stdout.readline()  # it has started, and grows no more
        return started[-1]

    yield process
    for each in started:
        each.kill()
        each.communicate()


def writer(process: subprocess.Popen[bytes]) -> Writer:
    return Writer(0, process.pid, 1)


def values(aggregation: Aggregation) -> dict[str, float]:
    """Return the values by metric and attributes; those of the kinds of CPU time added up."""
    found: dict[str, float] = {}
    for instrument, series in aggregation.metrics():
        found[instrument[1]] = sum(each.value for each in series)
    return found


def test_processes_are_added_up_and_the_youngest_gives_the_age(start: Start) -> None:
    aggregation = Aggregation(Views({}))
    processes = ProcessMetrics(aggregation)
    one = start()
    processes.observe([writer(one)], fresh=True)
    alone = values(aggregation)
    assert alone["telemetry.worker.count"] == alone["process.thread.count"] == 1
    assert alone["process.memory.usage"] == pytest.approx(psutil.Process(one.pid).memory_info().rss, rel=0.5)
    assert alone["process.memory.virtual"] > alone["process.memory.usage"] > 1 << 20
    assert alone["process.open_file_descriptor.count"] >= 3
    while values(aggregation)["process.uptime"] < 0.5:
        processes.observe([writer(one)], fresh=True)
        time.sleep(0.05)
    other = start()
    processes.observe([writer(one), writer(other)], fresh=True)
    both = values(aggregation)
    assert both["telemetry.worker.count"] == both["process.thread.count"] == 2
    assert both["process.memory.virtual"] > 1.5 * alone["process.memory.virtual"]
    assert both["process.uptime"] < time.time() - psutil.Process(one.pid).create_time()


def test_time_of_a_process_that_has_ended_is_kept(start: Start) -> None:
    aggregation = Aggregation(Views({}))
    processes = ProcessMetrics(aggregation)
    first, second = start(), start()
    while values(aggregation).get("process.cpu.time", 0) < 0.2:
        processes.observe([writer(first), writer(second)], fresh=True)
        time.sleep(0.02)
    both = values(aggregation)
    first.kill()
    first.wait()
    processes.observe([writer(first), writer(second)], fresh=True)  # not yet known to have ended
    aggregation.keep([second.pid])
    processes.observe([writer(second)], fresh=True)
    one = values(aggregation)
    assert one["process.cpu.time"] >= both["process.cpu.time"]
    assert one["telemetry.worker.count"] == one["process.thread.count"] == 1
    aggregation.keep([])
    processes.observe([], fresh=True)
    gone = values(aggregation)
    assert gone["process.cpu.time"] >= one["process.cpu.time"]
    assert gone["telemetry.worker.count"] == 0
    assert "process.memory.usage" not in gone
    assert "process.uptime" not in gone


def test_each_start_of_a_process_is_counted_once() -> None:
    aggregation = Aggregation(Views({}))
    processes = ProcessMetrics(aggregation, [(10, 1)])
    for writers, starts in (
        ([(10, 1)], None),  # the former exporter has counted it
        ([(10, 1), (11, 2)], 1),
        ([(10, 3), (12, 4)], 3),  # a process id is used again
        ([(12, 4)], 3),
    ):
        processes.count(writers)
        assert values(aggregation).get("telemetry.worker.starts") == starts


def test_processes_are_looked_at_seldom_unless_they_are_asked_for(start: Start) -> None:
    aggregation = Aggregation(Views({}))
    processes = ProcessMetrics(aggregation)
    one, other = start(), start()
    processes.observe([writer(one)], fresh=False)
    before = values(aggregation)["process.uptime"]
    time.sleep(0.02)
    processes.observe([writer(one)], fresh=False)
    assert values(aggregation)["process.uptime"] == before
    processes.observe([writer(one), writer(other)], fresh=False)
    assert values(aggregation)["process.thread.count"] == 2
    before = values(aggregation)["process.uptime"]
    time.sleep(0.02)
    processes.observe([writer(one), writer(other)], fresh=True)
    assert values(aggregation)["process.uptime"] > before
