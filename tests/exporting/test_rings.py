"""The rings of a run, whatever happens to their files."""

import marshal
import os
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from telemetry.exporting.rings import Rings
from telemetry.journal.directory import RunDirectory
from telemetry.journal.records import LOG
from tests.support.rings import ring_in

Record = Callable[[str], None]


@pytest.fixture
def joined(tmp_path: Path) -> RunDirectory:
    return RunDirectory.join(tmp_path, "test", "here", "1")


@pytest.fixture
def begin(joined: RunDirectory) -> Any:
    """A function that takes a slot as a new process does, and returns one that records a text there."""
    times = count(1)
    with ExitStack() as stack:

        def take() -> Record:
            ring = stack.enter_context(ring_in(joined, made=next(times)))
            return lambda text: ring.put((LOG, text))

        yield take


def texts(rings: Rings) -> list[str]:
    rings.refresh()
    return [record[1] for _, records in rings.read(rings.unread()) for record in records]


def test_ring_in_place_of_one_that_cannot_be_read_is_read(joined: RunDirectory, begin: Callable[[], Record]) -> None:
    path, rings = joined.path / "slot-0.ring", Rings(joined.path, {})
    path.write_bytes(b"x" * 8192)
    assert texts(rings) == []
    path.rename(path.with_suffix(".left-1"))
    begin()("new")
    assert texts(rings) == ["new"]


def test_ring_in_place_of_one_that_was_removed_is_read_with_it(
    joined: RunDirectory, begin: Callable[[], Record]
) -> None:
    rings, record = Rings(joined.path, {}), begin()
    record("before")
    assert texts(rings) == ["before"]
    (joined.path / "slot-0.ring").unlink()
    record("removed")
    rings.refresh()
    again = begin()
    again("again")
    assert sorted(texts(rings)) == ["again", "removed"]
    assert [writer.slot for writer in rings.gone] == [0]


def test_position_is_known_before_anything_is_read(joined: RunDirectory, begin: Callable[[], Record]) -> None:
    rings, record = Rings(joined.path, {}), begin()
    record("before")
    assert texts(rings) == ["before"]
    following = Rings(joined.path, rings.state())
    following.refresh()
    assert following.state() == rings.state() != {}


def test_process_with_the_id_of_a_former_one_is_another(joined: RunDirectory, tmp_path: Path) -> None:
    rings = Rings(joined.path, {})
    with ring_in(joined, joined=5):
        rings.refresh()
        former = marshal.loads(marshal.dumps(rings.writers(), 2))  # noqa: S302
        following = Rings(joined.path, {})
        following.refresh()
        assert following.known_to(former) == {os.getpid()}
    following.refresh()
    assert following.known_to(former) == set()
    after_a_restart = RunDirectory.join(tmp_path, "test", "here", "2")
    with ring_in(after_a_restart, joined=7):
        following = Rings(after_a_restart.path, {})
        following.refresh()
        assert following.known_to(former) == set()
