"""Where the telemetry of a set-up without our own is stored, and how many items."""

from contextlib import AbstractContextManager
from typing import Self

from telemetry.tools.compare.counts.ledger import Stored
from telemetry.tools.compare.counts.scrapes import Scrapes
from telemetry.tools.compare.counts.store import ConsoleStore
from telemetry.tools.compare.setups.route import Variant
from telemetry.tools.compare.upstream import Upstream
from telemetry.tools.compare.upstream.sentry_sink import SentrySink
from telemetry.tools.console.storage.records import UNKNOWN_MODE
from telemetry.tools.console.storage.store import ACCESS_LOGGER


class UpstreamStore(ConsoleStore):
    """A console for OTLP, a sink for Sentry, and scrapes, the last of which is what Prometheus would show.

    Requests to the path `probe` are not part of the load.
    """

    def __init__(self, variant: Variant, upstream: Upstream, port: int, interval: float, probe: str) -> None:
        super().__init__(variant, "", interval)
        self._mode = UNKNOWN_MODE
        self._interval = interval
        self.sentry = SentrySink(ACCESS_LOGGER, probe) if upstream.sink == "sentry" else None
        self.own_scrapes = (
            Scrapes(port, upstream.metrics_path, upstream.counts, upstream.ignored) if upstream.metrics_path else None
        )

    def __enter__(self) -> Self:
        super().__enter__()
        if self.sentry:
            self._stack.enter_context(self.sentry)
        if self.own_scrapes:
            self._stack.callback(self.own_scrapes.every(self._interval))
        return self

    @property
    def scrapes(self) -> int:
        return len(self.own_scrapes.answers) if self.own_scrapes else 0

    @property
    def last_scrape(self) -> float:
        return self.own_scrapes.answers[-1].begin if self.own_scrapes and self.own_scrapes.answers else 0.0

    def scrape(self) -> None:
        if self.own_scrapes:
            self.own_scrapes.scrape()

    def deferred(self) -> AbstractContextManager[None]:
        return self.sentry.deferred() if self.sentry else super().deferred()

    def refuse(self, status: int | None) -> None:
        super().refuse(status)
        if self.sentry:
            self.sentry.refusal = status or 0

    def read(self) -> Stored:
        if self.sentry:
            sink = self.sentry
            return Stored(sink.transactions, sink.access, 0, sink.spans, sink.log_records)
        found = super().read()
        if self.own_scrapes is None:
            return found
        counted = self.own_scrapes.answers[-1].counted if self.own_scrapes.answers else 0
        return Stored(
            found.server_spans, found.access_records, counted, found.spans, found.log_records, found.duplicates
        )
