"""The folder on a disk that others may write to: this user's alone, and one exporter's at a time."""

import errno
import fcntl
import os
from contextlib import nullcontext
from pathlib import Path
from resource import RLIMIT_FSIZE, getrlimit, setrlimit
from typing import Any

import pytest

from telemetry.journal import snapshot
from telemetry.journal.disk import left_behind, take_folder
from telemetry.journal.locks import is_held, release

RUN = Path("telemetry-1000-0123456789ab") / "run-0"


def modes(folder: Path) -> list[int]:
    return [each.stat().st_mode & 0o777 for each in (folder.parent, folder)]


def test_folder_is_this_users_alone_below_one_that_others_may_write_to(tmp_path: Path) -> None:
    base = tmp_path / "volume"
    base.mkdir()
    base.chmod(0o2777)  # as Kubernetes makes a volume with `fsGroup`
    folder, held = take_folder(base, RUN)
    release(*held)
    assert folder == base / "telemetry-1000-0123456789ab" / "run-0"
    assert modes(folder) == [0o700, 0o700]
    folder.parent.chmod(0o775)
    folder.chmod(0o2770)
    again, held = take_folder(base, RUN)
    release(*held)
    assert (again, modes(folder)) == (folder, [0o700, 0o700])


@pytest.mark.parametrize("of_former_version", [False, True])
def test_folder_is_one_exporters_at_a_time(tmp_path: Path, *, of_former_version: bool) -> None:
    """A file in it is locked, also for other hosts on NFS, and the folder itself, as by former versions."""
    folder, held = take_folder(tmp_path, RUN)
    release(*held)
    locked = os.open(folder if of_former_version else folder / "lock", os.O_RDONLY)
    fcntl.flock(locked, fcntl.LOCK_EX)
    with pytest.raises(BlockingIOError):
        take_folder(tmp_path, RUN)
    os.close(locked)
    _, held = take_folder(tmp_path, RUN)
    assert fcntl.fcntl(held[-1], fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR  # without which NFS grants no lock
    release(*held)


def test_folder_that_cannot_be_opened_is_not_kept_from_the_next_exporter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, held = take_folder(tmp_path, RUN)
    release(*held)
    opened = os.open

    def fail_once_locked(path: Any, *args: Any) -> int:
        if path == folder and is_held(folder / "lock"):
            raise OSError(errno.EMFILE, "too many open files", str(path))
        return opened(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail_once_locked)
        with pytest.raises(OSError, match="too many"):
            take_folder(tmp_path, RUN)
    release(*take_folder(tmp_path, RUN)[1])


def test_folders_left_behind_are_those_of_other_services_with_batches_and_no_exporter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batches of others, of which there may be thousands, are not even looked at."""
    own, running, left = RUN, Path("telemetry-1000-running") / "run-0", Path("telemetry-1000-left") / "run-1"
    empty, others = Path("telemetry-1000-empty") / "run-0", Path("telemetry-10001-others") / "run-0"
    held = [take_folder(tmp_path, each)[1] for each in (own, running, left, empty, others)]
    for each in (own, own.with_name("run-1"), running, left, others):
        (tmp_path / each).mkdir(exist_ok=True)
        (tmp_path / each / "traces-000000000001-1-00000000").write_bytes(b"12345")
    for descriptors in held[2:]:
        release(*descriptors)
    stat, looked = Path.stat, set[Path]()

    def looking(path: Path, **options: Any) -> os.stat_result:
        looked.add(path)
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", looking)
    assert left_behind(tmp_path, own) == {tmp_path / left: 5}
    assert {path.parent.parent.name for path in looked if path.name.startswith("traces-")} == {left.parent.name}
    for descriptors in held[:2]:
        release(*descriptors)


def test_folder_that_is_missing_is_created_with_those_above(tmp_path: Path) -> None:
    folder, held = take_folder(tmp_path / "not" / "there", RUN)
    release(*held)
    assert folder.is_dir()


@pytest.mark.parametrize("which", [0, 1])
def test_link_in_place_of_a_folder_is_not_followed(tmp_path: Path, which: int) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = (tmp_path / RUN.parent.name, tmp_path / RUN.parent.name / RUN.name)[which]
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    with pytest.raises(OSError, match=str(link)):
        take_folder(tmp_path, RUN)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("which", [0, 1])
def test_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    folder, held = take_folder(tmp_path, RUN)
    release(*held)
    other = (folder.parent, folder)[which]
    inode, fstat = other.stat().st_ino, os.fstat

    def of_another(descriptor: int) -> os.stat_result:
        found = fstat(descriptor)
        return os.stat_result((*found[:4], 4711, *found[5:])) if found.st_ino == inode else found

    monkeypatch.setattr(os, "fstat", of_another)
    with pytest.raises(PermissionError, match=f"belongs to the user 4711.*{other}'"):
        take_folder(tmp_path, RUN)


def test_snapshot_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "snapshot.new").symlink_to(victim)
    with pytest.raises(OSError, match=r"snapshot\.new"):
        snapshot.write(tmp_path / "snapshot", snapshot.encode({}))
    assert victim.read_text() == "kept"


def test_snapshot_that_has_no_room_leaves_the_last_one(tmp_path: Path) -> None:
    path, limits = tmp_path / "snapshot", getrlimit(RLIMIT_FSIZE)
    snapshot.write(path, snapshot.encode({"commit": 1}))
    setrlimit(RLIMIT_FSIZE, (1 << 12, limits[1]))
    try:
        with pytest.raises(OSError, match="not written whole"):
            snapshot.write(path, snapshot.encode({"commit": "x" * (1 << 13)}))
    finally:
        setrlimit(RLIMIT_FSIZE, limits)
    assert snapshot.read(path) == {"commit": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["snapshot"]


@pytest.mark.parametrize("at", [0, 6, 12, 20, -1])
def test_snapshot_with_a_wrong_byte_is_not_read(tmp_path: Path, at: int) -> None:
    """Magic, version of Python, checksum, and both ends of the state."""
    data = bytearray(snapshot.encode({"commit": "one"}))
    data[at] ^= 1
    (tmp_path / "snapshot").write_bytes(data)
    with pytest.raises(ValueError, match=r"it has format|it is not whole"):
        snapshot.read(tmp_path / "snapshot")


@pytest.mark.parametrize(("version", "is_read"), [(0, False), (1, True), (snapshot.FORMAT, True), (3, False)])
def test_snapshot_of_the_former_format_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, *, is_read: bool
) -> None:
    """As at an upgrade: counters go on, and no batch is sent again."""
    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "FORMAT", version)
        snapshot.write(tmp_path / "snapshot", snapshot.encode({"commit": 1}))
    with nullcontext() if is_read else pytest.raises(ValueError, match=f"it has format {version} "):
        assert snapshot.read(tmp_path / "snapshot") == {"commit": 1}
