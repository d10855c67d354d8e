"""Comparison of items sent with items stored: every signal adds up, or the run has failed.

Each answered request leaves one server span, one access record and one count. Missing items must be covered by counted
reasons: the service exporter's, those in its line at a stop, a collector's counters, or the bound that a fault of the
comparison itself sets (a stop comes after the last scrape).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from telemetry.tools.account import UNCERTAIN


@dataclass(frozen=True, slots=True)
class Stored:
    """The items that a backend has of one service, without duplicates."""

    server_spans: int = 0
    access_records: int = 0
    requests: int = 0
    """As counted by the metrics."""
    spans: int = 0
    log_records: int = 0
    duplicates: int = 0
    """Spans and access records that arrived more than once."""


@dataclass(frozen=True, slots=True)
class Account:
    """One signal of one run. `surplus_allowed` requests got no answer, though the service may have served them."""

    signal: str
    sent: int
    stored: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    surplus_allowed: int = 0

    @property
    def lost(self) -> int:
        """Items sent but not stored."""
        return max(0, self.sent - self.stored)

    @property
    def unexplained(self) -> int:
        """Items missing without a counted reason (negative: items stored but never sent)."""
        if self.stored > self.sent + self.surplus_allowed:
            return self.sent + self.surplus_allowed - self.stored
        return max(0, self.lost - sum(self.reasons.values()))

    def problem(self) -> str | None:
        """Return what does not add up, None if everything does."""
        if self.unexplained > 0:
            counted = ", ".join(f"{reason} {count}" for reason, count in sorted(self.reasons.items())) or "none"
            return f"{self.signal}: {self.lost} of {self.sent} are missing; reasons counted: {counted}"
        if self.unexplained < 0:
            return f"{self.signal}: {self.stored} are stored, {-self.unexplained} more than were sent"
        return None

    def as_json(self) -> dict[str, Any]:
        """Return it for the report."""
        reasons = dict(sorted(self.reasons.items())) if self.lost else {}
        return {**asdict(self), "reasons": reasons, "lost": self.lost, "unexplained": self.unexplained}


def accounts(
    *,
    responses: int,
    failed: int,
    stored: Stored,
    losses: Mapping[str, Counter[str]],
    exported: frozenset[str] = frozenset({"spans", "log records", "counter"}),
) -> list[Account]:
    """Return the accounts of requests by signal.

    `losses` are reasons by signal ("spans", "log records", "counter"); `exported` are the signals that this
    set-up has.
    """
    found = {"spans": stored.server_spans, "log records": stored.access_records, "counter": stored.requests}
    return [
        Account(signal, responses, count, losses.get(signal, Counter()), failed)
        for signal, count in found.items()
        if signal in exported
    ]


def item_account(signal: str, ended: int, stored: int, losses: Counter[str]) -> Account:
    """Return the account of all items of a signal: those that the service reports as ended, against those stored.

    A certain loss must show: more items stored than ended less the certain losses are a surplus.
    """
    certain = sum(count for reason, count in losses.items() if reason not in UNCERTAIN)
    uncertain = losses.total() - certain
    # Items not certainly lost count as sent; the rest may or may not be stored.
    return Account(f"all {signal}", ended - certain, stored, Counter(uncertain=uncertain) if uncertain else {})


def problems(
    found: list[Account], wrong: Mapping[str, int], failed: int, *, may_fail: bool = False, may_lose: bool = False
) -> list[str]:
    """Return everything that is wrong with a run.

    Unanswered requests are wrong unless `may_fail`, and losses, whatever their reason, unless `may_lose`.
    """
    lines = [problem for account in found if (problem := account.problem())]
    for account in found:
        if account.lost and not may_lose and not account.problem():
            reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(account.reasons.items()))
            lost = f"{account.lost} of {account.sent} are lost, where nothing may be"
            lines.append(f"{account.signal}: {lost} ({reasons})")
    if wrong:
        lines.append(f"answers with a wrong status: {', '.join(f'{n} x {status}' for status, n in wrong.items())}")
    if failed and not may_fail:
        lines.append(f"{failed} requests got no answer")
    return lines
