"""Where processes meet: a directory for each run, a holder for each lock, private, and gone when it is not needed."""

import fcntl
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from telemetry.config import TelemetryConfig
from telemetry.journal import directory, forks, locks, runs
from telemetry.journal.directory import RunDirectory
from telemetry.journal.records import LOG
from telemetry.journal.ring import RingReader
from telemetry.servers import hold
from tests.support.forks import in_child
from tests.support.rings import ring_in


def join(base: Path, run: str = "1", **options: str) -> RunDirectory:
    return RunDirectory.join(base, options.get("service", "shop"), options.get("place", "127.0.0.1:1"), run)


@contextmanager
def other_process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that prints a line when it is ready, and is killed at the end."""
    prelude = "import sys, time; from pathlib import Path; from telemetry.journal import directory; "
    command = [sys.executable, "-c", f"{prelude}{code}; print(flush=True); time.sleep(60)", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "\n"
        yield process
        process.kill()


def test_processes_of_a_run_share_its_directory(tmp_path: Path) -> None:
    first, second = join(tmp_path), join(tmp_path)
    assert first.path == second.path
    assert first.number == 0
    assert first.path.stat().st_mode & 0o777 == 0o700
    assert first.path.parent.stat().st_mode & 0o777 == 0o700


def test_two_runs_at_once_have_directories_of_their_own(tmp_path: Path) -> None:
    old, new = join(tmp_path, "1"), join(tmp_path, "2")
    assert (old.number, new.number) == (0, 1)
    old.leave()
    assert join(tmp_path, "3").number == 0


def test_live_run_keeps_its_directory_beside_a_free_one(tmp_path: Path) -> None:
    old, new = join(tmp_path, "1"), join(tmp_path, "2")
    old.leave()
    assert join(tmp_path, "2").path == new.path


def test_run_is_known_by_its_whole_name(tmp_path: Path) -> None:
    """It may follow one with a longer name, and is not taken for its server's successor."""
    former = join(tmp_path, "1234-5678")
    server = locks.try_take(directory.lock_of_server(former.path))
    assert server is not None
    assert directory.is_alive(former.path)
    assert directory.had_server(former.path)
    os.close(server)
    former.leave()
    run = join(tmp_path, "9")
    assert join(tmp_path, "9").path == run.path == former.path
    assert not directory.had_server(run.path)


def test_run_is_unused_until_a_process_joins_or_leaves_something(tmp_path: Path) -> None:
    described, recorded, exported = (join(tmp_path, name) for name in "123")
    assert all(directory.is_unused(run.path) for run in (described, recorded, exported))
    described.describe({})
    record(recorded)
    exporter = locks.try_take(directory.lock_of_exporter(exported.path))
    assert exporter is not None
    assert not any(directory.is_unused(run.path) for run in (described, recorded, exported))
    os.close(exporter)


def test_run_is_forgotten_a_day_after_its_last_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "_MEMORY", tmp_path)
    left, held, changed = (join(tmp_path, name) for name in "123")
    for run in (left, held, changed):
        record(run)
        for path in (run.path, *run.path.iterdir()):
            os.utime(path, (1000, 1000))
    os.utime(changed.path / "slot-0.ring", (5000, 5000))
    left.leave()
    changed.leave()
    day = 24 * 3600
    ours = [path for path in directory.remove_forgotten(1000 + day) if path.is_relative_to(tmp_path)]
    assert ours == []
    ours = [path for path in directory.remove_forgotten(1001 + day) if path.is_relative_to(tmp_path)]
    assert ours == [left.path]
    assert held.path.exists()
    assert changed.path.exists()


@pytest.mark.parametrize("other", [{"service": "other"}, {"place": "127.0.0.1:2"}])
def test_services_and_places_are_kept_apart(tmp_path: Path, other: dict[str, str]) -> None:
    assert join(tmp_path).path.parent != join(tmp_path, **other).path.parent


def test_restarted_service_continues_what_a_killed_one_left(tmp_path: Path) -> None:
    code = "run = directory.RunDirectory.join(Path(sys.argv[1]), 'shop', '127.0.0.1:1', 'killed'); run.take_slot()"
    with other_process(code, tmp_path) as process:
        assert join(tmp_path).number == 1
        process.kill()
        process.wait()
        run = join(tmp_path, "3")
        assert run.number == 0
        assert run.take_slot()[0] == 0


def test_slot_belongs_to_one_process_until_it_ends(tmp_path: Path) -> None:
    run = join(tmp_path)
    code = "run = directory.RunDirectory.join(Path(sys.argv[1]), 'shop', '127.0.0.1:1', '1'); run.take_slot()"
    with other_process(code, tmp_path) as process:
        assert run.take_slot()[0] == 1
        assert directory.is_alive(run.path)
        process.kill()
        process.wait()
        slot, descriptor = run.take_slot()
        assert slot == 0
        os.close(descriptor)


def test_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    parent = directory.service_directory(tmp_path, "shop", "127.0.0.1:1")
    parent.mkdir(0o755)
    with pytest.raises(PermissionError, match="this user alone"):
        join(tmp_path)


