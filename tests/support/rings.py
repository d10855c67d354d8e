"""A ring as a process that records has one."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from telemetry.journal.directory import RunDirectory
from telemetry.journal.records import items_of
from telemetry.journal.ring import RingWriter, create


@contextmanager
def ring_in(run: RunDirectory, *, made: int = 1, joined: int = 2) -> Iterator[RingWriter]:
    """Take a slot of `run` and give the writer of its new ring of 4 KiB; `made` is its time, which distinguishes it.

    `joined` is when its process joined.
    """
    _slot, descriptor = run.take_slot()
    try:
        create(descriptor, 4096, made)
        with closing(RingWriter(descriptor, joined, items_of)) as ring:  # its map holds the lock, too
            yield ring
    finally:
        os.close(descriptor)
