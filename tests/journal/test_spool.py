"""The spool keeps what was committed, in order, within its bounds, whatever happens to its process and its disk."""

import logging
import mmap
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from random import Random
from time import monotonic, sleep

import pytest

from telemetry.journal import batch_file
from telemetry.journal import spool as spool_module
from telemetry.journal.spool import Evicted, Spool
from tests.journal.conftest import SmallDisk
from tests.journal.spool_writer import content
from tests.support.service import ROOT, wait_until

PAGE = max(4096, mmap.PAGESIZE)
MIB = 1 << 20


def make(folder: Path, *, max_bytes: int = MIB, **options: object) -> Spool:
    spool = Spool(folder, "traces", max_bytes=max_bytes, **options)  # type: ignore[arg-type]
    spool.recover(None)
    return spool


def add(spool: Spool, *contents: bytes, items: int = 1) -> list[Evicted]:
    for each in contents:
        spool.append(each, items)
    return spool.publish()


def take_all(spool: Spool) -> list[bytes]:
    """Return what waits, in the order in which it would be sent, and remove it."""
    taken: list[bytes] = []
    while batches := spool.take(1, 1):
        taken += [batch.read() for batch in batches]
        spool.remove(batches)
    return taken


# --- Order and visibility -------------------------------------------------------------------------------------------


def test_spool_oldest_first(tmp_path: Path) -> None:
    spool = make(tmp_path)
    assert add(spool, b"a", b"b", b"c", items=2) == []
    assert (spool.waiting_items, spool.waiting_bytes, spool.next_number) == (6, 3 * PAGE, 3)
    assert take_all(spool) == [b"a", b"b", b"c"]
    assert (spool.waiting_items, spool.waiting_bytes, spool.oldest) == (0, 0, None)
    assert list(tmp_path.iterdir()) == []


def test_spool_files_are_private_and_hold_the_bytes_alone(tmp_path: Path) -> None:
    add(make(tmp_path), b"a", items=7)
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("traces-000000000000-7-")
    assert (path.stat().st_mode & 0o777, path.read_bytes()) == (0o600, b"a")


