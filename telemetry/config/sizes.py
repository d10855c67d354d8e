"""Sizes in bytes, and folders: the values of the journal and the spool."""

import re
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

from telemetry.config.values import OutsideError, Parser, RefusalError

_UNITS = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def _shown(size: int) -> str:
    name, unit = next(
        (name, unit) for name, unit in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)) if size >= unit
    )
    return f"{size // unit}{name}"


@dataclass(frozen=True)
class Bytes(Parser[int]):
    """A number of bytes, with or without a binary unit; `minimum` and `maximum` are whole numbers of such units."""

    minimum: int
    maximum: int

    @property
    def accepted(self) -> str:
        return f"a whole number of bytes, KiB, MiB or GiB, from {_shown(self.minimum)} to {_shown(self.maximum)}"

    def __call__(self, text: str) -> int:
        known = re.fullmatch(r"([0-9]{1,18}) ?(|[KMG]iB)", text, re.IGNORECASE | re.ASCII)
        if not known:
            raise RefusalError
        size = int(known[1]) * _UNITS[known[2].lower()]
        if not self.minimum <= size <= self.maximum:
            raise RefusalError
        return size


class Folder(Parser[str]):
    """The absolute path of a folder, which may not exist yet."""

    accepted = "the absolute path of a folder, which is created if it does not exist"

    def __call__(self, text: str) -> str:
        if not text.isprintable():
            raise RefusalError
        path = Path(text)
        if not path.is_absolute():
            raise RefusalError("is not absolute")
        try:
            is_folder = S_ISDIR(path.stat().st_mode)
        except FileNotFoundError:
            return text
        except OSError as error:
            raise OutsideError(f"cannot be used ({error.strerror})") from None
        if not is_folder:
            raise OutsideError("is not a folder")
        return text
