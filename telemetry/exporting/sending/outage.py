"""Logs a backend's outage: one message when it begins and one when it ends, however long it lasts."""

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from telemetry.exporting.transports.answers import QUEUE_FULL, REJECTED, Answer

logger = logging.getLogger(__name__)

ITEMS = {"traces": "spans", "metrics": "data points", "logs": "log records"}

# Occasional losses, while the backend takes the rest, are over after this many seconds without one.
_QUIET_SECONDS = 60.0
_PASSING = {REJECTED, QUEUE_FULL}
_QUEUES = {"traces": "OTEL_BSP_MAX_QUEUE_SIZE", "logs": "OTEL_BLRP_MAX_QUEUE_SIZE"}
_HINTS = {"bytes": "raise TELEMETRY_SPOOL_BYTES", "space": "make room where the spool is"}


class Outage:
    """The outages of one signal; to be used by one thread at a time."""

    def __init__(self, signal: str, destination: str, clock: Callable[[], float] = monotonic) -> None:
        self._signal = signal
        self.destination = without_credentials(destination)
        self._clock = clock
        self._kind: str | None = None
        self._began = self._last = 0.0
        self._lost_before = 0

    @property
    def lasts(self) -> bool:
        """Whether an outage was logged whose end was not."""
        return self._kind is not None

    def trouble(self, answer: Answer, since: float, lost: int) -> None:
        """Log a failure that began at `since`; `lost` is the total number of items lost before it."""
        if answer.rejected:
            text = f"rejects some {ITEMS[self._signal]}{answer.detail and ': '}{answer.detail}"
            self._begin(REJECTED, text, answer.hint, since, lost)
        elif answer.reason:
            self._begin(answer.reason, f"{answer.reason}: {answer.detail}", answer.hint, since, lost)

    def overflow(self, bound: str, lost: int) -> None:
        """Log that the spool dropped items for lack of `bound`: bytes, items or space; `lost` as for `trouble`."""
        hint = f"{_HINTS.get(bound) or 'raise ' + _QUEUES.get(self._signal, 'its size')}, or send less"
        self._begin(QUEUE_FULL, f"{QUEUE_FULL}: more {ITEMS[self._signal]} than can be sent", hint, self._clock(), lost)

    def _begin(self, kind: str, text: str, hint: str, since: float, lost: int) -> None:
        self._last = self._clock()
        if self._kind is None or (self._kind in _PASSING and kind not in _PASSING):
            if self._kind is None:
                self._began, self._lost_before = since, lost
            self._kind = kind
            logger.warning("%s to %s: %s; %s", self._signal, self.destination, text, hint)

    def delivered(self, lost: int) -> None:
        """Log that the backend accepts batches again; `lost` is the total number of items lost by now."""
        now = self._clock()
        if self._kind is None or (self._kind in _PASSING and now - self._last < _QUIET_SECONDS):
            return
        self._kind = None
        logger.info(
            "%s to %s: delivered again after %.0f s, %d %s dropped",
            self._signal,
            self.destination,
            now - self._began,
            lost - self._lost_before,
            ITEMS[self._signal],
        )

    def state(self) -> dict[str, Any]:
        """Return the state with which a successor logs nothing twice, ready for `marshal`."""
        now = self._clock()
        return {"kind": self._kind, "began": now - self._began, "last": now - self._last, "lost": self._lost_before}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a predecessor's `state`."""
        now = self._clock()
        self._kind, self._lost_before = state["kind"], state["lost"]
        self._began, self._last = now - state["began"], now - state["last"]


def without_credentials(destination: str) -> str:
    """Return an endpoint without user information and query."""
    parts = urlsplit(destination)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
