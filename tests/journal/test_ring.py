"""What a ring keeps: every whole record in order, whoever writes, whoever dies, whatever the file holds."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from time import time_ns
from types import FrameType
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import wrapt
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.journal import ring
from telemetry.journal.records import (
    LOG,
    MEASUREMENT,
    OBSERVATIONS,
    QUERY,
    REQUEST,
    SPAN,
    items_of,
    plain,
    plain_attributes,
)
from telemetry.journal.ring import Lost, RingFormatError, RingReader, RingWriter

CAPACITY = 4096


class Rings:
    """A ring's file, with as many writers and readers as are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def make(self, capacity: int = CAPACITY) -> None:
        os.ftruncate(self.descriptor, 0)
        ring.create(self.descriptor, capacity, time_ns())

    def writer(self) -> RingWriter:
        return RingWriter(self.descriptor, time_ns(), items_of)

    def reader(self) -> RingReader:
        return RingReader(self.descriptor)


@pytest.fixture
def rings(tmp_path: Path) -> Iterator[Rings]:
    made = Rings(tmp_path / "ring")
    made.make()
    yield made
    os.close(made.descriptor)


def record(number: int, size: int = 0) -> tuple[Any, ...]:
    return (SPAN, number, "x" * size)


def read_all(reader: RingReader, **options: Any) -> list[Any]:
    records, position = reader.read(reader.tail, **options)
    reader.release(position)
    return records


def test_records_come_back_in_order(rings: Rings) -> None:
    writer, reader = rings.writer(), rings.reader()
    written = [record(number) for number in range(20)]
    for each in written:
        writer.put(each)
    assert read_all(reader) == written
    assert read_all(reader) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sizes=st.lists(st.integers(0, 900), min_size=1, max_size=80), every=st.integers(1, 6))
