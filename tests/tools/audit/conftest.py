"""The audit beside a real service, a real console and a real Prometheus."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from time import time

import pytest

from telemetry.tools.account import Account
from telemetry.tools.audit.audit import Audit, AuditError, audit
from telemetry.tools.console.server import Console
from telemetry.tools.doctor.places import Places
from tests.support.prometheus import Prometheus
from tests.support.service import Service, wait_until

# Everything is sent at once, in small batches and uncompressed, so that little is waited for.
EAGER = {
    "OTEL_BSP_SCHEDULE_DELAY": "100",
    "OTEL_BLRP_SCHEDULE_DELAY": "100",
    "OTEL_METRIC_EXPORT_INTERVAL": "250",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    "TELEMETRY_FLUSH_TIMEOUT": "1",
}


@pytest.fixture
def console() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0, scrape_interval=0.2) as console:
        yield console


class Auditor:
    """Audits one service from a moment on that `begin` sets. `settled` is how late its stores may be, in seconds."""

    def __init__(
        self,
        service: Service,
        places: Mapping[str, str],
        env: Mapping[str, str],
        prometheus: Prometheus | None = None,
        settled: float = 0.0,
    ) -> None:
        self._service = service
        self._places = Places.read({"service": service.url, "console": "none", **places}, 30.0, env)
        self._env = env
        self._prometheus = prometheus
        self._began = time()
        self._settled = settled

    def begin(self) -> None:
        """Begin in the next second, since backends count whole ones, with two samples of the service at rest.

        What was sent before belongs to no window: it must not be counted within this one by a collector.
        """
        wait_until(lambda: self._service.has_delivered(everything=True), 60, "what was sent before")
        self._began = float(int(time()) + 1)
        self._sample_after(self._sample_after(self._began))

    def rest(self) -> None:
        """Wait until Prometheus has two more samples of the service, so that its counts stand still at that end."""
        if self._prometheus:
            self._sample_after(self._sample_after(time()))

    def _sample_after(self, moment: float) -> float:
        """Wait for a sample later than `moment` (seconds since the epoch); return its time."""
        assert self._prometheus
        server = self._prometheus

        def newest() -> float | None:
            found = server.value("max(timestamp(telemetry_exporter_starts_total))") or 0.0
            return found if found > moment else None

        return wait_until(newest, 60, "a sample of the service") or 0.0

    def audit(self) -> Audit:
        return audit(self._places, time() - self._began, self._env, self._settled)

    def until(self, condition: Callable[[dict[str, Account]], object], what: str) -> dict[str, Account]:
        """Audit until the accounts are as expected and nothing is on its way; return them by signal."""
        found: dict[str, Account] = {}

        def met() -> bool:
            found.clear()
            with suppress(AuditError):  # nothing has come yet
                found.update({account.signal: account for account in self.audit().accounts})
            return bool(found) and all(not one.on_its_way for one in found.values()) and bool(condition(found))

        try:
            wait_until(met, 60)
        except TimeoutError:
            pytest.fail(f"not {what}: {found}; not known: {self.audit().unknown}")
        return found


def missing(account: Account) -> dict[tuple[str, str], int]:
    """Return what is missing by place and reason."""
    return {(one.where, one.reason): one.items for one in account.missing()}
