"""One batch as a file, `<signal>-<number>-<items>-<checksum>`: the bytes to send, created atomically."""

import errno
import mmap
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time
from zlib import crc32

# A file occupies whole pages in memory, of 64 KiB on some systems, and whole blocks on disk.
_PAGE = max(4096, mmap.PAGESIZE)
_UNFINISHED = ".new"
_NAME = re.compile(r"(?P<number>[0-9]{12,})-(?P<items>[0-9]+)-(?P<checksum>[0-9a-f]{8})")


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A file of a spool."""

    folder: Path
    signal: str
    number: int
    items: int
    size: int
    checksum: int
    created: float
    """Seconds since 1970."""

    @property
    def path(self) -> Path:
        """The path of the file, built on demand: many thousands of batches may wait."""
        return self.folder / f"{self.signal}-{self.number:012}-{self.items}-{self.checksum:08x}"

    @property
    def space(self) -> int:
        """The bytes that the file occupies on its file system."""
        return max(1, -(-self.size // _PAGE)) * _PAGE

    def read(self) -> bytes:
        """Return the bytes to send. Raises OSError if the file is missing or damaged."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(descriptor, self.size + 1)
            while len(data) < self.size and (more := os.read(descriptor, self.size)):  # a short read (network)
                data += more
        finally:
            os.close(descriptor)
        if crc32(data) != self.checksum:
            raise OSError(errno.EIO, "the file is damaged", str(self.path))
        return data

    def delete(self) -> bool:
        """Delete the file if it exists; return whether it is gone: False while its disk is unavailable."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return is_there(self.folder)
        except OSError:
            return False
        return True


def write(folder: Path, signal: str, number: int, data: bytes, items: int) -> Batch:
    """Write a batch that only this user can read. Raises OSError, leaving no file behind."""
    batch = Batch(folder, signal, number, items, len(data), crc32(data), time())
    path = batch.path
    new = path.with_name(path.name + _UNFINISHED)
    try:
        descriptor = _open(new)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)
        new.rename(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
    return batch


def _open(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:  # the folder was removed
        path.parent.mkdir(0o700)
        return os.open(path, flags, 0o600)


def is_there(folder: Path) -> bool:
    """Return whether `folder` can be read: if so, an unreadable file in it is lost; if not, its disk may come back."""
    try:
        with os.scandir(folder):
            return True
    except OSError:
        return False


def batches(folder: Path, signal: str) -> Iterator[Batch]:
    """Yield the batches of a signal in `folder`, and delete unfinished files of a killed process.

    Raises OSError if the folder cannot be read.
    """
    for name in sorted(os.listdir(folder)):  # noqa: PTH208  (a glob of an unreadable folder is empty)
        if not name.startswith(f"{signal}-"):
            continue
        path = folder / name
        known = _NAME.fullmatch(path.name.removeprefix(f"{signal}-"))
        with suppress(OSError):
            if path.name.endswith(_UNFINISHED):
                path.unlink()
            elif known:
                found = path.stat()
                number, items, checksum = int(known["number"]), int(known["items"]), int(known["checksum"], 16)
                yield Batch(folder, signal, number, items, found.st_size, checksum, found.st_mtime)


def sync(paths: Iterable[Path]) -> None:
    """Sync files or folders to disk; skip missing ones."""
    for path in paths:
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
