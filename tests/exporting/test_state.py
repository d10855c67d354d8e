"""Exporters one after another, killed at any moment, on a disk that comes and goes: nothing is lost or done twice."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from telemetry.exporting.outlets import Outlets
from telemetry.exporting.rings import Rings
from telemetry.exporting.state import State
from telemetry.journal import batch_file, snapshot
from telemetry.journal import spool as spool_module
from telemetry.journal.spool import Spool


class Killed(Exception):  # noqa: N818
    """The end of an exporter, wherever it was."""


class Disk:
    """A folder on a disk that can be away: not mounted, as the exporter sees it."""

    def __init__(self, folder: Path) -> None:
        self._mounted, self._away = folder / "mounted", folder / "away"
        self.path = self._mounted / "service" / "run-0"
        self.path.mkdir(parents=True)

    @property
    def is_there(self) -> bool:
        return self.path.is_dir()

    def turn(self, *, on: bool) -> None:
        if on and not self.is_there:
            self._mounted.rmdir()
            self._away.rename(self._mounted)
        elif not on and self.is_there:
            self._mounted.rename(self._away)
            self._mounted.mkdir()

    def change(self) -> None:
        self.turn(on=not self.is_there)


class Run:
    """What outlives an exporter: the ring of records, which are numbers, the memory, and what the backend took."""

    def __init__(self, folder: Path) -> None:
        self.memory = folder / "memory"
        self.memory.mkdir()
        self.disk = Disk(folder)
        self.head = self.tail = 0
        self.taken: Counter[int] = Counter()
        self.doubtful: set[int] = set()
        """What a kill may send twice: taken just before, from files that were not deleted as the disk went."""


class Exporter:
    """An exporter's parts that keep state, with the steps of its loop and of its sender."""

    def __init__(self, run: Run) -> None:
        self.run = run
        on_disk = run.disk.is_there
        self.state = State([run.disk.path, run.memory] if on_disk else [run.memory])
        self.spool = Spool(
            run.disk.path if on_disk else run.memory,
            "traces",
            max_bytes=1 << 30,
            fallback=run.memory if on_disk else None,
        )
        self.spool.recover((self.state.of("spools") or {}).get("traces"), self.state.generation)
        self.counted = self.state.of("counted") or 0
        self.position = max(self.state.of("rings") or 0, run.tail)
        self.unsaved: set[int] = set()

    def commit(self, *, read: bool = True) -> None:
        """What `Loop.commit` does, in its order; the first one is before anything is read."""
        records = range(self.position, self.run.head if read else self.position)
        self.counted += len(records)
        self.position = records.stop
        if records:
            self.spool.append(b"".join(number.to_bytes(4) for number in records), len(records))
        self.state.save(cast("Rings", _State(self.position)), cast("Outlets", _State(self._state())))
        self.run.tail = self.position
        self.unsaved.clear()
        assert self.spool.publish() == []

    def _state(self) -> dict[str, Any]:
        return {"counted": self.counted, "spools": {"traces": self.spool.state()}}

    def send(self, random: Random) -> None:
        """What a sender does; a disk may go between the backend's answer and the end of the file."""
        batches = self.spool.take(random.randrange(1, 20), 1 << 20)
        readable, away = [], []
        for batch in batches:
            try:
                data = batch.read()
            except OSError:
                assert self.spool.is_unavailable(batch)
                away.append(batch)
            else:
                readable.append(batch)
                numbers = [int.from_bytes(data[at : at + 4]) for at in range(0, len(data), 4)]
                self.run.taken.update(numbers)
                self.unsaved.update(numbers)
        if away:
            self.spool.set_aside(away, "gone")
        if random.random() < 0.2:
            self.run.disk.change()
        self.spool.remove(readable)
        if self.run.disk.is_there:
            self.unsaved.clear()


class _State:
    def __init__(self, state: Any) -> None:
        self._it = state

    def state(self) -> Any:
        return self._it


@contextmanager
def anything_between(run: Run, random: Random, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Before each file is written, the exporter may be killed, and the disk may come or go."""

    def with_chance(function: Any) -> Any:
        def called(*args: Any) -> Any:
            if random.random() < 0.15:
                run.disk.change()
            if random.random() < 0.05:
                raise Killed
            return function(*args)

        return called

    with monkeypatch.context() as patch:
        patch.setattr(spool_module, "_NEXT_TRY_SECONDS", 0.0)
        patch.setattr(batch_file, "write", with_chance(batch_file.write))
        patch.setattr(snapshot, "write", with_chance(snapshot.write))
        yield


@pytest.mark.parametrize("seed", range(25))
def test_disk_that_comes_and_goes_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    random, run = Random(seed), Run(tmp_path)  # noqa: S311
    before = 0
    with anything_between(run, random, monkeypatch):
        for _ in range(40):
            exporter = Exporter(run)
            assert exporter.counted >= before
            try:
                exporter.commit(read=False)
                for _ in range(random.randrange(1, 12)):
                    run.head += random.randrange(5)
                    exporter.commit()
                    before = exporter.counted
                    if random.random() < 0.5:
                        exporter.send(random)
            except Killed:
                pass
            run.doubtful |= exporter.unsaved
            if random.random() < 0.3:
                run.disk.change()
    run.disk.turn(on=True)
    exporter = Exporter(run)
    exporter.commit()
    while exporter.spool.waiting_items:
        exporter.send(Random(1))  # noqa: S311
        run.disk.turn(on=True)
    assert exporter.counted == run.head
    assert set(run.taken) == set(range(run.head))
    assert {number for number, times in run.taken.items() if times > 1} <= run.doubtful
    assert {path.name for folder in (run.memory, run.disk.path) for path in folder.iterdir()} == {"snapshot"}


def test_state_of_the_newest_exporter_counts_however_few_its_commits(tmp_path: Path) -> None:
    """Memory that was lost with its host while the disk was away: what is on the disk is old, but not sent."""
    run = Run(tmp_path)
    old = Exporter(run)
    for _ in range(50):
        run.head += 1
        old.commit()
    run.disk.turn(on=False)
    for path in run.memory.iterdir():
        path.unlink()
    new = Exporter(run)
    assert (new.counted, new.spool.waiting_items) == (0, 0)
    run.head += 3
    new.commit()
    run.disk.turn(on=True)
    last = Exporter(run)
    assert (last.counted, last.spool.waiting_items, last.state.starts) == (3, 53, 2)
    assert old.state.generation < new.state.generation < last.state.generation


def test_state_of_an_exporter_that_was_killed_between_two_files_is_beside_the_rings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    exporter = Exporter(run)
    exporter.commit()
    run.head += 5
    written: list[Path] = []

    def write_first(path: Path, data: bytes) -> None:
        if written:
            raise Killed
        written.append(path)
        write(path, data)

    write = snapshot.write
    monkeypatch.setattr(snapshot, "write", write_first)
    with pytest.raises(Killed):
        exporter.commit()
    run.disk.turn(on=False)
    assert written == [run.memory / "snapshot"]
    assert Exporter(run).counted == 5


def test_state_that_cannot_be_written_leaves_no_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(tmp_path)
    exporter = Exporter(run)
    exporter.commit()
    (run.disk.path / "snapshot.new").mkdir()
    for _ in range(3):
        exporter.commit()
    assert [path.name for path in run.disk.path.iterdir()] == ["snapshot.new"]
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning == f"the snapshot cannot be written to {run.disk.path / 'snapshot'}: Is a directory"
    assert Exporter(run).state.of("spools") is not None
