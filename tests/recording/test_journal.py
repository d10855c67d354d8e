"""A process's part of the journal, when something fails, its files are removed, or the process ends."""

from marshal import dumps
from pathlib import Path
from resource import RLIMIT_FSIZE, getrlimit, setrlimit
from time import perf_counter_ns
from typing import Any

import pytest

from telemetry.journal import directory
from telemetry.journal.directory import RunDirectory, ring_path
from telemetry.journal.records import LOG
from telemetry.journal.ring import MARSHAL, RingWriter
from telemetry.recording.journal import Journal, journal
from tests.recording.conftest import Recorded


def join(base: Path) -> RunDirectory:
    return RunDirectory.join(base, "test", "here", "1")


def break_it(*_: object) -> None:
    raise BrokenError("on purpose")


class BrokenError(Exception):
    pass


def test_failed_write_is_counted_and_reaches_nobody(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked: list[int] = []
    monkeypatch.setattr(journal, "after_write", lambda: looked.append(1))
    with monkeypatch.context() as patch:
        patch.setattr(RingWriter, "put", break_it)
        for _ in range(2):
            journal.write((LOG, "lost"))
    journal.write((LOG, "kept"))
    assert recorded() == [(LOG, "kept")]
    assert (recorded.ring.errors, journal.errors, len(looked)) == (2, 2, 3)
    assert caplog.messages == ["recording failed: write; further ones of this kind are only counted"]


@pytest.mark.usefixtures("recorded")
def test_write_takes_no_longer_than_its_bytes_need() -> None:
    """It waits neither for the exporter nor for a disk."""
    record: tuple[Any, ...] = LOG, "shop", 5, 30, "WARNING", "x" * 1000, None, None, ()

    def least_of(write: Any, *arguments: Any) -> int:
        spent = []
        for _ in range(300):
            started = perf_counter_ns()
            write(*arguments)
            spent.append(perf_counter_ns() - started)
        return min(spent)

    assert least_of(journal.write, record) < 50 * least_of(dumps, record, MARSHAL)


@pytest.mark.parametrize("removed", ["lock", "service", "slot-0.ring"])
@pytest.mark.usefixtures("recorded")
def test_file_removed_from_outside_is_noticed(removed: str) -> None:
    assert journal.directory
    journal.directory.describe({})
    assert not journal.is_gone
    (journal.directory.path / removed).unlink()
    assert journal.is_gone


def test_closed_journal_leaves_its_records_and_holds_nothing(tmp_path: Path) -> None:
    run, first, second = join(tmp_path), Journal(), Journal()
    first.open(run, 1 << 16)
    first.write((LOG, "x"))
    assert directory.is_alive(run.path)
    first.close()
    assert not directory.is_alive(run.path)
    assert directory.has_records(run.path)
    assert second.open(join(tmp_path), 1 << 16) == 0
    second.close()
    assert directory.remove(run.path, unread=True)


def test_slot_whose_ring_cannot_be_made_is_free_again(tmp_path: Path) -> None:
    run, opened = join(tmp_path), Journal()
    limits = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (1 << 12, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            opened.open(run, 1 << 16)
    finally:
        setrlimit(RLIMIT_FSIZE, limits)
    assert opened.open(run, 1 << 16) == 0
    opened.close()


def test_file_that_is_no_ring_is_kept_and_replaced(tmp_path: Path) -> None:
    run, opened = join(tmp_path), Journal()
    ring_path(run.path, 0).write_bytes(b"x" * 8192)
    assert opened.open(run, 1 << 16) == 0
    (left,) = run.path.glob("slot-0.left-*")
    assert left.read_bytes() == b"x" * 8192
    opened.close()


def test_file_that_is_no_ring_and_cannot_be_replaced_holds_no_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, opened = join(tmp_path), Journal()
    ring_path(run.path, 0).write_bytes(b"x" * 8192)
    monkeypatch.setattr(Path, "rename", break_it)
    with pytest.raises(BrokenError):
        opened.open(run, 1 << 16)
    assert not directory.is_alive(run.path)