def test_records_survive_any_wrap_around(
    sizes: list[int], every: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rings = Rings(tmp_path_factory.mktemp("ring") / "ring")
    rings.make()
    writer, reader = rings.writer(), rings.reader()
    seen, written = [], []
    for number, size in enumerate(sizes):
        lost = reader.lost.spans
        writer.put(record(number, size))
        if reader.lost.spans == lost:
            written.append(record(number, size))
        if number % every == 0:
            seen += read_all(reader)
    seen += read_all(reader)
    assert seen == written
    assert reader.lost.spans == len(sizes) - len(written)
    os.close(rings.descriptor)


def test_full_ring_counts_by_signal_and_goes_on(rings: Rings) -> None:
    writer, reader = rings.writer(), rings.reader()
    request = (REQUEST, (b"", b"", None, 1, False), 0, 0, "GET", None, 200, None, None, None, [1, 2], [3])
    while reader.lost == Lost():
        writer.put(request)
    assert reader.lost == Lost(spans=3, logs=1, measurements=3)
    writer.put((LOG, "y" * CAPACITY))  # one that never fits
    assert reader.lost.logs == 2
    assert len(read_all(reader)) > 1
    writer.put(record(1))
    assert read_all(reader) == [record(1)]


def test_ring_is_filled_to_its_last_byte_each_time(rings: Rings) -> None:
    """One byte more would overwrite a record that has not been read."""
    writer, reader = rings.writer(), rings.reader()
    writer.put(record(0))
    empty = reader.head
    read_all(reader)
    eighth = record(1, CAPACITY // 8 - empty)
    for turn in range(1, 4):
        for _ in range(7):
            writer.put(eighth)
        writer.put(record(2, CAPACITY // 8 - empty + 1))
        assert reader.lost == Lost(spans=2 * turn - 1)
        writer.put(eighth)
        assert reader.head - reader.tail == CAPACITY
        writer.put(record(3))
        assert reader.lost == Lost(spans=2 * turn)
        assert read_all(reader) == [eighth] * 8


def request(queries: int, logs: int, text: str) -> tuple[Any, ...]:
    query = (("postgresql", "shop", "db", 5432), text, 5, 6, 1, None, None, None)
    log = ("shop", 5, 20, "INFO", text, None, None, None)
    context = (b"t" * 16, b"s" * 8, None, 1, False)
    return (REQUEST, context, 1, 2, "GET", "/", 200, None, None, None, [query] * queries, [log] * logs)


def test_request_too_long_for_a_ring_is_written_in_parts(rings: Rings) -> None:
    writer, reader = rings.writer(), rings.reader()
    whole = request(8, 3, "x" * 200)
    writer.put(whole)
    records = read_all(reader)
    assert records[0] == (*whole[:10], (), ())
    assert [record[0] for record in records[1:]] == [QUERY] * 8 + [LOG] * 3
    assert {record[7] for record in records if record[0] == QUERY} == {(b"t" * 16, b"", b"s" * 8, 1, False)}
    assert {record[8] for record in records if record[0] == LOG} == {(b"t" * 16, b"s" * 8, 1)}
    assert [sum(each) for each in zip(*map(items_of, records), strict=True)] == list(items_of(whole))
    assert reader.lost == Lost()


def test_parts_of_a_request_keep_the_contexts_that_they_have(rings: Rings) -> None:
    """A query or a log record within a span of user code belongs to that."""
    writer, reader = rings.writer(), rings.reader()
    *start, (query, *_), (log, *_) = request(1, 1, "x" * 1800)
    inner, at = (b"t" * 16, b"", b"i" * 8, 1, False), (b"t" * 16, b"i" * 8, 1)
    writer.put((*start, [(*query[:6], inner, None)], [(*log[:7], at)]))
    _, query, log = read_all(reader)
    assert (query[7], log[8]) == (inner, at)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ((REQUEST, (b"", b"", None, 2, False), 1, 2, "GET", "/", 200, None, None, None, [5, 6], [7]), (0, 1, 3)),
        ((QUERY, (), "", 1, 2, -1, None, (b"", b"", None, 3, False), None), (1, 0, 1)),
        ((QUERY, (), "", 1, 2, -1, None, (b"", b"", None, 2, False), None), (0, 0, 1)),
        ((LOG, "shop"), (0, 1, 0)),
        ((SPAN, None), (1, 0, 0)),
        ((MEASUREMENT, ()), (0, 0, 1)),
        ((OBSERVATIONS, 1, (5, 6, 7), 8), (0, 0, 3)),
    ],
)
def test_items_of_a_record(item: tuple[Any, ...], expected: tuple[int, int, int]) -> None:
    """Spans that are not sampled are not lost; their durations are."""
    assert items_of(item) == expected


def test_only_the_parts_too_long_for_a_ring_are_lost(rings: Rings) -> None:
    writer, reader = rings.writer(), rings.reader()
    writer.put(request(2, 1, "x" * CAPACITY))
    assert [record[0] for record in read_all(reader)] == [REQUEST]
    assert reader.lost == Lost(2, 1, 2)


def test_successor_continues_the_ring(rings: Rings) -> None:
    rings.writer().put(record(1))
    rings.writer().put(record(2))
    assert read_all(rings.reader()) == [record(1), record(2)]


def test_reader_at_an_older_position_reads_again(rings: Rings) -> None:
    writer, reader = rings.writer(), rings.reader()
    writer.put(record(1))
    _, position = reader.read(0)
    writer.put(record(2))
    assert reader.read(0)[0] == [record(1), record(2)]
    assert reader.read(position)[0] == [record(2)]


def test_torn_frame_waits_for_a_living_writer_and_is_skipped_behind_a_dead_one(rings: Rings) -> None:
    writer, reader = rings.writer(), rings.reader()
    for number in range(3):
        writer.put(record(number))
    _, second = reader.read(0, most=1)
    with rings.path.open("r+b") as file:
        file.seek(512 + second + ring._FRAME + 2)
        file.write(b"\xff\xff")
    assert reader.read(0)[0] == [record(0)]
    assert reader.torn == 0
    assert reader.read(0, writer_is_dead=True)[0] == [record(0), record(2)]
    assert reader.torn == 1


def test_frame_that_is_whole_but_no_record_is_counted_and_skipped(rings: Rings) -> None:
    writer, reader = rings.writer(), rings.reader()
    for data in (b"", b"0", b"?"):  # of which `marshal` raises three different errors
        writer._append(data)
    writer.put(record(1))
    assert read_all(reader) == [record(1)]
    assert reader.torn == 3


@pytest.mark.parametrize(("distance", "torn"), [(8, 0), (-CAPACITY - 8, 1)])
def test_position_outside_of_the_ring_is_left(rings: Rings, distance: int, torn: int) -> None:
    """Ahead of a living writer it waits; behind what has been overwritten, or without a writer, the rest is lost."""
    writer, reader = rings.writer(), rings.reader()
    for _ in range(3):
        writer.put(record(1, 2000))
        reader.release(reader.head)
    position = reader.head + distance
    assert reader.read(position) == ([], reader.head if torn else position)
    assert reader.torn == torn
    assert reader.read(position, writer_is_dead=True) == ([], reader.head)
    assert reader.torn == torn + 1


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    start=st.integers(0, CAPACITY - 1),
    noise=st.binary(min_size=1, max_size=300),
    head=st.integers(0, 3 * CAPACITY),
    dead=st.booleans(),
)
def test_no_bytes_of_a_file_harm_its_reader(
    start: int, noise: bytes, head: int, dead: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rings = Rings(tmp_path_factory.mktemp("ring") / "ring")
    rings.make()
    writer, reader = rings.writer(), rings.reader()
    for number in range(10):
        writer.put(record(number, 100))
    with rings.path.open("r+b") as file:
        file.seek(512 + start)
        file.write(noise[: CAPACITY - start])
        file.seek(8 * 4)
        file.write(head.to_bytes(8, sys.byteorder))
    records, position = reader.read(0, writer_is_dead=dead)
    assert position >= 0
    assert all(each == record(each[1], 100) for each in records if isinstance(each, tuple) and len(each) == 3)
    if dead:
        assert position in {reader.head, 0}
    os.close(rings.descriptor)


@pytest.mark.parametrize("damage", [(0, 0), (8, 0x30A << 48), (16, 17)], ids=["format", "python", "capacity"])
def test_ring_of_another_version_is_refused(rings: Rings, damage: tuple[int, int]) -> None:
    os.pwrite(rings.descriptor, damage[1].to_bytes(8, sys.byteorder), damage[0])
    with pytest.raises(RingFormatError, match="expected format"):
        rings.reader()
    with pytest.raises(RingFormatError):
        rings.writer()


def test_file_that_is_being_made_is_no_ring(tmp_path: Path) -> None:
    empty = Rings(tmp_path / "empty")
    with pytest.raises(RingFormatError):
        empty.reader()
    os.close(empty.descriptor)


def test_signal_handler_writes_into_the_middle_of_a_record(rings: Rings) -> None:
    """Signals arrive between any two bytecodes of `put`; each leaves a whole record of its own."""
    rings.make(1 << 20)
    writer, reader = rings.writer(), rings.reader()
    handled = 0

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal handled
        writer.put((LOG, handled))
        handled += 1

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        count = 0
        while handled < 200 and count < 400_000:
            writer.put(record(count))
            count += 1
            if count % 1000 == 0:
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
                for each in read_all(reader):
                    assert each[0] in {SPAN, LOG}
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled >= 200
    read_all(reader)
    assert reader.torn == 0
    assert reader.lost == Lost()


def test_record_of_a_handler_within_a_write_comes_behind_it(rings: Rings, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = rings.writer(), rings.reader()

    def interrupted(data: bytes) -> int:
        monkeypatch.undo()
        for number in range(2, 20):
            writer.put(record(number))
        return crc32(data)

    monkeypatch.setattr("telemetry.journal.ring.crc32", interrupted)
    writer.put(record(1))
    assert read_all(reader) == [record(number) for number in range(1, 20)]


def test_record_after_one_that_was_interrupted_is_written(rings: Rings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by `gevent.Timeout` or a signal handler, which may raise between any two bytecodes."""
    writer, reader = rings.writer(), rings.reader()

    def interrupted(_: bytes) -> int:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr("telemetry.journal.ring.crc32", interrupted)
        with pytest.raises(InterruptedError):
            writer.put(record(1))
    writer.put(record(2))
    assert read_all(reader) == [record(2)]


def test_threads_write_whole_records(rings: Rings) -> None:
    rings.make(8 << 20)
    writer, reader = rings.writer(), rings.reader()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:

        def write(number: int) -> None:
            for each in range(3000):
                writer.put((SPAN, number, each))

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    seen: list[Any] = []
    while records := read_all(reader):
        seen += records
    assert len(seen) == 12_000
    for number in range(4):
        assert [each[2] for each in seen if each[1] == number] == list(range(3000))


def test_levels_count_what_is_active(rings: Rings) -> None:
    writer, reader = rings.writer(), rings.reader()
    writer.enter(2)
    writer.enter(2)
    writer.leave(2)
    writer.leave(5)  # one that began before this writer
    assert list(reader.levels)[:6] == [0, 0, 1, 0, 0, 0]
    for level in range(ring.LEVELS):
        writer.enter(level)
    rings.writer()
    assert not any(reader.levels)


def test_space_is_allocated_before_it_is_mapped(tmp_path: Path) -> None:
    """A full file system is an error, and leaves nothing behind that looks like a ring."""
    free = os.statvfs(tmp_path)
    descriptor = os.open(tmp_path / "large", os.O_RDWR | os.O_CREAT, 0o600)
    with pytest.raises(OSError, match=r"space|large"):
        ring.create(descriptor, free.f_frsize * free.f_blocks * 2, time_ns())
    assert os.fstat(descriptor).st_size == 0
    os.close(descriptor)


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Text("x"), "x"),
        (True, True),
        ((Text("a"), 1.5, None), ("a", 1.5, None)),
        ({Text("k"): [Text("v")]}, {"k": ("v",)}),
        (Path("/tmp/x"), "/tmp/x"),  # noqa: S108
        (signal.SIGTERM, 15),
        (Fraction(3, 2), 1.5),
        (np.float64(1.5), 1.5),
        ([np.int64(3), np.str_("x")], (3, "x")),
    ],
)
def test_plain_values_can_be_written(rings: Rings, value: Any, expected: Any) -> None:
    rings.writer().put(plain((SPAN, value)))
    assert read_all(rings.reader()) == [(SPAN, expected)]


class Broken:
    def __str__(self) -> str:
        raise ValueError

    def __iter__(self) -> Iterator[Any]:
        raise ValueError


def fail() -> str:
    raise ValueError


def within_itself() -> list[Any]:
    found: list[Any] = ["a"]
    found += [found, {"key": found}]
    return found


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (gettext_lazy("Orders."), "Orders."),
        (SimpleLazyObject(lambda: "ada"), "ada"),
        (SimpleLazyObject(lambda: mark_safe("ada")), "ada"),
        (SimpleLazyObject(lambda: 3), "3"),
        (SimpleLazyObject(lambda: ["a", 1]), ("a", 1)),
        (SimpleLazyObject(lambda: {"a": 1}), {"a": 1}),
        (SimpleLazyObject(fail), "<SimpleLazyObject>"),
        (wrapt.ObjectProxy("ada"), "ada"),
        (wrapt.ObjectProxy(3), 3),
        (Broken(), "<Broken>"),
        ({(1, 2): gettext_lazy("a"), gettext_lazy("b"): 1}, {"(1, 2)": "a", "b": 1}),
        (Fraction(10**400), str(10**400)),
        (within_itself(), ("a", "<list>", {"key": "<list>"})),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_can_be_written(rings: Rings, value: Any, expected: Any) -> None:
    writer, reader = rings.writer(), rings.reader()
    assert plain(value) == expected
    writer.put((SPAN, plain_attributes({"given": value, gettext_lazy("key"): 1})))  # type: ignore[dict-item]
    assert read_all(reader) == [(SPAN, {"given": expected, "key": 1})]


@pytest.mark.parametrize("value", [SimpleLazyObject(lambda: "ada"), nested(3000)], ids=["lazy", "deep"])
def test_record_with_a_value_that_is_not_plain_is_not_lost(rings: Rings, value: Any) -> None:
    rings.writer().put((SPAN, 1, value))
    assert [each[:2] for each in read_all(rings.reader())] == [(SPAN, 1)]


def test_values_at_any_depth_can_be_written(rings: Rings) -> None:
    for depth in (40, 900, 1990, 3000):
        rings.writer().put((SPAN, depth, plain(nested(depth))))
    assert [each[1] for each in read_all(rings.reader())] == [40, 900, 1990, 3000]
