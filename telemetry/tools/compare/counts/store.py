"""Where telemetry is stored, and how many items: the embedded console, or real backends."""

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
    """The store of a run's telemetry. `remote` is whether others may write to it, too."""

    remote: bool
    trouble: str
    """Why the counts are out of date, empty if they are not."""

    def read(self) -> Stored:
        """Return what is stored of this run."""

    def scrape(self) -> None:
        """Fetch the metrics of a service in direct mode now."""

    def expect(self, requests: int) -> None:
        """Set how many requests the metrics must count."""

    def deferred(self) -> AbstractContextManager[None]:
        """Postpone decoding to the end: the load generator shares its cores with the store."""


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
        """Successful scrapes."""
        return sum(target.scrapes - target.failures for target in self.console.scraper.targets)

    @property
    def last_scrape(self) -> float:
        """When the last scrape was, in seconds since the epoch; 0 before the first."""
        return max((target.last_scrape_ns for target in self.console.scraper.targets if target.up), default=0) / 1e9

    def expect(self, requests: int) -> None:
        """Do nothing: a scrape takes place at once, whatever the counts."""

    def scrape(self) -> None:
        self.console.scraper.scrape()

    def deferred(self) -> AbstractContextManager[None]:
        return self.console.receiver.deferred()

    def refuse(self, status: int | None) -> None:
        """Answer with this status from now on; None restores normal answers."""
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
        """Return log records without duplicates, which arise when a request that had arrived is retried."""
        records = self.console.store.logs(mode=self._mode)
        access = [record.trace_id for record in records if record.scope.name in ACCESS_LOGGERS]
        kept = {(record.trace_id, record.time_ns, record.scope.name, str(record.body)) for record in records}
        return replace(
            stored,
            access_records=stored.access_records - len(access) + len(set(access)),
            log_records=stored.log_records - len(records) + len(kept),
            duplicates=stored.duplicates + len(records) - len(kept),
        )
