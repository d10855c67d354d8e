"""The exporter's state at its last commit, for its successor; replaced by rename, so that it is always complete."""

import errno
import os
import sys
from contextlib import suppress
from marshal import dumps, loads
from pathlib import Path
from struct import Struct
from typing import Any
from zlib import crc32

FORMAT = 2
_READ = {1, FORMAT}  # 1 lacks the times of current values
_HEADER = Struct("=4sHHII")  # magic, format, Python, length, checksum
_MAGIC = b"snap"
_PYTHON = sys.hexversion >> 16


def encode(state: Any) -> bytes:
    """Return the snapshot of a state that `marshal` can write."""
    data = dumps(state, 2)
    return _HEADER.pack(_MAGIC, FORMAT, _PYTHON, len(data), crc32(data)) + data


def write(path: Path, data: bytes) -> None:
    """Replace the snapshot at `path` with `data` from `encode`. Raises OSError, as without space."""
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, "it was not written whole", str(new))  # noqa: TRY301
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
    finally:
        os.close(descriptor)
    new.replace(path)


def read(path: Path) -> Any:
    """Return the last snapshot's state. Raises FileNotFoundError without one, ValueError for an unusable one."""
    data = path.read_bytes()
    if len(data) < _HEADER.size:
        raise ValueError("it is not whole")
    magic, version, python, length, checksum = _HEADER.unpack_from(data)
    if (magic, python) != (_MAGIC, _PYTHON) or version not in _READ:
        raise ValueError(f"it has format {version} of Python {python:#x}; expected {FORMAT} of {_PYTHON:#x}")
    body = data[_HEADER.size :]
    if len(body) != length or crc32(body) != checksum:
        raise ValueError("it is not whole")
    return loads(body)  # noqa: S302  (the directory is private, the checksum is right)