def record(run: RunDirectory) -> None:
    """Record something, as a process that ends at once."""
    with ring_in(run) as ring:
        ring.put((LOG, "x"))


def test_run_that_has_left_records_is_continued_first(tmp_path: Path) -> None:
    """The second generation of a server has another directory than the first, which is gone by then."""
    old, new = join(tmp_path, "1"), join(tmp_path, "2")
    record(new)
    same = join(tmp_path, "1")
    assert same.number == 0  # a live run stays where it is
    for run in (old, same, new):
        run.leave()
    assert directory.remove(old.path)
    assert join(tmp_path, "3").number == 1


def test_run_that_has_left_batches_on_a_disk_is_continued_first(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    left = disk / join(tmp_path, "1").path.parent.name / "run-3"
    left.mkdir(parents=True)
    (left / "snapshot").touch()
    assert RunDirectory.join(tmp_path, "shop", "127.0.0.1:1", "2", disk=str(disk)).number == 1
    (left / "traces-000000000001-1-00000000").touch()
    assert RunDirectory.join(tmp_path, "shop", "127.0.0.1:1", "3", disk=str(disk)).number == 3


def test_records_of_a_process_that_has_ended_keep_the_directory(tmp_path: Path) -> None:
    """It found an exporter at work, which was just ending."""
    run = join(tmp_path)
    record(run)
    run.leave()
    assert directory.has_records(run.path)
    assert not directory.remove(run.path)
    with RingReader.at(directory.ring_path(run.path, 0)) as ring:
        ring.release(ring.head)
    assert not directory.has_records(run.path)
    assert directory.remove(run.path)


def test_directory_that_is_just_removed_is_joined(tmp_path: Path) -> None:
    over = Event()

    def remove() -> None:
        while not over.is_set():
            directory.remove(directory.service_directory(tmp_path, "shop", "127.0.0.1:1") / "run-0")

    with ThreadPoolExecutor() as pool:
        removing = pool.submit(remove)
        for _ in range(1000):
            run = join(tmp_path)
            assert not run.is_gone
            run.leave()
        over.set()
        removing.result()


def test_link_in_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(0o700)
    directory.service_directory(tmp_path, "shop", "127.0.0.1:1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        join(tmp_path)


def test_directory_is_removed_when_nobody_holds_it(tmp_path: Path) -> None:
    run = join(tmp_path)
    assert not directory.remove(run.path)
    run.leave()
    assert directory.remove(run.path)
    assert not run.path.parent.exists()


def test_removal_of_one_run_leaves_the_other(tmp_path: Path) -> None:
    old, new = join(tmp_path, "1"), join(tmp_path, "2")
    old.leave()
    assert directory.remove(old.path)
    assert new.path.exists()
    assert not new.is_gone


def test_removed_directory_is_noticed(tmp_path: Path) -> None:
    run = join(tmp_path)
    assert not run.is_gone
    (run.path / "lock").unlink()
    assert run.is_gone


def test_removed_description_is_noticed(tmp_path: Path) -> None:
    run = join(tmp_path)
    run.describe({"version": "1"})
    assert not run.is_gone
    (run.path / "service").unlink()
    assert run.is_gone


def test_looking_at_a_lock_does_not_stand_in_its_way(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = locks.try_lock(path, fcntl.LOCK_EX)
    assert held is not None
    assert locks.is_held(path)
    os.close(held)
    assert not locks.is_held(path)
    assert not locks.is_held(tmp_path / "none")


def test_lock_that_somebody_only_looks_at_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    looking = locks.try_lock(path, fcntl.LOCK_SH)
    assert looking is not None
    monkeypatch.setattr(locks, "sleep", lambda _: os.close(looking))
    held = locks.try_take(path)
    assert held is not None
    assert locks.try_take(path) is None
    os.close(held)


def test_lock_of_a_file_that_is_removed_meanwhile_is_that_of_its_successor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock = tmp_path / "lock", fcntl.flock

    def removed(descriptor: int, mode: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        path.unlink()
        lock(descriptor, mode)

    monkeypatch.setattr(fcntl, "flock", removed)
    held = locks.try_lock(path, fcntl.LOCK_EX)
    assert held is not None
    assert locks.is_held(path)
    os.close(held)
    monkeypatch.setattr(fcntl, "flock", removed)
    with locks.exclusive(path, None):
        assert locks.is_held(path)
    assert not locks.is_held(path)


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_child_of_a_fork_has_neither_locks_nor_connections_of_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = locks.try_own(path)
    assert held is not None
    ours, theirs = socket.socketpair()
    with ours, theirs:
        forks.close_in_children(ours)
        connection = ours.fileno()
        assert in_child(lambda: not (is_open(held) or is_open(connection)))
        ours.sendall(b"goes on")
        assert theirs.recv(100) == b"goes on"
    assert locks.is_held(path)
    locks.release(held)
    assert not locks.is_held(path)
    again = os.open(path, os.O_RDONLY)  # which gets the same number
    assert again == held
    assert in_child(lambda: is_open(again))
    os.close(again)


def test_locks_can_be_taken_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    def is_free() -> bool:
        with ThreadPoolExecutor() as pool:
            held = pool.submit(locks.try_own, tmp_path / "lock").result(20)
        if held is not None:
            locks.release(held)
        return held is not None

    assert in_child(is_free)
    assert is_free()


def test_service_is_described_for_the_exporter(tmp_path: Path) -> None:
    run = join(tmp_path)
    assert not run.describe({"version": "1", "place": "x"})
    assert directory.read_service(run.path) == {"version": "1", "place": "x"}
    before = (run.path / "service").stat().st_ino
    assert not run.describe({"version": "1", "place": "x"})
    assert (run.path / "service").stat().st_ino == before
    assert run.describe({"version": "2"})  # its exporter needs a successor


def test_server_that_ends_leaves_before_its_exporter_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise an exporter that has nothing to deliver may find the directory held, and leave it behind."""
    monkeypatch.setattr(directory, "_MEMORY", tmp_path)
    held = hold.hold(TelemetryConfig.from_env({"OTEL_SERVICE_NAME": "shop"}), "127.0.0.1:1")
    assert held
    path = next(directory.run_directories())
    exporter = locks.try_lock(directory.lock_of_exporter(path), fcntl.LOCK_EX)
    assert exporter is not None
    removed: list[bool] = []

    def look(path: Path) -> None:
        removed.append(directory.remove(path))
        os.close(exporter)

    monkeypatch.setattr(hold, "ask_to_look", look)
    assert held.release()
    assert removed == [True]


def test_hold_of_a_server_is_its_own_and_ends_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not its workers', which are forked with it."""
    monkeypatch.setattr(directory, "_MEMORY", tmp_path)
    held = hold.hold(TelemetryConfig.from_env({"OTEL_SERVICE_NAME": "shop"}), "127.0.0.1:1")
    assert held
    path, lock = held._run.path, held._lock
    assert lock is not None
    assert in_child(lambda: not is_open(lock))
    assert locks.is_held(directory.lock_of_server(path))
    assert not directory.remove(path)
    held._leave()
    assert not path.exists()
    opened = [os.open(tmp_path, os.O_RDONLY) for _ in range(3)]  # which get the same numbers
    held._leave()
    assert all(map(is_open, opened))
    for descriptor in opened:
        os.close(descriptor)


def test_server_with_other_settings_than_its_workers_starts_no_exporter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It might deliver to another backend."""
    monkeypatch.setattr(directory, "_MEMORY", tmp_path)
    monkeypatch.setattr(hold, "_REMOVE_SECONDS", 0)
    held = hold.hold(TelemetryConfig.from_env({"OTEL_SERVICE_NAME": "shop"}), "127.0.0.1:1")
    assert held
    held._run.describe({"environment": "of the workers"})
    record(held._run)
    assert not held.release()
    assert "the settings of the workers are not those of the server" in caplog.text
    assert directory.has_records(held._run.path)


def test_files_of_a_server_are_its_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a master that is root with `--user`: the exporter, which runs as that user, opens each of its locks."""
    given: list[int] = []
    monkeypatch.setattr(directory, "_MEMORY", tmp_path)
    monkeypatch.setattr(os, "fchown", lambda descriptor, *_: given.append(os.fstat(descriptor).st_ino))
    owner = os.geteuid(), os.getegid()
    held = hold.hold(TelemetryConfig.from_env({"OTEL_SERVICE_NAME": "shop"}), "127.0.0.1:1", owner)
    assert held
    made = {path.name: path.stat().st_ino for path in tmp_path.rglob("*") if path.is_file()}
    assert {"lock", "server.lock"} == made.keys()
    assert set(made.values()) <= set(given)
    held._leave()


def test_shared_memory_is_enough_where_nothing_else_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "_MEMORY", tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    assert directory.bases("shop", "127.0.0.1:1", "1") == [tmp_path]
    monkeypatch.setattr(directory, "_LEAST_FREE_BYTES", 1 << 62)
    held = hold.hold(TelemetryConfig.from_env({"OTEL_SERVICE_NAME": "shop"}), "127.0.0.1:1")
    assert held
    assert len(list(directory.run_directories())) == 1
    assert directory.remove_forgotten(0.0) == []
    held._leave()


def test_server_is_running_until_it_ends() -> None:
    with other_process("pass") as server:
        run = runs.run_of(server.pid)
        assert runs.is_running(run)
        assert not runs.is_running(f"{run}0")  # another process with the same id
        assert not runs.is_running(str(server.pid))  # named where the system does not say when it began
        server.kill()
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)  # its parent has not taken notice yet
        assert not runs.is_running(run)
    assert not runs.is_running(run)


def test_run_of_a_server_that_its_workers_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `hidepid`, workers of another user inherit the name from their server."""
    run = runs.run_of(os.getpid())
    assert "-" in run
    monkeypatch.setattr(runs, "_status_of", lambda _: [])
    assert runs.run_of(os.getpid()) == run
    assert runs.run_of(1) == "1"
