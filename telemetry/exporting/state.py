"""What an exporter leaves to the next one: the snapshot, beside the rings or with the spool on a disk."""

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
    """The snapshot in the first of `folders` that takes it."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._paths = [folder / _NAME for folder in folders]
        self._failed = False
        self._started = time()
        found = [state for path in self._paths if (state := _read(path)) is not None]
        self._saved: Mapping[str, Any] = max(found, key=lambda state: state["commit"], default={})
        self.starts = self._saved.get("starts", 0) + 1
        """How many exporters this run has had, this one included."""
        self._commit = self._saved.get("commit", 0)

    def of(self, part: str) -> Any:
        """Return what the last exporter left of a part, None for nothing."""
        return self._saved.get(part)

    def save(self, rings: "Rings", outlets: "Outlets") -> None:
        """Write the snapshot. Where there is no space at all, a kill of the exporter costs counts: logged once."""
        self._commit += 1
        state = {"starts": self.starts, "commit": self._commit, "rings": rings.state(), **outlets.state()}
        problem: OSError | None = None
        for path in self._paths:
            try:
                snapshot.write(path, state)
            except OSError as error:
                problem = error
            else:
                break
        else:
            # An old one would make the next exporter drop batches that came after it.
            for path in self._paths:
                with suppress(OSError):
                    path.unlink()
        if problem and not self._failed:
            logger.warning("the snapshot cannot be written to %s: %s", self._paths[0], problem.strerror)
        self._failed = problem is not None

    def status(self) -> dict[str, Any]:
        """Return the part of the status that is about the exporter itself."""
        return {"pid": os.getpid(), "started": self._started, "starts": self.starts}


def _read(path: Path) -> Any:
    try:
        return snapshot.read(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, TypeError) as error:
        logger.warning("the snapshot in %s is not used: %s", path, error)
        return None
