"""The format of a slot file: the metrics of one worker slot, for reading and for writing.

Layout (native byte order, all parts aligned to 8 bytes)::

    header   magic, version, used bytes, owner generation, owner process, refused series
    entry    lengths, creation time, key (JSON), values (float64), exemplar slots
    entry    ...

Entries are only ever appended, and ``used`` is raised after an entry is complete: a kill in between leaves nothing
that anybody would read. Exemplars, which a store cannot write at once, have a checksum.
"""

import struct
import sys
import zlib
from collections.abc import Iterator
from typing import NamedTuple

MAGIC = b"OTELSLOT"
VERSION = 1
HEADER = struct.Struct("@8sIIQQQdd8x")  # magic, version, header bytes, used, generation, pid, refused: limit, space
ENTRY = struct.Struct("@IIIId")  # entry bytes, key bytes, values, exemplar slots, creation (Unix seconds)
EXEMPLAR = struct.Struct("@ddQQQQ")  # value, Unix seconds, trace id (high, low), span id, checksum
_EXEMPLAR_BODY = struct.Struct("@ddQQQ")
_LOW = (1 << 64) - 1


class Header(NamedTuple):
    """What a slot file says about itself."""

    magic: bytes
    version: int
    size: int
    used: int
    generation: int
    pid: int
    refused_limit: float
    refused_space: float

    def is_valid(self, file_size: int) -> bool:
        """Whether the file is one of ours, of this layout."""
        ours = (self.magic, self.version, self.size) == (MAGIC, VERSION, HEADER.size)
        return ours and HEADER.size <= self.used <= file_size


class EntryLayout(NamedTuple):
    """Where one entry lies in its file; offsets and lengths in bytes."""

    key: bytes
    created: float
    values_at: int
    values: int
    exemplars_at: int
    exemplars: int


def entries(data: bytes | bytearray | memoryview, start: int, used: int) -> Iterator[tuple[EntryLayout, int]]:
    """Entries between two offsets, each with the offset of the next; ends early at one that makes no sense."""
    while start + ENTRY.size <= used:
        length, key_bytes, values, exemplars, created = ENTRY.unpack_from(data, start)
        values_at = start + ENTRY.size + padded(key_bytes)
        exemplars_at = values_at + 8 * values
        end = exemplars_at + EXEMPLAR.size * exemplars
        if end - start != length or end > used:
            return
        key = bytes(data[start + ENTRY.size : start + ENTRY.size + key_bytes])
        yield EntryLayout(key, created, values_at, values, exemplars_at, exemplars), end
        start = end


def padded(length: int) -> int:
    """The length rounded up to what keeps the next part aligned."""
    return (length + 7) & ~7


def pack_exemplar(value: float, seconds: float, trace_id: int, span_id: int) -> bytes:
    """The bytes of an exemplar slot."""
    body = _EXEMPLAR_BODY.pack(value, seconds, trace_id >> 64, trace_id & _LOW, span_id)
    return body + zlib.crc32(body).to_bytes(8, sys.byteorder)


def read_exemplar(data: bytes | bytearray | memoryview, at: int) -> tuple[float, float, int, int] | None:
    """Value, Unix seconds, trace id and span id of an exemplar slot; None if it is empty or being written."""
    value, seconds, high, low, span_id, checksum = EXEMPLAR.unpack_from(data, at)
    if not checksum or zlib.crc32(data[at : at + _EXEMPLAR_BODY.size]) != checksum:
        return None
    return value, seconds, (high << 64) | low, span_id
