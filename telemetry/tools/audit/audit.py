"""The audit: the sources of the counts, the stores of the items, and an account for each signal."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import sleep, time
from typing import Any, TypeVar

from telemetry.config import Signal, TelemetryConfig
from telemetry.config.values import SIGNALS
from telemetry.status import running_services
from telemetry.tools.account import Account, Passed, Recorded, Stored
from telemetry.tools.audit.collector import CollectorCounts
from telemetry.tools.audit.counters import UncountedError, Window
from telemetry.tools.audit.service_counts import ServiceCounts, from_status
from telemetry.tools.audit.stores import Discards, data_points, log_records, spans
from telemetry.tools.backends import BackendError, Console, Prometheus
from telemetry.tools.doctor.configuration import (
    Running,
    chosen,
    effective,
    from_environment,
    listening_at,
    otlp_receivers,
    running_service,
)
from telemetry.tools.doctor.network import port_offset
from telemetry.tools.doctor.places import Places
from telemetry.tools.doctor.walk import HopError

T = TypeVar("T")

SETTLED = 20.0
"""Seconds after which a store counts what it has: Tempo leaves out traces that got a span in the last 5 to 10."""
_POLL = 1.0

OF_METRICS = 10
"""The factor by which more pushes and scrapes of metrics may be missing: their counts are cumulative."""

_IN_RINGS: Mapping[Signal, str] = {"traces": "spans", "logs": "logs"}


class AuditError(Exception):
    """Why nothing can be audited; one line."""


@dataclass(slots=True)
class Audit:
    """The results. `unknown` gives the reason for each signal without an account."""

    services: tuple[str, ...]
    """The services that the accounts cover."""
    mode: str
    source: str
    """Where the service's counts come from."""
    window: Window
    accounts: list[Account] = field(default_factory=list)
    unknown: dict[Signal, str] = field(default_factory=dict)
    left_out: dict[Signal, str] = field(default_factory=dict)
    """Signals that are not exported, and why."""
    choice: str = ""
    """A note on how the service was chosen."""
    is_whole: bool = False
    """Whether it covers everything that the console has counted, whatever window was requested."""

    def below(self, objective: float) -> list[Signal]:
        """Return the signals of which less than that share is stored, for metrics less than OF_METRICS allows."""
        allowed = {signal: 1 - (1 - objective) * (OF_METRICS if signal == "metrics" else 1) for signal in SIGNALS}
        shares = {account.signal: account.completeness for account in self.accounts}
        return [signal for signal, share in shares.items() if share is not None and share < allowed[signal]]

    def meets(self, objective: float) -> bool:
        """Whether each signal is known to be stored to that share."""
        return not self.unknown and not self.below(objective)


def audit(places: Places, seconds: float, environ: Mapping[str, str] = os.environ, settled: float = SETTLED) -> Audit:
    """Compare what the service of this environment recorded in the last `seconds` with what is stored.

    An incomplete store is queried again until the end of the window is `settled` seconds ago. Raises AuditError if
    there is nothing to compare.
    """
    start = time() - seconds
    try:
        config = from_environment(environ)
        running, choice = _running(places, config)
    except HopError as error:
        raise AuditError(str(error)) from None
    config, _ = effective(config, running)
    if config.mode == "off":
        raise AuditError("telemetry is off: nothing is recorded; set TELEMETRY_MODE=collector or direct")
    if console := places.console(port_offset(otlp_receivers(config))):
        found = _of_console(console, config, settled)
    else:
        found = _Servers(places, config, start, running.status if running else None, settled).audit()
    found.choice = choice
    return found


def _running(places: Places, config: TelemetryConfig) -> tuple[Running | None, str]:
    """Return the service at the given URL, else the one that matches the configuration, and a note on the choice.

    Raises HopError if it runs but does not answer.
    """
    services = running_services()
    if url := places.given.get("service"):
        found = listening_at(services, url)
        choice = "" if found else f"none of this user's services listens at {url}: auditing what this shell configures"
    else:
        found, choice = chosen(services, config)
    return running_service(found, places.timeout), choice


