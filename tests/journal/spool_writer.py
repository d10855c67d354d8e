"""A process that appends to a spool and commits, again and again, until it is killed."""

import sys
from pathlib import Path
from random import Random

from telemetry.journal.spool import Spool


def content(number: int) -> bytes:
    """Return what a batch holds, by its number."""
    return number.to_bytes(8) * Random(number).randrange(1, 40_000)  # noqa: S311


def main() -> None:
    folder, committed = Path(sys.argv[1]), Path(sys.argv[2])
    known = int(committed.read_text()) if committed.exists() else 0
    spool = Spool(folder, "traces", max_bytes=1 << 30)
    spool.recover(known)
    while True:
        for _ in range(3):
            spool.append(content(spool.next_number), 1 + spool.next_number % 5)
        new = committed.with_suffix(".new")
        new.write_text(str(spool.next_number))
        new.replace(committed)
        spool.publish()


if __name__ == "__main__":
    main()
