"""The shared context of all scenarios: processes, folder, database, cores, and interruption."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from telemetry.tools.compare.load.generator import LoadError
from telemetry.tools.compare.options import Options
from telemetry.tools.compare.progress import Progress
from telemetry.tools.compare.setups.collectors import Alloy, BackendPorts, Collector, Rotel
from telemetry.tools.compare.setups.database import Database, DatabaseError
from telemetry.tools.compare.setups.project import Project
from telemetry.tools.compare.setups.route import VARIANTS, Variant
from telemetry.tools.compare.setups.service import ServiceError
from telemetry.tools.demo.processes import ChildEndedError, Processes
from telemetry.tools.traffic.interruption import Interruption

_AT_ONCE = 4
_AT_ONCE_QUICK = 6

TROUBLE = (ServiceError, LoadError, ChildEndedError, DatabaseError, OSError)
"""Errors that end one set-up but not the others."""


class StoppedError(Exception):
    """The comparison was interrupted (Ctrl-C)."""


@dataclass
class Context:
    """One comparison of one project. `rate` is set by the calibration, `collector_name` by the first collector.

    `stack` ends with it. `cores` are those of the service, empty if it shares all cores with the rest.
    """

    options: Options
    processes: Processes
    folder: Path
    interruption: Interruption
    progress: Progress
    database: Database
    project: Project
    stack: ExitStack
    cores: Sequence[int] = ()
    rate: float = 0.0
    collector_name: str = ""
    numbers: Any = field(default_factory=lambda: count(1))

    @property
    def variants(self) -> list[Variant]:
        """The set-ups to compare, `off` among them."""
        return [VARIANTS[key] for key in self.options.variants]

    @property
    def exporting(self) -> list[Variant]:
        """The set-ups that export."""
        return [variant for variant in self.variants if variant.exports]

    @property
    def ours(self) -> list[Variant]:
        """The set-ups that export with our own telemetry."""
        return [variant for variant in self.variants if variant.route]

    def wait(self, seconds: float) -> None:
        """Wait; raise StoppedError as soon as the comparison is interrupted."""
        if self.interruption.wait(seconds):
            raise StoppedError

    def check(self) -> None:
        """Raise StoppedError if the comparison was interrupted."""
        self.wait(0)

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until the condition holds; return whether it does after `timeout` seconds."""
        step, left = 0.05, timeout
        while not condition():
            if left <= 0:
                return False
            self.wait(step)
            left -= step
        return True

    @property
    def at_once(self) -> int:
        """How many set-ups may run at once if the figures allow it; only one if the service's port is given."""
        if self.options.service_port:
            return 1
        return _AT_ONCE_QUICK if self.options.quick else _AT_ONCE

    def collector(self, folder: Path, protocol: str, backend: BackendPorts) -> Collector | None:
        """Return the collector of collector mode, None for none; it takes `protocol`."""
        wanted = self.options.collector
        if wanted == "none":
            return None
        if wanted == "rotel":
            return Rotel(self.processes, folder, protocol, backend)
        return Alloy(self.processes, folder, protocol, backend, binary=Path(wanted))


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a scenario. `seconds` is the estimate for the progress display."""

    name: str
    seconds: float
    run: Callable[[], None]


class Scenario:
    """A part of the comparison: steps to run, and their results."""

    key = ""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.problems: list[str] = []
        """Everything that did not add up."""

    def steps(self) -> list[Step]:
        """Return the steps, in order."""
        raise NotImplementedError

    @contextmanager
    def watched(self, what: str) -> Iterator[None]:
        """Record the failure of a set-up, and let the others continue without it."""
        try:
            yield
        except TROUBLE as error:
            self.problems.append(f"{what}: {error}")
            self.context.progress.say(f"FAILED: {what}: {error}")

    def add_problems(self, where: str, problems: Iterable[str]) -> None:
        """Record what does not add up."""
        for problem in problems:
            self.problems.append(f"{where}, {problem}")
            self.context.progress.say(f"DOES NOT ADD UP: {where}, {problem}")

    def found_problems(self) -> list[str]:
        """Return everything that has not added up so far."""
        return self.problems

    def result(self) -> dict[str, Any]:
        """Return the results so far, in the form of report.json; empty if there are none."""
        raise NotImplementedError
