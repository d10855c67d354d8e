"""Folders for spools: in memory, and on a disk that is full, gone, or both in turn."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from telemetry.journal import batch_file

SmallDisk = Callable[[int], Path]


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    """A function that returns a folder on a file system of so many bytes.

    It is a real one where this user may mount; elsewhere, writing to the folder fails as it would there.
    """
    with ExitStack() as stack:

        def make(size: int) -> Path:
            folder = tmp_path / "disk"
            folder.mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
            if os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0:
                stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
            else:
                monkeypatch.setattr(batch_file, "os", _FullOperatingSystem(folder, size))
            return folder

        yield make


class _FullOperatingSystem:
    """`os`, for a folder that holds no more than `size` bytes."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, data: memoryview) -> int:
        used = sum(-(-path.stat().st_size // 4096) * 4096 for path in self._folder.iterdir())
        inside = os.path.samestat(Path(f"/dev/fd/{descriptor}").resolve().parent.stat(), self._folder.stat())
        if inside and used + len(data) > self._size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(descriptor, data)
