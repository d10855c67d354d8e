"""The state that an exporter leaves to the next one: a snapshot next to the rings, and one with a spool on disk.

Each may survive the loss of the other: memory at a restart of the host, the disk while it is unavailable. A disk that
returns may contain an old state, so the newest is used, regardless of which exporter wrote it.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from telemetry.journal import snapshot

if TYPE_CHECKING:
    from telemetry.exporting.outlets import Outlets
    from telemetry.exporting.rings import Rings

logger = logging.getLogger(__name__)

_NAME = "snapshot"


class State:
    """The snapshot, with a copy in each writable one of `folders`: the disk's, if any, and the rings'."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._paths = [folder / _NAME for folder in folders]
        self._failed = False
        self._started = time()
        found = [state for path in self._paths if (state := _read(path)) is not None]
        self._saved: Mapping[str, Any] = max(found, key=_age, default={})
        self.generation = max([int(self._started * 1e6), *(1 + _age(state)[0] for state in found)])
        """A number that grows from exporter to exporter, even if one cannot read its predecessor's state."""
        self.starts = self._saved.get("starts", 0) + 1
        """The number of exporters of this run, including this one."""
        self._commit = self._saved.get("commit", 0)

    def of(self, part: str) -> Any:
        """Return a part of the last exporter's state, or None."""
        return self._saved.get(part)

    def save(self, rings: "Rings", outlets: "Outlets") -> None:
        """Write the snapshot. A failure is logged once: if the exporter is then killed, counts are lost."""
        self._commit += 1
        state = {"generation": self.generation, "commit": self._commit, "starts": self.starts}
        data = snapshot.encode({**state, "rings": rings.state(), **outlets.state()})
        problem: OSError | None = None
        for path in reversed(self._paths):  # memory first: available whenever the next exporter has these rings
            try:
                snapshot.write(path, data)
            except OSError as error:
                # An old one would make the next exporter drop batches newer than it.
                with suppress(OSError):
                    path.unlink()
                if not self._failed and problem is None:
                    logger.warning("the snapshot cannot be written to %s: %s", path, error.strerror)
                problem = error
        self._failed = problem is not None

    def status(self) -> dict[str, Any]:
        """Return the exporter's own part of the status."""
        return {"pid": os.getpid(), "started": self._started, "starts": self.starts}


def _age(state: Mapping[str, Any]) -> tuple[int, int]:
    return state.get("generation", 0), state["commit"]


def _read(path: Path) -> Any:
    try:
        return snapshot.read(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, TypeError) as error:
        logger.warning("the snapshot in %s is not used: %s", path, error)
        return None
