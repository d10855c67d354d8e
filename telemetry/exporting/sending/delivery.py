"""The outcome of each item to be sent: one account for metrics, log, status and the log message at a stop.

For spans and log records: written to the spool = accepted + losses of each kind + waiting or being sent.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from threading import RLock
from time import monotonic, time
from typing import Any
from urllib.parse import urlsplit

from telemetry.exporting.metrics.exporter_instruments import Emit, ExporterInstruments, Observation
from telemetry.exporting.sending.outage import Outage
from telemetry.exporting.transports.answers import AT_STOP, OTHER, REJECTED, Answer
from telemetry.journal.spool import Evicted

logger = logging.getLogger(__name__)

_SUSPICIOUS_SECONDS = 1.0
# Shorter outages are not logged.
_TROUBLE_SECONDS = 2.0
_PORTS = {"http": 80, "https": 443}


class Delivery:
    """The outcome of one signal's items (spans, log records or data points), for all threads of the exporter.

    `in_flight` items are being sent, `accepted` ones were taken by the backend, `losses` counts lost ones by reason.
    All counts also go to `emit`, as measurements.
    """

    def __init__(self, signal: str, destination: str, protocol: str, emit: Emit = lambda *_: None) -> None:
        self.signal = signal
        self.destination = destination
        self.protocol = protocol
        self.in_flight = 0
        self.accepted = 0
        self.losses: Counter[str] = Counter()
        self.retries = 0
        self._outage = Outage(signal, destination)
        parts = urlsplit(destination)
        port = parts.port or _PORTS.get(parts.scheme, 443)
        self._instruments = ExporterInstruments(emit, signal, protocol, parts.hostname, port)
        self._started: float | None = None
        self._failing_since: float | None = None
        self._failure: str | None = None
        self._retried: str | None = None  # why the last request is sent again
        self._last_success: float | None = None
        self._last_error: dict[str, Any] | None = None
        self._stopping = False
        self._lock = RLock()

    @property
    def lost(self) -> int:
        """The number of lost items."""
        with self._lock:
            return self.losses.total()

    @property
    def failing(self) -> bool:
        """Whether the last request failed, or the current one takes suspiciously long."""
        started = self._started
        return self._failure is not None or (started is not None and monotonic() - started > _SUSPICIOUS_SECONDS)

    def begin(self, items: int) -> None:
        """Count a request with `items` that is about to be sent."""
        with self._lock:
            self.in_flight = items
            self._started = monotonic()
            if self._retried:
                self.retries += 1
                self._instruments.retried(self._retried)

    def answered(self, items: int, size: int, answer: Answer) -> None:
        """Count the outcome of the current request, and of its `items` unless they will be sent again."""
        with self._lock:
            started = monotonic() if self._started is None else self._started
            self._started, self.in_flight = None, 0
            seconds = monotonic() - started
            # An unchecked number from the backend could decrease a counter, or exceed the items sent.
            rejected = 0 if answer.reason else max(0, min(answer.rejected, items))
            reason = answer.reason or (REJECTED if rejected else None)
            self._instruments.duration(seconds, reason, answer.attributes)
            lost_before = self.lost
            if answer.reason:
                self._failed(items, answer, started, lost_before)
            else:
                self._taken(items, rejected, answer, started, lost_before)
        if logger.isEnabledFor(logging.DEBUG):
            outcome = f"{answer.reason}, {answer.detail}" if answer.reason else "accepted"
            outcome += f", {rejected} rejected: {answer.detail}" if rejected else ""
            message = "export %s: %d items, %d bytes to %s: %s in %.0f ms"
            logger.debug(message, self.signal, items, size, self._outage.destination, outcome, seconds * 1e3)

    def _taken(self, items: int, rejected: int, answer: Answer, started: float, lost_before: int) -> None:
        self._failure = self._retried = self._failing_since = None
        self._last_success = time()
        self.accepted += items - rejected
        self.losses[REJECTED] += rejected
        self._instruments.processed(items, None)
        self._instruments.exported(items - rejected, None)
        self._instruments.exported(rejected, REJECTED)
        self._outage.delivered(self.lost)
        if rejected:
            self._note_error(REJECTED, answer.detail)
            self._outage.trouble(answer, started, lost_before)

    def _failed(self, items: int, answer: Answer, started: float, lost_before: int) -> None:
        self._failure = answer.reason or OTHER
        self._retried = self._failure if answer.retryable else None
        if self._failing_since is None:
            self._failing_since = started
        self._note_error(self._failure, answer.detail)
        if not answer.retryable:
            self.losses[self._failure] += items
            self._instruments.processed(items, None)
            self._instruments.exported(items, self._failure)
        lasts = monotonic() - self._failing_since
        if not self._stopping and (not answer.retryable or lasts > _TROUBLE_SECONDS):
            self._outage.trouble(answer, self._failing_since, lost_before)

    def evicted(self, evicted: Iterable[Evicted]) -> None:
        """Count evicted items, as returned by `Spool.publish`."""
        with self._lock:
            for items, reason, bound in evicted:
                lost_before = self.lost
                self._lose(items, reason)
                self._outage.overflow(bound, lost_before)

    def unreadable(self, items: int, detail: str) -> None:
        """Count items of a batch that the spool cannot read."""
        with self._lock:
            lost_before = self.lost
            self._lose(items, OTHER)
            self._note_error(OTHER, detail)
            answer = Answer(OTHER, f"a file of the spool cannot be read: {detail}", "check its disk")
            self._outage.trouble(answer, monotonic(), lost_before)

    def _lose(self, items: int, reason: str) -> None:
        self.losses[reason] += items
        self._instruments.processed(items, reason)
        if self.signal == "metrics":  # which have no processor
            self._instruments.exported(items, reason)

    def stop(self) -> None:
        """Stop logging failures: from now on, the stop itself logs the losses."""
        self._stopping = True

    def dropped(self, items: int) -> None:
        """Count items dropped at a stop, including those being sent."""
        with self._lock:
            flying, self.in_flight, self._started = min(self.in_flight, items), 0, None
            self.losses[AT_STOP] += items
            self._instruments.exported(items if self.signal == "metrics" else flying, AT_STOP)
            self._instruments.processed(items - flying, AT_STOP)

    def _note_error(self, reason: str, detail: str) -> None:
        self._last_error = {"time": time(), "reason": reason, "detail": detail}

    def observations(self) -> list[Observation]:
        """Return the current values of observable instruments."""
        return [self._instruments.inflight(self.in_flight)]

    def status(self) -> dict[str, Any]:
        """Return the numbers for `manage.py telemetry --status`."""
        with self._lock:
            return {
                "destination": self._outage.destination,
                "protocol": self.protocol,
                "accepted": self.accepted,
                "losses": {reason: items for reason, items in self.losses.items() if items},
                "retries": self.retries,
                "failing": self._failure is not None or self._outage.lasts,
                "last_success": self._last_success,
                "last_error": self._last_error,
            }

    def state(self) -> dict[str, Any]:
        """Return the state from which a new exporter continues to count, ready for `marshal`."""
        with self._lock:
            return {
                "accepted": self.accepted,
                "losses": dict(self.losses),
                "retries": self.retries,
                "last_success": self._last_success,
                "last_error": self._last_error,
                "outage": self._outage.state(),
            }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the `state` of a former exporter."""
        with self._lock:
            self.accepted, self.retries = state["accepted"], state["retries"]
            self.losses = Counter(state["losses"])
            self._last_success, self._last_error = state["last_success"], state["last_error"]
            self._outage.restore(state["outage"])
