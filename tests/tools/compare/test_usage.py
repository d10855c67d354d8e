"""The CPU time of processes that are no children of ours, counted to their end."""

import subprocess
import sys

import psutil
import pytest

from telemetry.tools.compare.setups.sockets import wait_until
from telemetry.tools.compare.setups.usage import Exporters, memory_of, seconds_of

WORK = "import sys, time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint(flush=True); "


def detached(rest: str) -> tuple[int, subprocess.Popen[str]]:
    """Start a process whose parent ends at once, as an exporter's does; return its id, and what waits for its work."""
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {WORK + rest!r}]).pid, flush=True)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    return pid, parent


@pytest.mark.parametrize("end", ["killed", "by itself"])
def test_time_of_an_exporter_that_has_ended_stays(end: str) -> None:
    exporters = Exporters()
    pid, parent = detached("sys.stdin.read()")
    assert parent.stdout is not None
    assert parent.stdin is not None
    with parent.stdin, parent.stdout:
        exporters.note(pid)
        exporters.note(pid)
        parent.stdout.readline()  # its work is done
        exporters.look()
        assert [process.pid for process in exporters.running] == [pid]
        used = exporters.cpu_seconds
        assert used >= 0.25
        if end == "killed":
            psutil.Process(pid).kill()
        else:
            parent.stdin.close()

        def ended() -> bool:
            exporters.look()
            return not exporters.running

        wait_until(ended, 60, "its end")
        assert exporters.cpu_seconds >= used
    parent.wait(30)


def test_exporter_that_has_ended_before_it_was_noted_counts_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    exporters = Exporters()
    exporters.note(ended.pid)
    exporters.look()
    assert (exporters.running, exporters.cpu_seconds) == ([], 0)


def test_time_of_a_process_is_finer_than_hundredths_of_a_second() -> None:
    code = "import sys, time\nprint('started', flush=True)\nfor _ in sys.stdin: print(time.process_time(), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        process = psutil.Process(child.pid)
        child.stdout.readline()
        for _ in range(8):
            before = seconds_of(process)
            child.stdin.write("\n")
            child.stdin.flush()
            now = float(child.stdout.readline())
            assert before < now < seconds_of(process) < before + 0.01


def test_memory_is_counted_in_bytes() -> None:
    kind, size = memory_of(psutil.Process())
    assert kind in {"PSS", "USS"}
    assert 5 * 2**20 < size < 2**32
