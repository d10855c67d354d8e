"""Where telemetry ends up, and how many items are there: the embedded console, or real backends."""

from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Protocol, Self

from telemetry.tools.compare.counts.ledger import Stored
from telemetry.tools.compare.setups.route import Variant
from telemetry.tools.console.counting.senders import SERVER_LOGGER
from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.receiving.scraper import ScrapeTarget
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.retention import MEBIBYTE, Limits, SignalLimits
from telemetry.tools.console.storage.store import ACCESS_LOGGERS

_TARGET = "service"


class Store(Protocol):
    """What a run's telemetry ends up in. `remote` is whether others may write to it, too."""

    remote: bool
    trouble: str
    """Why the counts are not those of now, empty where they are."""

    def read(self) -> Stored:
        """Return what is there of this run."""

    def scrape(self) -> None:
        """Fetch the metrics of a service in direct mode now."""

    def expect(self, requests: int) -> None:
        """Set how many requests the metrics must count."""

    def deferred(self) -> AbstractContextManager[None]:
        """Decode what arrives meanwhile at the end: the generator of the load shares its cores with the store."""


class ConsoleStore:
    """A console of the run's own, which scrapes the service in direct mode. A context manager."""

    remote = False
    trouble = ""

    def __init__(self, variant: Variant, metrics_url: str, interval: float) -> None:
        targets = [ScrapeTarget(_TARGET, metrics_url)] if variant.mode == "direct" else []
        kept = SignalLimits(200_000, 256 * MEBIBYTE)
        self._mode = variant.mode
        self._stack = ExitStack()
        self.console = Console(
            grpc_port=0,
            http_port=0,
            api_port=0,
            scrape_targets=targets,
            scrape_interval=interval,
            limits=Limits(spans=kept, logs=kept),
        )

    def __enter__(self) -> Self:
        self._stack.enter_context(self.console)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def scrapes(self) -> int:
        """Scrapes that brought something."""
        return sum(target.scrapes - target.failures for target in self.console.scraper.targets)

    @property
    def last_scrape(self) -> float:
        """When the last scrape was, in seconds since the epoch; 0 before the first."""
        return max((target.last_scrape_ns for target in self.console.scraper.targets if target.up), default=0) / 1e9

    def expect(self, requests: int) -> None:
        """A scrape is at once, whatever there is."""

    def scrape(self) -> None:
        self.console.scraper.scrape()

    def deferred(self) -> AbstractContextManager[None]:
        return self.console.receiver.deferred()

    def refuse(self, status: int | None) -> None:
        """Answer with that status from now on, None for what is right."""
        self.console.receiver.faults = Faults(status=status)

    def read(self) -> Stored:
        totals = self.console.store.mode(self._mode)
        return Stored(
            server_spans=totals.server_spans,
            access_records=totals.access_records,
            requests=totals.requests,
            spans=totals.spans,
            log_records=totals.log_records,
            duplicates=totals.duplicate_spans,
        )

    def starts(self) -> dict[int, int]:
        """Return when the latest process of each slot has logged its start, in nanoseconds since the epoch."""
        found = [record.decode() for record in self.console.store.stored_logs() if record.scope.name == SERVER_LOGGER]
        slots = [(record.attributes.get("worker.slot"), record.time_ns) for record in reversed(found)]
        return {slot: time for slot, time in slots if isinstance(slot, int)}

    def distinct(self, stored: Stored) -> Stored:
        """Leave out log records that came more than once: a retry whose first try had arrived."""
        records = self.console.store.logs(mode=self._mode)
        access = [record.trace_id for record in records if record.scope.name in ACCESS_LOGGERS]
        kept = {(record.trace_id, record.time_ns, record.scope.name, str(record.body)) for record in records}
        return replace(
            stored,
            access_records=stored.access_records - len(access) + len(set(access)),
            log_records=stored.log_records - len(records) + len(kept),
            duplicates=stored.duplicates + len(records) - len(kept),
        )
