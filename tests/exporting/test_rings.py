"""The rings of a run, whatever happens to their files."""

import marshal
import os
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from telemetry.exporting import rings as rings_module
from telemetry.exporting.rings import Rings
from telemetry.journal.directory import RunDirectory
from telemetry.journal.records import LOG
from telemetry.journal.ring import has_unread
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


def test_ring_without_a_process_is_removed_once_all_is_committed(
    joined: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    rings, path = Rings(joined.path, {}), joined.path / "slot-0.ring"
    with ring_in(joined) as ring:
        ring.put((LOG, "a"))
        rings.refresh()
    with monkeypatch.context() as at_once:
        at_once.setattr(rings_module, "_KEEP_SECONDS", -1.0)
        assert texts(rings) == ["a"]
        rings.refresh()
        assert path.exists()
        rings.release()
        at_once.setattr(rings_module, "_KEEP_SECONDS", 60.0)
        rings.refresh()
        assert path.exists()  # for a successor
    monkeypatch.setattr(rings_module, "_KEEP_SECONDS", -1.0)
    with ring_in(joined):
        rings.refresh()
        assert path.exists()
    rings.refresh()
    assert not path.exists()
    assert rings.sources == {}
    assert texts(rings) == []


def test_record_that_a_killed_process_left_unfinished_costs_no_other(joined: RunDirectory) -> None:
    rings = Rings(joined.path, {})
    with ring_in(joined) as ring:
        for text in ("torn", "a"):
            ring.put((LOG, text))
        ring._bytes[8] ^= 0xFF
        assert texts(rings) == []  # it may only not be visible yet
    assert (texts(rings), rings.torn) == (["a"], 1)
    rings.release()
    assert not has_unread(joined.path / "slot-0.ring")


def test_what_was_given_back_is_not_read_again_without_a_state(joined: RunDirectory) -> None:
    with ring_in(joined) as ring:
        ring.put((LOG, "a"))
        rings = Rings(joined.path, {})
        assert texts(rings) == ["a"]
        ring.put((LOG, "b"))
        rings.release()
        assert texts(Rings(joined.path, {})) == ["b"]


def test_active_requests_of_a_killed_process_are_over(joined: RunDirectory) -> None:
    rings = Rings(joined.path, {})
    with ring_in(joined, made=1) as first, ring_in(joined, made=2) as second:
        for ring in (first, second):
            ring.enter(3)
        rings.refresh()
        assert rings.levels()[3] == 2
    rings.refresh()
    assert rings.levels() == {}