def test_spool_batch_is_not_seen_before_publish(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.append(b"a", 1)
    assert spool.take(1, 1) == []
    assert spool.waiting_items == 0
    spool.publish()
    assert [batch.items for batch in spool.take(1, 1)] == [1]


def test_spool_takes_what_fits_into_a_request(tmp_path: Path) -> None:
    spool = make(tmp_path)
    add(spool, b"a" * 10, b"b" * 10, b"c" * 10, items=4)
    batches = spool.take(8, 1000)
    assert [batch.read()[:1] for batch in batches] == [b"a", b"b"]
    spool.put_back(batches)
    assert spool.waiting_items == 12
    assert len(spool.take(100, 19)) == 1
    spool.put_back(spool._taken)
    assert len(spool.take(1, 1)) == 1  # a batch above the limits goes alone
    assert spool.undelivered_items == 12


def test_spool_put_back_keeps_the_order(tmp_path: Path) -> None:
    spool = make(tmp_path)
    add(spool, b"a", b"b", b"c")
    spool.put_back(spool.take(2, 1000))
    assert take_all(spool) == [b"a", b"b", b"c"]


def test_spool_wait_ends_with_a_batch(tmp_path: Path) -> None:
    spool = make(tmp_path)
    timer = threading.Timer(0.2, add, (spool, b"a"))
    timer.start()
    started = monotonic()
    assert spool.wait(1, 1, 20)
    assert monotonic() - started < 15
    assert not spool.wait(2, 100, 0)
    assert spool.wait(2, 1, 0)  # enough bytes
    timer.join()


def test_spool_wait_ends_by_wake(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.wake()
    started = monotonic()
    assert not spool.wait(1, 1, 20)
    assert monotonic() - started < 15
    started = monotonic()
    assert not spool.wait(1, 1, 0.02)  # which has its time again
    assert monotonic() - started >= 0.02


# --- Bounds ---------------------------------------------------------------------------------------------------------


def test_spool_bytes_are_bounded_oldest_out_first(tmp_path: Path) -> None:
    spool = make(tmp_path, max_bytes=3 * PAGE)
    assert add(spool, b"a", b"b", b"c", items=5) == []
    assert add(spool, b"d", b"e", items=5) == [Evicted(5, "queue_full", "bytes")] * 2
    assert take_all(spool) == [b"c", b"d", b"e"]


def test_spool_small_batches_count_as_the_pages_that_they_take(tmp_path: Path) -> None:
    spool = make(tmp_path, max_bytes=64 * PAGE)
    evicted = add(spool, *[b"x"] * 100)
    assert len(evicted) == 36
    assert len(list(tmp_path.iterdir())) == 64


def test_spool_items_are_bounded_where_asked_for(tmp_path: Path) -> None:
    spool = make(tmp_path, max_items=10)
    assert add(spool, b"a", b"b", items=5) == []
    assert add(spool, b"c", items=1) == [Evicted(5, "queue_full", "items")]
    assert take_all(spool) == [b"b", b"c"]


def test_spool_batch_that_is_being_sent_stays(tmp_path: Path) -> None:
    spool = make(tmp_path, max_bytes=2 * PAGE)
    add(spool, b"a", b"b")
    (sent,) = spool.take(1, 1)
    assert add(spool, b"c", b"d") == [Evicted(1, "queue_full", "bytes")] * 2
    assert sent.read() == b"a"
    spool.remove([sent])
    assert take_all(spool) == [b"d"]


def test_spool_counts_what_is_left_to_send(tmp_path: Path) -> None:
    """Not what has been evicted or taken; else its sender would never rest."""
    spool = make(tmp_path, max_items=2)

    def has_left(items: int, size: int) -> bool:
        enough = spool.wait(items, MIB, 0), spool.wait(MIB, size, 0)
        return enough == (True, True) and not spool.wait(items + 1, size + 1, 0)

    assert len(add(spool, b"1", b"22", b"333")) == 1
    assert has_left(2, 5)
    taken = spool.take(1, 1)
    assert has_left(1, 3)
    assert spool.put_back(taken) == []
    assert has_left(2, 5)
    taken = spool.take(1, 1)
    assert add(spool, b"4444") == []
    assert spool.put_back(taken) == [Evicted(1, "queue_full", "items")]
    assert has_left(2, 7)
    taken = spool.take(9, MIB)
    assert spool.drop() == 2
    assert spool.put_back(taken) == []  # by a sender that has outlived the stop
    assert (spool.take(1, 1), spool.waiting_bytes) == ([], 0)


def test_spool_batch_above_the_bound_is_not_kept(tmp_path: Path) -> None:
    spool = make(tmp_path, max_bytes=PAGE)
    assert add(spool, b"x" * 2 * PAGE, items=3) == [Evicted(3, "queue_full", "bytes")]
    assert list(tmp_path.iterdir()) == []


def test_spool_bounds_hold_while_threads_append_and_take(tmp_path: Path) -> None:
    """What was appended = what was taken + what was evicted, and the order never turns."""
    spool = make(tmp_path, max_bytes=20 * PAGE)
    evicted: list[Evicted] = []
    taken: list[int] = []
    done = threading.Event()

    def send() -> None:
        random = Random(1)  # noqa: S311
        while not (done.is_set() and spool.undelivered_items == 0):
            spool.wait(1, 1, 0.01)
            batches = spool.take(random.randrange(1, 6), MIB)
            if random.random() < 0.3:
                spool.put_back(batches)
            else:
                taken.extend(batch.number for batch in batches)
                spool.remove(batches)

    sender = threading.Thread(target=send)
    sender.start()
    for number in range(600):
        evicted += add(spool, number.to_bytes(2))
        assert spool.waiting_bytes <= 26 * PAGE
    done.set()
    sender.join()
    assert len(taken) + len(evicted) == 600
    assert taken == sorted(set(taken))
    assert (spool.waiting_items, spool.waiting_bytes, list(tmp_path.iterdir())) == (0, 0, [])


# --- Recovery -------------------------------------------------------------------------------------------------------


def test_spool_recovers_what_was_committed(tmp_path: Path) -> None:
    spool = make(tmp_path)
    add(spool, b"a", b"b", items=3)
    spool.append(b"c", 1)  # not in the snapshot, so it will be made again
    os.utime(tmp_path / "traces-000000000000-3-e8b7be43", (5, 5))
    again = Spool(tmp_path, "traces", max_bytes=MIB)
    again.recover(2)
    assert again.oldest == 5
    assert (again.next_number, again.waiting_items, again.waiting_bytes) == (2, 6, 2 * PAGE)
    add(again, b"C")
    assert take_all(again) == [b"a", b"b", b"C"]


def test_spool_recovers_all_without_a_snapshot(tmp_path: Path) -> None:
    add(make(tmp_path), b"a", b"b")
    (tmp_path / "traces-000000000009-1-00000000.new").write_bytes(b"unfinished")
    (tmp_path / "logs-000000000003-1-00000000").write_bytes(b"another signal's")
    (tmp_path / "traces-notes").write_bytes(b"somebody's")
    again = make(tmp_path)
    assert again.next_number == 2
    assert take_all(again) == [b"a", b"b"]
    assert {path.name for path in tmp_path.iterdir()} == {"logs-000000000003-1-00000000", "traces-notes"}


def test_spool_numbers_go_on_after_an_empty_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "traces", max_bytes=MIB)
    spool.recover(41)
    add(spool, b"a")
    assert [batch.number for batch in spool.take(1, 1)] == [41]


def test_spool_damaged_file_is_not_sent(tmp_path: Path) -> None:
    """A power cut can leave files of the right name without their bytes."""
    add(make(tmp_path), b"abc")
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"")
    (batch,) = make(tmp_path).take(1, 1)
    with pytest.raises(OSError, match="damaged"):
        batch.read()


