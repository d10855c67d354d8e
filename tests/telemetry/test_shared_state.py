"""The slot files and the directory of a run."""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from telemetry.exposition import Exposition
from telemetry.series_key import SeriesKey
from telemetry.shared_state import WorkerState
from telemetry.slot_format import HEADER
from telemetry.state_directory import create_state_directory, remove_dead_directories, slot_owner, state_path
from tests.telemetry.metrics_worker import ROOT
from tests.telemetry.scraped import value

JOBS = SeriesKey("jobs", "Jobs", "", "counter")


def count(directory: Path, number: float, slot: int = 0) -> None:
    state = WorkerState(directory, slot)
    entry = state.entry(JOBS)
    assert entry
    entry.values[0] += number
    state.close()


def test_directory_is_private_and_removed(tmp_path: Path) -> None:
    state = create_state_directory(tmp_path)
    assert state.path.stat().st_mode & 0o777 == 0o700
    state.close()
    state.close()
    assert list(tmp_path.iterdir()) == []


def test_directory_is_made_without_a_base() -> None:
    state = create_state_directory()
    assert state.path.is_dir()
    state.close()
    assert not state.path.exists()


def test_directories_of_living_runs_are_kept(tmp_path: Path) -> None:
    first, second = create_state_directory(tmp_path), create_state_directory(tmp_path)
    assert first.path.is_dir()
    first.close()
    second.close()


def test_directories_of_dead_runs_are_removed_and_do_not_count(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from telemetry.state_directory import create_state_directory;"
        "state = create_state_directory(Path(sys.argv[1])); print(state.path)"
    )
    made = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    dead = Path(made.stdout.strip())
    count(dead, 5)
    state = create_state_directory(tmp_path)
    assert not dead.exists()
    count(state.path, 1)
    assert value(Exposition(state.path, {}), "jobs_total") == 1
    state.close()


def test_directory_outlives_its_maker_while_a_forked_worker_lives(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from telemetry.state_directory import create_state_directory\n"
        "state = create_state_directory(Path(sys.argv[1]))\n"
        "if os.fork() == 0: sys.stdin.read(); os._exit(0)\n"
        "print(state.path, flush=True); os._exit(0)"
    )
    maker = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert maker.stdin
    assert maker.stdout
    path = Path(maker.stdout.readline().decode().strip())
    maker.wait(30)
    assert remove_dead_directories(tmp_path) == []
    maker.stdin.close()
    deadline = time.monotonic() + 30
    while path.exists() and time.monotonic() < deadline:
        remove_dead_directories(tmp_path)
    assert not path.exists()
    maker.stdout.close()


def test_directory_that_is_being_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "telemetry-metrics-new-abc").mkdir()
    (tmp_path / "telemetry-metrics-def").mkdir()
    (tmp_path / "another").mkdir()
    (tmp_path / "telemetry-metrics-file").touch()
    assert remove_dead_directories(tmp_path) == []
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    removed = {path.name for path in remove_dead_directories(tmp_path)}
    assert removed == {"telemetry-metrics-new-abc", "telemetry-metrics-def"}


def test_entry_of_a_kill_in_mid_append_is_not_there(tmp_path: Path) -> None:
    count(tmp_path, 3)
    path = state_path(tmp_path, 0)
    used = HEADER.unpack(path.read_bytes()[: HEADER.size])[3]
    with path.open("r+b") as file:
        file.seek(used)
        file.write(b"\xff" * 500)
    assert value(Exposition(tmp_path, {}), "jobs_total") == 3
    state = WorkerState(tmp_path, 0)
    entry = state.entry(SeriesKey("others", "", "", "counter"))
    assert entry
    assert list(entry.values) == [0, 0]
    entry.values[0] += 1
    state.close()
    exposition = Exposition(tmp_path, {})
    assert value(exposition, "others_total") == 1
    assert value(exposition, "jobs_total") == 3


@pytest.mark.parametrize("content", [b"", b"x" * 10_000, struct.pack("@8sII", b"OTELSLOT", 99, 64) + bytes(4096)])
def test_file_of_another_version_begins_anew(tmp_path: Path, content: bytes) -> None:
    path = state_path(tmp_path, 0)
    path.write_bytes(content)
    exposition = Exposition(tmp_path, {})
    assert value(exposition, "jobs_total") is None
    count(tmp_path, 2)
    assert value(exposition, "jobs_total") == 2


def test_scrape_follows_a_file_that_grows(tmp_path: Path) -> None:
    state, exposition = WorkerState(tmp_path, 0), Exposition(tmp_path, {})
    for index in range(3000):
        entry = state.entry(SeriesKey("jobs", "", "", "counter", attributes={"index": index}))
        assert entry
        entry.values[0] += index
        if index % 500 == 0:
            assert value(exposition, "jobs_total", {"index": str(index)}) == index
    assert value(exposition, "jobs_total", {"index": "2999"}) == 2999
    assert value(exposition, "jobs_total", {"index": "1"}) == 1
    state.close()


def test_slot_is_owned_until_it_is_closed(tmp_path: Path) -> None:
    assert slot_owner(tmp_path, 0) == 0
    state = WorkerState(tmp_path, 0)
    assert slot_owner(tmp_path, 0) == os.getpid()
    # Seen from another process, which asks without locking.
    code = (
        "import sys; from pathlib import Path; from telemetry.state_directory import slot_owner;"
        "print(slot_owner(Path(sys.argv[1]), 0))"
    )

    def ask() -> int:
        asked = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, check=True)
        return int(asked.stdout)

    assert ask() == os.getpid()
    state.close()
    assert ask() == 0


def test_key_of_every_kind_survives_its_encoding() -> None:
    key = SeriesKey("a", "ü", "s", "histogram", "scope", (0.1, 1.0), "sum", {"b": [1, True], "a": "x\n"})
    assert SeriesKey.decode(key.encode()) == key
    for bad in (b"", b"[]", b"{}", b"\xff", b'["a","","","odd","",[],"sum",{}]'):
        with pytest.raises(ValueError, match=r"^key b"):
            SeriesKey.decode(bad)
