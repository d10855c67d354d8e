"""The exporter's view of all rings of a run."""

import fcntl
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from telemetry.journal import directory
from telemetry.journal.locks import is_held, try_lock, unlock
from telemetry.journal.ring import Lost, RingFormatError, RingReader

logger = logging.getLogger(__name__)

# How long a slot's empty ring is kept for a successor.
_KEEP_SECONDS = 30.0
# Some 25 requests, half a millisecond's work: the loop pauses between pieces.
_PIECE_BYTES = 1 << 14
_NOTHING = Lost()


class Writer(NamedTuple):
    """A process that records or has recorded: its slot, its process id, and when it joined."""

    slot: int
    pid: int
    joined: int


class Source:
    """One ring and its read position."""

    def __init__(self, path: Path, slot: int, known: Mapping[int, tuple[int, tuple[int, ...], int]]) -> None:
        self.path = path
        self.slot = slot
        self.reader = RingReader.at(path)
        position, lost, errors = known.get(self.reader.made, (0, _NOTHING, 0))
        self.position = max(position, self.reader.tail)
        self.counted, self.errors = Lost(*lost), errors
        self.is_alive = True
        self.dead_since = 0.0
        self.writer = self._writer()

    def _writer(self) -> Writer:
        return Writer(self.slot, self.reader.pid, self.reader.joined)

    def look(self, *, is_there: bool) -> Writer | None:
        """Check whether the writer is alive; return it once if it has ended or been replaced.

        The writer of a removed file counts as ended; it will notice this itself.
        """
        before = self.writer
        was_alive, self.is_alive = self.is_alive, is_there and is_held(self.path)
        if not self.is_alive and was_alive:
            self.dead_since = monotonic()
        self.writer = self._writer()
        if self.writer != before or (was_alive and not self.is_alive):
            return before
        return None

    @property
    def is_drained(self) -> bool:
        """Whether all written records are committed."""
        return self.reader.tail >= self.reader.head

    def newly_lost(self) -> Lost:
        """Return the numbers of items that did not fit since the last call."""
        lost = self.reader.lost
        new = Lost(*(now - then for now, then in zip(lost, self.counted, strict=True)))
        self.counted = lost
        return new

    def newly_failed(self) -> int:
        """Return the number of failed recordings since the last call."""
        errors = self.reader.errors
        new, self.errors = errors - self.errors, errors
        return new


class Rings:
    """The rings of the run at `path`; `known` is the `state` of a former exporter."""

    def __init__(self, path: Path, known: Mapping[int, tuple[int, tuple[int, ...], int]]) -> None:
        self._path = path
        self._known = known
        self._left: set[tuple[int, int]] = set()
        self.sources: dict[tuple[int, int], Source] = {}
        """By slot and inode, as a slot's file may be replaced."""
        self.gone: list[Writer] = []
        """Writers that have ended, for the caller to clear."""
        self.torn = 0

    def refresh(self) -> None:
        """Find new rings and ended writers; remove the empty rings of slots without a successor."""
        there = set()
        for slot, path in directory.rings(self._path).items():
            with suppress(FileNotFoundError):
                status = path.stat()
                there.add((slot, status.st_ino))
                if status.st_size:  # else it is still being created
                    self._open(slot, status.st_ino, path)
        for key, source in list(self.sources.items()):
            if gone := source.look(is_there=key in there):
                self.gone.append(gone)
            if not source.is_alive and source.is_drained and monotonic() - source.dead_since > _KEEP_SECONDS:
                self._remove(source, is_there=key in there)

    def _open(self, slot: int, inode: int, path: Path) -> None:
        if (slot, inode) in self.sources or (slot, inode) in self._left:
            return
        try:
            source = Source(path, slot, self._known)
            self.sources[slot, source.reader.inode] = source
        except RingFormatError as error:
            if is_held(path):
                return  # it is still being created
            self._left.add((slot, inode))
            logger.warning("the records in %s are left behind: %s", path, error)

    def _remove(self, source: Source, *, is_there: bool) -> None:
        held = try_lock(source.path, fcntl.LOCK_EX) if is_there else None
        if is_there and held is None:
            return
        with suppress(OSError):
            if source.is_drained:
                if is_there:
                    source.path.unlink()
                source.reader.close()
                del self.sources[source.slot, source.reader.inode]
        if held is not None:
            unlock(held)

    def unread(self) -> dict[Source, int]:
        """Return the rings with unread records, and the positions behind the last of them."""
        heads = {source: source.reader.head for source in self.sources.values()}
        return {source: head for source, head in heads.items() if head != source.position}

    def read(self, unread: dict[Source, int]) -> Iterator[tuple[Writer, list[Any]]]:
        """Yield one piece of each ring in `unread`, and remove rings read up to their positions there.

        A ring from which nothing can be read yet is removed, too.
        """
        for source, until in list(unread.items()):
            before, torn = source.position, source.reader.torn
            records, source.position = source.reader.read(before, most=_PIECE_BYTES, writer_is_dead=not source.is_alive)
            self.torn += source.reader.torn - torn
            if source.position >= until or source.position == before:
                del unread[source]
            if records:
                yield source.writer, records

    @property
    def fullest(self) -> float:
        """The share of the fullest ring that was read and waits for a commit, from 0 to 1."""
        return max(
            ((s.position - s.reader.tail) / s.reader.capacity for s in self.sources.values()),
            default=0.0,
        )

    @property
    def fullest_unread(self) -> float:
        """The share of the ring with the most unread records, from 0 to 1."""
        return max(
            ((s.reader.head - s.position) / s.reader.capacity for s in self.sources.values()),
            default=0.0,
        )

    def levels(self) -> dict[int, int]:
        """Return the numbers of active requests by kind, summed over living writers."""
        sums: dict[int, int] = {}
        for source in self.sources.values():
            if source.is_alive:
                for kind, count in enumerate(source.reader.levels):
                    sums[kind] = sums.get(kind, 0) + count
        return sums

    def state(self) -> dict[int, tuple[int, tuple[int, ...], int]]:
        """Return each ring's read position and counts, by its creation time, for a successor."""
        return {s.reader.made: (s.position, tuple(s.counted), s.errors) for s in self.sources.values()}

    def writers(self) -> list[tuple[int, int]]:
        """Return the id of each ring's process, and when it joined."""
        return [(s.reader.pid, s.reader.joined) for s in self.sources.values()]

    def known_to(self, former: Collection[tuple[int, int]]) -> set[int]:
        """Return the ids of the living processes among the `writers` of a `former` exporter.

        In a restarted container, processes have the same ids as before.
        """
        living = [s.writer for s in self.sources.values() if s.is_alive]
        return {writer.pid for writer in living if (writer.pid, writer.joined) in former}

    def release(self) -> None:
        """Give the space of read records back to the writers."""
        for source in self.sources.values():
            source.reader.release(source.position)

    def status(self) -> list[dict[str, Any]]:
        """Return a description of each ring for the status."""
        return [
            {
                "slot": s.slot,
                "pid": s.writer.pid,
                "joined": s.writer.joined / 1e9,
                "alive": s.is_alive,
                "waiting_bytes": s.reader.head - s.reader.tail,
                "capacity_bytes": s.reader.capacity,
                "dropped": s.reader.lost._asdict(),
                "errors": s.reader.errors,
            }
            for s in self.sources.values()
        ]
