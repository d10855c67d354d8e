"""A journal of the test's own, which this process records into, and the test reads."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from telemetry.journal.directory import RunDirectory, ring_path
from telemetry.journal.ring import RingReader
from telemetry.recording.journal import Journal, journal

Read = Callable[[], list[Any]]


class Recorded:
    """What this process has recorded since the last look."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR)
        self.ring = RingReader(descriptor)
        os.close(descriptor)

    def __call__(self) -> list[Any]:
        records, position = self.ring.read(self.ring.tail)
        self.ring.release(position)
        return records


def open_journal(folder: Path) -> Recorded:
    journal.open(RunDirectory.join(folder, "test", "here", "1"), 1 << 20)
    assert journal.directory
    return Recorded(ring_path(journal.directory.path, 0))


def close_journal() -> None:
    """End what `open_journal` began."""
    journal.close()
    journal.__dict__.update(Journal().__dict__)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    """What is recorded while the test runs."""
    yield open_journal(tmp_path)
    close_journal()