class _Servers:
    """The audit with separate servers: Prometheus, Tempo or Jaeger, Loki, and Alloy in between."""

    def __init__(
        self,
        places: Places,
        config: TelemetryConfig,
        start: float,
        status: Mapping[str, Any] | None,
        settled: float,
    ) -> None:
        """`status` is the report of the running service's exporter, None if it cannot be queried."""
        self._settled = settled
        self._places = places
        self._config = config
        self._start = start
        self._status = status
        self._prometheus: Prometheus | None = None if places.left_out("prometheus") else places.prometheus()
        self._trouble = "Prometheus is left out (none)"
        self._counts = self._ask(lambda server: ServiceCounts(server, config.service_name, config.mode, start))

    def audit(self) -> Audit:
        """Account for each signal."""
        if self._counts:
            window, source = self._counts.window, "its own metrics in Prometheus"
        else:
            window, source = self._since_start(), "its exporter's status"
        collects = self._config.mode == "collector" and not self._places.left_out("alloy")
        collector = self._ask(lambda server: CollectorCounts(server, window.start)) if collects else None
        discards = self._ask(lambda server: Discards(server, window.start))
        name, mode = self._config.service_name, self._config.mode
        found = Audit((name,), mode, source, window, left_out=_left_out(self._config))
        for signal in SIGNALS:
            if signal in found.left_out:
                continue
            passed = collector.passed(signal) if collector and _exporter(self._config, signal) == "otlp" else None
            try:
                account = self._account(signal, window, passed, discards.of(signal) if discards else {})
            except (BackendError, UncountedError) as error:
                found.unknown[signal] = str(error)
            else:
                found.accounts.append(account)
        return found

    def _account(self, signal: Signal, window: Window, passed: Passed | None, discarded: Mapping[str, int]) -> Account:
        """Return the account of a signal, once its store is complete or has had time to settle."""
        while True:
            recorded, stored = self._hold(signal, window, discarded)
            account = Account(signal, recorded, passed, stored)
            if not account.is_short or time() > window.end + self._settled:
                return account
            sleep(_POLL)

    def _ask(self, make: Callable[[Prometheus], T]) -> T | None:
        """Return what `make` reads from Prometheus, None if it has no samples; the reason is kept."""
        if self._prometheus is None:
            return None
        try:
            return make(self._prometheus)
        except BackendError as error:
            self._trouble = str(error)
        except UncountedError:
            name, mode = self._config.service_name, self._config.mode
            self._trouble = (
                f"Prometheus at {self._prometheus.base} has no counts of {name} in mode {mode} for this time"
            )
        return None

    def _since_start(self) -> Window:
        """Return the time that the exporter's status covers; raises AuditError if that is unknown."""
        if self._status is None or "started" not in self._status:
            raise AuditError(f"{self._trouble}; and no running service of this user and code can be queried instead")
        if self._status["starts"] != 1:
            raise AuditError(f"{self._trouble}; and the exporter was restarted, so its status has no known start")
        joined = [ring["joined"] for ring in self._status["rings"]]
        return Window(min([self._status["started"], *joined]), time())

    def _hold(self, signal: Signal, window: Window, discarded: Mapping[str, int]) -> tuple[Recorded, Stored]:
        config = self._config
        if signal == "metrics":
            if self._counts is None or self._prometheus is None:
                raise UncountedError(self._trouble)
            if config.metrics.exporter == "prometheus":
                recorded, brought = self._counts.scraped()
                return recorded, data_points(self._prometheus, self._counts, scraped=brought)
            return self._counts.recorded(signal), data_points(self._prometheus, self._counts, scraped=None)
        recorded = self._recorded(signal)
        if signal == "logs":
            if self._places.left_out("loki"):
                raise UncountedError("Loki is left out (none)")
            loki = self._places.loki()
            return recorded, log_records(loki, config.service_name, config.mode, window, discarded)
        traces = self._places.traces()
        if traces is None:
            raise UncountedError("Tempo and Jaeger are left out (none)")
        return recorded, spans(traces, config.service_name, config.mode, window, discarded)

    def _recorded(self, signal: Signal) -> Recorded:
        if self._counts:
            return self._counts.recorded(signal)
        assert self._status is not None  # noqa: S101  (for the type checker: _since_start has checked)
        return from_status(self._status["signals"][signal], self._status["rings"], _IN_RINGS[signal])


def _of_console(console: Console, config: TelemetryConfig, settled: float) -> Audit:
    """Return the console's accounts of what it has received since its start from all services of a mode.

    The service's own counts arrive with a push or a scrape of its metrics: wait for the first ones.
    """
    left_out = _left_out(config)
    until = time() + settled
    while True:
        started, by_mode = console.accounts()
        accounts = by_mode.get(config.mode)
        if accounts is None:
            raise AuditError(f"the console at {console.base} has received nothing of mode {config.mode}")
        uncounted = [signal for signal in SIGNALS if signal not in {one.signal for one in accounts} | left_out.keys()]
        if not uncounted or time() > until:
            break
        sleep(_POLL)
    reason = f"no push or scrape with the service's own count reached the console within {settled:.0f} s"
    window = Window(started, time())
    unknown = dict.fromkeys(uncounted, reason)
    names = tuple(console.services(config.mode)) or (config.service_name,)
    source = f"{'their' if len(names) > 1 else 'its'} own metrics in the console"
    return Audit(names, config.mode, source, window, accounts, unknown, left_out, is_whole=True)


def _exporter(config: TelemetryConfig, signal: Signal) -> str:
    return str(getattr(config, signal).exporter)


def _left_out(config: TelemetryConfig) -> dict[Signal, str]:
    """Return the signals that are sent to no backend, with the reasons."""
    exporters = {signal: _exporter(config, signal) for signal in SIGNALS}
    return {
        signal: f"not exported (OTEL_{signal.upper()}_EXPORTER is {exporter})"
        for signal, exporter in exporters.items()
        if exporter not in {"otlp", "prometheus"}
    }
