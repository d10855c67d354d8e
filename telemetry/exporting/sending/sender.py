"""Sends one signal's batches from the spool, the oldest first, until the backend has accepted or refused them.

Batches with a retryable failure are sent again as long as the spool has room for them, without a time limit.
https://opentelemetry.io/docs/specs/otlp/#failures
"""

import logging
from random import uniform
from threading import Event, Lock, Thread
from time import monotonic, sleep
from typing import Any, NamedTuple

from opentelemetry.context import attach, set_value

from telemetry.exporting.sending.delivery import Delivery
from telemetry.exporting.transports import Answer, Transport
from telemetry.journal.spool import Batch, Spool
from telemetry.logs import senders

logger = logging.getLogger(__name__)

# gRPC servers accept 4 MiB by default.
_LONGEST_REQUEST = 1 << 20
# The limit of the Retry-After that is honoured.
_LONGEST_HOLD_SECONDS = 60.0
_IDLE_SECONDS = 60.0
_SPREAD = 0.2


class Stopped(NamedTuple):
    """The numbers of items that a stop left undelivered: `kept` for the next start, or `dropped`."""

    kept: int
    dropped: int


class Sender(Thread):
    """The sending thread of one signal.

    `timeout` limits each request, including its response. A request begins `schedule_delay` after the last, or earlier
    if `max_items` wait. After a failure, the thread waits for `first_retry`, doubled each time up to `longest_retry`;
    a Retry-After takes precedence unless it is shorter than `first_retry`. All times are in seconds.
    """

    def __init__(
        self,
        spool: Spool,
        transport: Transport,
        delivery: Delivery,
        *,
        timeout: float,
        schedule_delay: float,
        max_items: int,
        first_retry: float = 1.0,
        longest_retry: float = 30.0,
    ) -> None:
        super().__init__(name=f"telemetry-{spool.signal}", daemon=True)
        self.delivery = delivery
        self.spool = spool
        self._transport = transport
        self._timeout = timeout
        self._schedule_delay = schedule_delay
        self._max_items = max_items
        self._first_retry = first_retry
        self._longest_retry = longest_retry
        self._failures = 0
        self._hold = 0.0
        self._due = 0.0
        self._hurry = Event()
        self._deadline = 0.0
        self._failed_at_stop = False
        self._abandoned = False
        self.lock = Lock()
        """Held while a request's outcome is counted and its files are removed."""

    def run(self) -> None:
        """Send until a stop has finished."""
        # In a serving process, its instrumentations would otherwise trace the delivery of traces, and its log handlers
        # would export what a library logs of each request.
        attach(set_value("suppress_instrumentation", True))
        senders.add(self.ident)
        try:
            self._send_all()
        finally:
            senders.discard(self.ident)

    def _send_all(self) -> None:
        while self._wait():
            batches: list[Batch] = []
            try:
                batches = self.spool.take(self._max_items, _LONGEST_REQUEST)
                if batches:
                    self._send(batches)
            except Exception:
                logger.exception("%s: a request failed", self.delivery.signal)
                with self.lock:
                    if not self._abandoned:
                        self.delivery.evicted(self.spool.put_back(batches))
                self._back_off(Answer())

    def _wait(self) -> bool:
        """Wait until a request is due; return False when the thread should end."""
        while not self._hurry.is_set():
            now = monotonic()
            if self._hold > now:
                self._hurry.wait(self._hold - now)
            elif self._due > now:
                if self.spool.wait(self._max_items, _LONGEST_REQUEST, self._due - now):
                    return True
            elif self.spool.wait(1, 1, _IDLE_SECONDS):
                return True
        return self._wait_at_stop()

    def _wait_at_stop(self) -> bool:
        # The first request does not wait for an earlier Retry-After: it may be the only one.
        if self._failed_at_stop:
            if self.spool.outlives:
                return False
            sleep(max(0.0, min(self._hold, self._deadline) - monotonic()))
        return monotonic() < self._deadline and self.spool.wait(1, 1, 0.0)

    def _send(self, batches: list[Batch]) -> None:
        batches, data = self._read(batches)
        if not batches:
            return
        items = sum(batch.items for batch in batches)
        started = monotonic()
        self._due = started + self._schedule_delay
        self.delivery.begin(items)
        latest = started + self._timeout
        if self._hurry.is_set():
            latest = min(latest, self._deadline)
        answer = self._transport.send(data, latest)
        with self.lock:
            if self._abandoned:  # `stop` has counted these
                return
            self.delivery.answered(items, len(data), answer)
            if answer.retryable:
                self.delivery.evicted(self.spool.put_back(batches))
            else:
                self.spool.remove(batches)
        if answer.reason:
            self._back_off(answer)
        else:
            self._failures, self._hold, self._failed_at_stop = 0, 0.0, False

    def _read(self, batches: list[Batch]) -> tuple[list[Batch], bytes]:
        """Return the readable batches and their bytes: concatenated requests form one request."""
        parts: list[bytes] = []
        readable: list[Batch] = []
        lost: list[tuple[Batch, str]] = []
        unavailable: list[tuple[Batch, str]] = []
        for batch in batches:
            try:
                parts.append(batch.read())
            except OSError as error:
                detail = error.strerror or type(error).__name__
                (unavailable if self.spool.is_unavailable(batch) else lost).append((batch, detail))
            else:
                readable.append(batch)
        with self.lock:
            if self._abandoned:
                return [], b""
            for batch, detail in lost:
                self.delivery.unreadable(batch.items, detail)
            self.spool.remove([batch for batch, _ in lost])
            if unavailable:
                waiting = [batch for batch, _ in unavailable]
                self.delivery.evicted(self.spool.set_aside(waiting, unavailable[0][1]))
        return readable, b"".join(parts)

    def _back_off(self, answer: Answer) -> None:
        if not answer.retryable and answer.reason:  # the next request may be accepted
            self._failures, self._hold = 0, monotonic() + min(answer.retry_after or 0.0, _LONGEST_HOLD_SECONDS)
            return
        delay = min(self._longest_retry, self._first_retry * 2.0 ** min(self._failures, 16))
        delay *= uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311  (no secret)
        # Zero or a past date would mean retries without a pause for as long as they fail.
        if answer.retry_after is not None and answer.retry_after >= self._first_retry:
            delay = min(answer.retry_after, _LONGEST_HOLD_SECONDS)
        self._failures += 1
        self._failed_at_stop = self._hurry.is_set()
        self._hold = monotonic() + delay
        self.spool.sync()

    def hurry(self, deadline: float) -> None:
        """Make the thread deliver all batches by `deadline` (of `time.monotonic`), then end; returns at once."""
        self.delivery.stop()
        self._deadline = deadline
        self._hurry.set()
        self.spool.wake()

    def stop(self, deadline: float) -> Stopped:
        """Deliver all batches by `deadline` (of `time.monotonic`); return the numbers of undelivered items.

        A spool on a disk keeps the rest for the next start; in memory it is dropped and counted. Call `hurry` on all
        senders first, so that they work in parallel.
        """
        self.hurry(deadline)
        if self.is_alive():
            self.join(max(0.0, deadline - monotonic()))
        with self.lock:
            self._abandoned = True
            dropped = self.spool.drop()
            if dropped:
                self.delivery.dropped(dropped)
        self._transport.close()
        return Stopped(self.spool.undelivered_items, dropped)

    def status(self) -> dict[str, Any]:
        """Return the numbers for `manage.py telemetry --status`."""
        spool = self.spool
        with self.lock:  # so that each item is counted once, also between two steps of the thread
            delivery, (waiting, taken) = self.delivery.status(), spool.items
        return {
            **delivery,
            "in_flight": taken,
            "queue": waiting,
            "capacity": spool.max_items,
            "spool": {
                "bytes": spool.waiting_bytes,
                "limit": spool.limit,
                "folder": str(spool.location),
                "degraded": spool.degraded,
                "oldest": spool.oldest,
            },
        }