def test_spool_killed_at_any_moment_keeps_what_was_committed(tmp_path: Path) -> None:
    folder, committed = tmp_path / "spool", tmp_path / "committed"
    folder.mkdir()
    random = Random(11)  # noqa: S311
    known = 0
    for _ in range(8):
        enough = known + 20
        command = [sys.executable, "-m", "tests.journal.spool_writer", str(folder), str(committed)]
        process = subprocess.Popen(command, cwd=ROOT)
        wait_until(partial(has_committed, committed, enough))
        sleep(random.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        known = int(committed.read_text())
    spool = Spool(folder, "traces", max_bytes=1 << 30)
    spool.recover(known)
    batches = spool.take(1 << 30, 1 << 40)
    assert [batch.number for batch in batches] == list(range(known))
    assert all(batch.read() == content(batch.number) for batch in batches)
    assert sum(batch.items for batch in batches) == sum(1 + number % 5 for number in range(known))
    assert len(list(folder.iterdir())) == known


def has_committed(committed: Path, number: int) -> bool:
    return committed.exists() and int(committed.read_text()) > number


# --- Disks ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    folder = tmp_path / "memory"
    folder.mkdir()
    return folder


@pytest.fixture
def _retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "_NEXT_TRY_SECONDS", 0.0)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


@pytest.mark.usefixtures("_retries_at_once")
def test_spool_full_disk_degrades_to_memory_and_comes_back(
    small_disk: SmallDisk, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, spool_module.__name__)
    disk = small_disk(16 * PAGE)
    other = disk / "of-somebody-else"
    other.write_bytes(bytes(13 * PAGE))
    spool = make(disk, fallback=memory)
    assert [add(spool, bytes([number]) * PAGE) for number in range(6)] == [[]] * 6
    assert (spool.degraded, spool.location, spool.outlives) == (True, memory, False)
    (warning,) = messages(caplog)
    assert warning.startswith(f"WARNING traces: the spool in {disk} cannot be written (No space left on device)")
    other.unlink()
    add(spool, b"last")
    assert (spool.degraded, spool.location) == (False, disk)
    assert messages(caplog)[1:] == [f"INFO traces: the spool in {disk} can be written again"]
    assert take_all(spool) == [*(bytes([number]) * PAGE for number in range(6)), b"last"]
    assert spool.outlives
    assert [*memory.iterdir(), *disk.iterdir()] == []


def test_spool_disk_that_is_gone_degrades_to_memory(
    tmp_path: Path, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, spool_module.__name__)
    disk = tmp_path / "disk" / "spool"
    disk.mkdir(parents=True)
    spool = make(disk, fallback=memory)
    add(spool, b"lost with its disk")
    shutil.rmtree(disk.parent)
    disk.parent.write_bytes(b"no folder any more")
    for number in range(5):
        assert add(spool, bytes([number])) == []
    assert (spool.degraded, len(messages(caplog))) == (True, 1)
    (first,) = spool.take(1, 1)
    with pytest.raises(OSError, match="Not a directory"):
        first.read()
    spool.remove([first])
    assert take_all(spool) == [bytes([number]) for number in range(5)]


