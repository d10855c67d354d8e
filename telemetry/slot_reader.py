"""A scrape's view of one slot file: plain reads, keys parsed once, all values unpacked in one call."""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from telemetry.prometheus_names import PrometheusSeries
from telemetry.slot_format import EXEMPLAR, HEADER, Header, entries, read_exemplar
from telemetry.state_directory import slot_files, slot_owner

Exemplar = tuple[float, float, int, int]  # value, Unix seconds, trace id, span id
_MARGIN = 16 * 1024  # room for series that appeared since the last scrape


class StoredSeries(NamedTuple):
    """One series of a slot; ``first`` is the index of its first value among the slot's values."""

    shown: PrometheusSeries
    created: float  # Unix seconds
    first: int
    exemplars_at: int  # offset in the file


@dataclass(slots=True, eq=False)
class SlotReader:
    """Reads one slot file again and again; what was parsed stays, as entries are only ever appended.

    ``translate`` gives the series of an encoded key, or None for a key that means nothing.
    """

    slot: int
    inode: int
    path: Path
    translate: Callable[[bytes], PrometheusSeries | None]
    series: list[StoredSeries] = field(default_factory=list)
    values: tuple[float, ...] = (0.0,)  # with a 0 at the end, for what the slot does not have
    generation: int = 0
    is_live: bool = False
    refused: tuple[float, float] = (0.0, 0.0)  # series over a limit, series without space
    exemplars: dict[tuple[int, int], Exemplar] = field(default_factory=dict)  # by series index and bucket
    _parsed: int = HEADER.size
    _layout: struct.Struct = field(default_factory=lambda: struct.Struct(f"@{HEADER.size}x"))
    _codes: list[str] = field(default_factory=lambda: [f"@{HEADER.size}x"])
    _changes_at: list[tuple[int, int]] = field(default_factory=list)  # series index, index of its change count
    _changes: dict[int, float] = field(default_factory=dict)
    _descriptor: int = -1

    def read(self, buffer: bytearray, *, exemplars: bool) -> bool:
        """Take the present values; returns whether there are series that were not there before."""
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        length = _read(self._descriptor, buffer, self._parsed + _MARGIN)
        if length < HEADER.size:
            return False
        header = Header(*HEADER.unpack_from(buffer))
        if not header.is_valid(os.fstat(self._descriptor).st_size):
            return False  # what was last read stands
        if header.used > length and _read(self._descriptor, buffer, header.used) < header.used:
            return False
        grown = self._parse(buffer, header.used)
        self.values = (*self._layout.unpack_from(buffer), 0.0)
        self.generation = header.generation
        self.refused = header.refused_limit, header.refused_space
        owner = slot_owner(self.path.parent, self.slot)
        # A successor that holds the lock but has not yet put its name into the file does not vouch for what is there.
        self.is_live = owner < 0 or owner == header.pid != 0
        if exemplars:
            self._read_exemplars(buffer)
        return grown

    def _parse(self, buffer: bytearray, used: int) -> bool:
        grown = False
        first = len(self.values) - 1
        for layout, end in entries(buffer, self._parsed, used):
            shown = self.translate(layout.key)
            if shown is None or (shown.values, shown.exemplars) != (layout.values, layout.exemplars):
                self._codes.append(f"{end - self._parsed}x")
            else:
                if layout.exemplars:
                    self._changes_at.append((len(self.series), first + layout.values - 1))
                self.series.append(StoredSeries(shown, layout.created, first, layout.exemplars_at))
                self._codes.append(f"{layout.values_at - self._parsed}x{layout.values}d{end - layout.exemplars_at}x")
                first += layout.values
            self._parsed = end
            grown = True
        if grown:
            self._layout = struct.Struct("".join(self._codes))
        return grown

    def _read_exemplars(self, buffer: bytearray) -> None:
        for index, at in self._changes_at:
            changes = self.values[at]
            if changes == self._changes.get(index, 0.0):
                continue
            self._changes[index] = changes
            series = self.series[index]
            end = series.exemplars_at + EXEMPLAR.size * series.shown.exemplars
            for bucket, offset in enumerate(range(series.exemplars_at, end, EXEMPLAR.size)):
                # One that is being written is read after its writer has raised the count of changes.
                found = read_exemplar(buffer, offset)
                if found is not None:
                    self.exemplars[index, bucket] = found

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _read(descriptor: int, buffer: bytearray, length: int) -> int:
    if len(buffer) < length:
        buffer.extend(bytes(length - len(buffer)))
    if hasattr(os, "preadv"):
        with memoryview(buffer)[:length] as view:
            return os.preadv(descriptor, [view], 0)
    data = os.pread(descriptor, length, 0)
    buffer[: len(data)] = data
    return len(data)


def follow(
    directory: Path, known: list[SlotReader], translate: Callable[[bytes], PrometheusSeries | None]
) -> tuple[list[SlotReader], bool]:
    """Readers of the slot files that are there now, in the order of the slots; whether any is new or gone.

    Raises FileNotFoundError if the directory is gone.
    """
    by_file = {(reader.slot, reader.inode): reader for reader in known}
    readers = []
    for slot, entry in slot_files(directory):
        # The open file keeps its inode from being used again, so an equal number means the same file.
        reader = by_file.pop((slot, entry.inode()), None)
        readers.append(reader or SlotReader(slot, entry.inode(), Path(entry.path), translate))
    for reader in by_file.values():
        reader.close()
    return readers, readers != known
