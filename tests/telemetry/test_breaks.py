"""Breaks really let other threads run, however long Python would let one go on."""

import sys
import threading
from collections.abc import Iterable, Iterator
from time import perf_counter, sleep

import pytest

from telemetry.breaks import with_breaks

ITEM = 20e-6
ITEMS = 10_000


@pytest.fixture(autouse=True)
def no_forced_switch() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(10)
    yield
    sys.setswitchinterval(before)


def longest_wait(items: Iterable[int]) -> float:
    """Return the longest time that this thread was kept from running while another one worked on `items`."""

    def work() -> None:
        for _ in items:
            end = perf_counter() + ITEM
            while perf_counter() < end:
                pass

    thread = threading.Thread(target=work)
    begin = perf_counter()
    thread.start()
    waits = [perf_counter() - begin]
    while thread.is_alive():
        begin = perf_counter()
        sleep(1e-6)
        waits.append(perf_counter() - begin)
    return max(waits)


@pytest.mark.timing
def test_breaks_let_other_threads_run() -> None:
    long = ITEM * ITEMS / 2
    assert longest_wait(range(ITEMS)) > long
    # More than once, since other processes keep a thread waiting, too.
    assert any(longest_wait(with_breaks(range(ITEMS))) < long for _ in range(30))


def test_breaks_leave_no_item_out() -> None:
    assert list(with_breaks(range(5))) == [0, 1, 2, 3, 4]
    assert list(with_breaks([])) == []