def test_spool_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool = make(folder)
    add(spool, b"a")
    shutil.rmtree(folder)
    add(spool, b"b")
    assert folder.stat().st_mode & 0o777 == 0o700
    spool.remove(spool.take(1, 1))
    assert take_all(spool) == [b"b"]


def test_spool_full_memory_drops_the_oldest(small_disk: SmallDisk) -> None:
    folder = small_disk(4 * PAGE)
    spool = make(folder)
    evicted = [each for number in range(10) for each in add(spool, bytes([number]) * PAGE, items=2)]
    kept = take_all(spool)
    assert kept == [bytes([number]) * PAGE for number in range(10 - len(kept), 10)]
    assert len(kept) >= 2
    assert evicted == [Evicted(2, "queue_full", "space")] * (10 - len(kept))


def test_spool_full_memory_drops_what_fits_nowhere(small_disk: SmallDisk) -> None:
    folder = small_disk(2 * PAGE)
    assert add(make(folder), bytes(10 * PAGE), items=9) == [Evicted(9, "queue_full", "space")]
    assert list(folder.iterdir()) == []


def test_spool_in_memory_is_bounded_apart_from_the_disk(tmp_path: Path, memory: Path) -> None:
    """A disk that was lost must not fill the memory with what only a disk has room for."""
    disk = tmp_path / "file"
    disk.write_bytes(b"no folder")
    spool = make(disk, max_bytes=100 * PAGE, fallback=memory, fallback_bytes=3 * PAGE)
    assert spool.limit == 100 * PAGE
    assert len(add(spool, *[b"x"] * 10)) == 7
    assert len(list(memory.iterdir())) == 3
    assert spool.limit == spool.waiting_bytes == 3 * PAGE


