"""What became of each item that was to be sent: one account for metrics, log, status and the line at a stop.

For spans and log records, written to the spool = accepted + each kind of loss + what waits or is being sent.
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
# A backend that is back sooner is not worth a line.
_TROUBLE_SECONDS = 2.0
_PORTS = {"http": 80, "https": 443}


class Delivery:
    """The fate of one signal's items (spans, log records or data points), for all threads of the exporter.

    `in_flight` items are on their way to the backend, `accepted` ones were taken, `losses` are those that were not, by
    reason. Whatever is counted is reported to `emit` too, as measurements.
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
        self._last_success: float | None = None
        self._last_error: dict[str, Any] | None = None
        self._stopping = False
        self._lock = RLock()

    @property
    def lost(self) -> int:
        """The number of items that were given up."""
        with self._lock:
            return self.losses.total()

    @property
    def failing(self) -> bool:
        """Whether the last request failed, or the present one takes suspiciously long."""
        started = self._started
        return self._failure is not None or (started is not None and monotonic() - started > _SUSPICIOUS_SECONDS)

    def begin(self, items: int) -> None:
        """Count a request with `items` that is sent now."""
        with self._lock:
            self.in_flight = items
            self._started = monotonic()
            if self._failure:
                self.retries += 1
                self._instruments.retried(self._failure)

    def answered(self, items: int, size: int, answer: Answer) -> None:
        """Count what became of the request that was begun: of its `items`, unless it will be sent again."""
        with self._lock:
            started = monotonic() if self._started is None else self._started
            self._started, self.in_flight = None, 0
            seconds = monotonic() - started
            # A counter that took a backend's word for it could go down, or beyond what was sent.
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
        self._failure = self._failing_since = None
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
        """Count what the spool had no room for, as `Spool.publish` returned it."""
        with self._lock:
            for items, reason, bound in evicted:
                lost_before = self.lost
                self._lose(items, reason)
                self._outage.overflow(bound, lost_before)

    def unreadable(self, items: int, detail: str) -> None:
        """Count what the spool could not give back."""
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
        """Leave failures from now on to the line that the stop itself logs."""
        self._stopping = True

    def dropped(self, items: int) -> None:
        """Count what a stop has dropped, what was being sent included."""
        with self._lock:
            flying, self.in_flight, self._started = min(self.in_flight, items), 0, None
            self.losses[AT_STOP] += items
            self._instruments.exported(items if self.signal == "metrics" else flying, AT_STOP)
            self._instruments.processed(items - flying, AT_STOP)

    def _note_error(self, reason: str, detail: str) -> None:
        self._last_error = {"time": time(), "reason": reason, "detail": detail}

    def observations(self) -> list[Observation]:
        """Return the present values of what is observed rather than counted."""
        return [self._instruments.inflight(self.in_flight)]

    def status(self) -> dict[str, Any]:
        """Return the numbers for `manage.py telemetry --status`."""
        with self._lock:
            return {
                "destination": self._outage.destination,
                "protocol": self.protocol,
                "in_flight": self.in_flight,
                "accepted": self.accepted,
                "losses": {reason: items for reason, items in self.losses.items() if items},
                "retries": self.retries,
                "failing": self._failure is not None or self._outage.lasts,
                "last_success": self._last_success,
                "last_error": self._last_error,
            }

    def state(self) -> dict[str, Any]:
        """Return what a new exporter needs to count on, ready for `marshal`."""
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
        """Count on from the `state` of a former exporter."""
        with self._lock:
            self.accepted, self.retries = state["accepted"], state["retries"]
            self.losses = Counter(state["losses"])
            self._last_success, self._last_error = state["last_success"], state["last_error"]
            self._outage.restore(state["outage"])
