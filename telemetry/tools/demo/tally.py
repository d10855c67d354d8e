"""Comparison of items sent with items arrived, and the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from telemetry.tools.demo.arrivals import Arrived
from telemetry.tools.demo.ports import Mode
from telemetry.tools.traffic.client import Sent


@dataclass(frozen=True, slots=True)
class ModeTally:
    """Both sides of one mode.

    `dropped` are spans and log records that the service reports as dropped. `late_visits` came after the last scrape,
    so they are not in the metrics. `calls` are the greeter's requests that this mode's telemetry has too.
    """

    sent: Sent
    arrived: Arrived
    dropped: int = 0
    late_visits: int = 0
    calls: int = 0

    @property
    def visitors(self) -> int:
        """Requests from clients other than the demo."""
        arrived = self.arrived
        most = max(arrived.server_spans, arrived.access_records, arrived.requests)
        return max(0, most - self.sent.answered - self.sent.failures - self.calls)

    def reasons(self) -> list[str]:
        """Return one reason for each failure."""
        sent, arrived = self.sent, self.arrived
        found = []
        if sent.failures:
            what = f"{sent.failures} of {sent.requests} requests got no answer"
            found.append(f"{what} (the last one: {sent.last_failure})")
        if sent.server_errors:
            what = f"{sent.server_errors} of {sent.requests} requests were answered with a server error"
            found.append(f"{what} (the last one: {sent.last_server_error})")
        # Visitors' requests appear in all three signals, so the three are compared with each other, too.
        expected = max(sent.answered + self.calls, arrived.server_spans, arrived.access_records, arrived.requests)
        for what, count in (
            ("server spans", arrived.server_spans),
            ("access records", arrived.access_records),
            ("requests in the metrics", arrived.requests + min(self.late_visits, self.visitors)),
        ):
            if count < expected:
                found.append(f"{expected - count} of {expected} {what} did not arrive")
        if self.dropped:
            found.append(f"the service dropped {self.dropped} spans and log records")
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the part of this mode in the tally that --json prints."""
        reasons = self.reasons()
        return {
            "sent": self.sent.requests,
            "answered": self.sent.answered,
            "failed": self.sent.failures,
            "calls": self.calls,
            "statuses": {str(status): count for status, count in sorted(self.sent.statuses.items())},
            **asdict(self.arrived),
            "dropped": self.dropped,
            "visitors": self.visitors,
            "late_visits": self.late_visits,
            "ok": not reasons,
        }


@dataclass(frozen=True, slots=True)
class Tally:
    """The end of a demo. `troubles` are reasons that are not about the counts of one mode."""

    modes: Mapping[Mode, ModeTally]
    seconds: float
    troubles: Sequence[str] = field(default=())

    def reasons(self) -> list[str]:
        """Return every reason why this is not a success."""
        of_modes = [f"{mode}: {reason}" for mode, tally in self.modes.items() for reason in tally.reasons()]
        return [*self.troubles, *of_modes]

    def as_json(self) -> dict[str, Any]:
        """Return what --json prints."""
        reasons = self.reasons()
        return {
            "ok": not reasons,
            "seconds": round(self.seconds, 1),
            "modes": {mode: tally.as_json() for mode, tally in self.modes.items()},
            "reasons": reasons,
        }
