"""One process that serves, as telemetry sees it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Worker:
    """One process that serves: the lowest number that was free when it started, where it listens, where it counts.

    `address` keeps two services on one host apart. `state_directory` is shared by all workers of one service and
    holds their metrics while the service answers `/metrics` itself.
    """

    slot: int = 0
    address: str = ""
    state_directory: Path | None = None