def test_spool_limit_includes_what_is_on_the_disk(tmp_path: Path, memory: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    spool = make(disk, max_bytes=6 * PAGE, fallback=memory, fallback_bytes=3 * PAGE)
    add(spool, b"a", b"b")
    disk.rename(tmp_path / "away")
    disk.write_bytes(b"no folder")
    add(spool, b"c")
    assert (spool.limit, spool.waiting_bytes) == (5 * PAGE, 3 * PAGE)
    add(spool, b"d", b"e", b"f")
    assert (spool.limit, spool.waiting_bytes) == (5 * PAGE, 5 * PAGE)


def test_spool_recovers_from_disk_and_memory_in_order(tmp_path: Path, memory: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    spool = make(disk, fallback=memory)
    add(spool, b"0")
    spool._retry_at = monotonic() + 1000
    add(spool, b"1")
    spool._retry_at = 0.0
    add(spool, b"2")
    assert sorted(len(list(folder.iterdir())) for folder in (disk, memory)) == [1, 2]
    again = make(disk, fallback=memory)
    assert not again.outlives
    assert take_all(again) == [b"0", b"1", b"2"]
    assert again.outlives


def test_spool_keeps_both_of_one_number(tmp_path: Path, memory: Path) -> None:
    """Former versions began anew on a disk, and in memory while that was away."""
    disk = tmp_path / "disk"
    disk.mkdir()
    add(make(disk), b"on the disk", items=2)
    add(make(memory), b"in memory", items=3)
    spool = make(disk, fallback=memory)
    assert spool.waiting_items == 5
    assert sorted(take_all(spool)) == [b"in memory", b"on the disk"]
    assert [*memory.iterdir(), *disk.iterdir()] == []


def test_spool_numbers_are_above_all_that_a_former_process_gave(tmp_path: Path) -> None:
    spool = make(tmp_path)
    add(spool, b"a", b"b")
    known = spool.state()
    spool.append(b"not committed", 1)
    again = Spool(tmp_path, "traces", max_bytes=MIB)
    again.recover(known, 1000)
    add(again, b"c")
    assert [batch.number for batch in again.take(9, 1000)] == [0, 1, 1000]
    assert again.state() == {"next": 1001, "gaps": [(2, 1000)], "undeleted": []}


@pytest.mark.usefixtures("_retries_at_once")
@pytest.mark.parametrize("end", ["sent", "evicted"])
def test_spool_what_is_over_is_not_found_again_on_a_disk_that_was_away(tmp_path: Path, memory: Path, end: str) -> None:
    disk, away = tmp_path / "disk" / "spool", tmp_path / "away"
    disk.mkdir(parents=True)
    spool = make(disk, fallback=memory)
    add(spool, b"over", b"waits")
    taken = spool.take(1, 1) if end == "sent" else []
    disk.parent.rename(away)
    if taken:
        spool.remove(taken)
    else:
        spool.max_items = 1
        assert spool.publish() == [Evicted(1, "queue_full", "items")]
    meanwhile = Spool(memory, "traces", max_bytes=MIB)  # another process, without the disk
    meanwhile.recover(spool.state(), 100)
    add(meanwhile, b"new")
    away.rename(disk.parent)
    again = Spool(disk, "traces", max_bytes=MIB, fallback=memory)
    again.recover(meanwhile.state(), 200)
    assert take_all(again) == [b"waits", b"new"]
    assert again.state()["undeleted"] == []
    assert [*memory.iterdir(), *disk.iterdir()] == []


def test_spool_deletes_what_is_over_when_the_disk_is_back(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, away = tmp_path / "disk" / "spool", tmp_path / "away"
    disk.mkdir(parents=True)
    spool = make(disk, fallback=memory)
    add(spool, b"a", b"b")
    taken = spool.take(9, 1000)
    disk.parent.rename(away)
    spool.remove(taken)
    spool.publish()
    assert spool.state()["undeleted"] == [0, 1]
    away.rename(disk.parent)
    spool.publish()
    assert len(list(disk.iterdir())) == 2  # not looked at again at once
    monkeypatch.setattr(spool_module, "_NEXT_TRY_SECONDS", 0.0)
    spool._delete_at = 0.0
    spool.publish()
    assert (spool.state()["undeleted"], list(disk.iterdir())) == ([], [])


def test_spool_on_a_disk_that_is_unavailable_waits_and_holds_nothing_else(
    tmp_path: Path, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, spool_module.__name__)
    disk, away = tmp_path / "disk" / "spool", tmp_path / "away"
    disk.mkdir(parents=True)
    spool = make(disk, fallback=memory)
    add(spool, b"1", b"2", items=2)
    disk.parent.rename(away)
    for _ in range(3):
        spool._unread_until = spool._unread_until and 0.0
        taken = spool.take(2, 1000)
        assert [spool.is_unavailable(batch) for batch in taken] == [True]
        assert spool.set_aside(taken, "gone") == []
        assert (spool.wait(1, 1, 0), spool.take(9, 1000)) == (False, [])
    add(spool, b"3", items=3)
    assert (spool.wait(3, 1000, 0), spool.wait(4, 1000, 0)) == (True, False)
    assert take_all(spool) == [b"3"]
    assert (spool.waiting_items, spool.undelivered_items) == (4, 4)
    away.rename(disk.parent)
    spool._unread_until = 0.0
    assert take_all(spool) == [b"1", b"2"]
    assert [line for line in messages(caplog) if " read" in line] == [
        f"WARNING traces: the spool in {disk} cannot be read (gone); what is on it waits until it can",
        f"INFO traces: the spool in {disk} can be read again",
    ]


def test_spool_stop_drops_what_is_in_memory_alone(tmp_path: Path, memory: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    spool = make(disk, fallback=memory)
    add(spool, b"kept", items=3)
    spool._retry_at = monotonic() + 1000
    add(spool, b"dropped", items=4)
    assert spool.drop() == 4
    assert (spool.waiting_items, spool.undelivered_items) == (3, 3)
    assert take_all(spool) == [b"kept"]
    assert list(memory.iterdir()) == []


def test_spool_sync_writes_what_waits_on_the_disk_once(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    synced: list[str] = []

    def note(descriptor: int) -> None:
        synced.append(Path(f"/dev/fd/{descriptor}").resolve().name)

    monkeypatch.setattr(os, "fsync", note)
    spool = make(disk, fallback=memory)
    add(spool, b"a", b"b")
    spool.remove(spool.take(1, 1))
    spool.sync()
    spool.sync()
    (path,) = disk.iterdir()
    assert synced == [path.name, "disk"]
    in_memory = make(memory)
    add(in_memory, b"c")
    in_memory.sync()
    assert len(synced) == 2


@pytest.mark.parametrize(("of_system", "page"), [(512, 4096), (4096, 4096), (65536, 65536)])
def test_batch_space_is_whole_pages(of_system: int, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmap, "PAGESIZE", of_system)
    there = runpy.run_path(batch_file.__file__)["Batch"]
    batches = [there(Path(), "traces", 0, 1, size, 0, 0.0) for size in (0, 1, page, page + 1)]
    assert [batch.space for batch in batches] == [page, page, page, 2 * page]
