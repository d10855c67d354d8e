"""The account of one signal: recorded, confirmed on each hop, stored; what is missing, and where and why."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from telemetry.config import Signal

ITEMS: Mapping[Signal, str] = {"traces": "spans", "logs": "log records", "metrics": "data points"}
UNCERTAIN = frozenset({"timeout", "unavailable", "already_shutdown"})
"""Reasons for losses of items that may have arrived: the answer was lost, not necessarily the items."""

SERVICE = "the service"
_NOT_STORED = "confirmed but not stored"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The service's counts of one signal in the window, in items.

    `confirmed` is what its receiver has accepted, `waiting` what is in its spool or being sent. `margin` is how many
    items may lie on either side of the window's ends: counts are known only at the times of the service's own samples,
    and backends store an item under its start time.
    """

    items: int
    confirmed: int
    lost: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    margin: int = 0
    unit: str = ""
    """Set if the items are not those of ITEMS."""


@dataclass(frozen=True, slots=True)
class Passed:
    """The counts of a collector between the service and the store, over all its senders."""

    name: str
    received: int
    refused: int
    sent: int
    lost: Mapping[str, int] = field(default_factory=dict)
    queued: bool = False
    """Whether anything waits in its queue."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store has for the window. `discarded` is what it refused, by reason, over all its senders."""

    name: str
    items: int
    twice: int | None = None
    """Items that arrived more than once, if the store reports it; they are counted once in `items`."""
    newest: float | None = None
    """When its newest item was recorded, in seconds since the epoch."""
    discarded: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missing:
    """Items that are missing: the hop that lost them, and the reason it counted."""

    where: str
    reason: str
    items: int


@dataclass(frozen=True, slots=True)
class Account:
    """One signal. All figures are of the same window."""

    signal: Signal
    recorded: Recorded
    passed: Passed | None
    stored: Stored

    @property
    def unit(self) -> str:
        return self.recorded.unit or ITEMS[self.signal]

    @property
    def distinct(self) -> int:
        """Items that are stored, each counted once: no more than were recorded and not certainly lost."""
        lost = self.recorded.lost
        certain = sum(items for reason, items in lost.items() if reason not in UNCERTAIN)
        return min(self.stored.items, max(self.recorded.items - certain, 0))

    @property
    def surplus(self) -> int:
        """Items that are stored beyond `distinct`: some arrived twice. 0 within the margin."""
        surplus = self.stored.items - self.distinct
        return surplus if surplus > self.recorded.margin else 0

    @property
    def twice(self) -> int:
        """Items that arrived more than once, as far as is known."""
        return (self.stored.twice or 0) + self.surplus

    @property
    def on_its_way(self) -> int:
        """Items that are not stored because they still wait in the service, or in the collector's queue."""
        absent = self.recorded.items - self.distinct - sum(self.recorded.lost.values())
        waiting = self.recorded.waiting
        if self.passed and self.passed.queued:
            waiting += max(self.passed.received - self.passed.sent - sum(self.passed.lost.values()), 0)
        return max(min(absent, waiting), 0)

    @property
    def lost(self) -> int:
        """Items that are neither stored nor on their way, beyond the margin."""
        absent = self.recorded.items - self.distinct - self.on_its_way
        counted = min(sum(self.recorded.lost.values()), absent)
        return counted + (absent - counted if absent - counted > self.recorded.margin else 0)

    @property
    def completeness(self) -> float | None:
        """The stored share of what was recorded and is not on its way; None if nothing was recorded."""
        expected = self.recorded.items - self.on_its_way
        return (expected - self.lost) / expected if expected > 0 else None

    def missing(self) -> list[Missing]:
        """Return what is lost by hop and reason, from the service to the store; the sum is `lost`."""
        found: list[Missing] = []
        left = self.lost
        for one in self._causes():
            items = min(one.items, left)
            if items > 0:
                found.append(Missing(one.where, one.reason, items))
                left -= items
        return found

    @property
    def is_short(self) -> bool:
        """Whether the store has less than the hop before it sent, without a counted reason: it may be late."""
        return any(one.reason == _NOT_STORED for one in self.missing())

    def _causes(self) -> Iterator[Missing]:
        """Yield every place where items may have been lost, with the most that may have been lost there."""
        service, passed, stored, margin = self.recorded, self.passed, self.stored, self.recorded.margin
        yield from _by_reason(SERVICE, service.lost)
        unaccounted = service.items - service.confirmed - sum(service.lost.values()) - service.waiting
        if unaccounted > margin:
            yield Missing(SERVICE, "recorded but not exported", unaccounted)
        last, sent = SERVICE, service.confirmed
        if passed:
            if service.confirmed - passed.received > margin:
                yield Missing(passed.name, "confirmed but not counted as received", service.confirmed - passed.received)
            yield from _by_reason(passed.name, passed.lost)
            held = passed.received - passed.sent - sum(passed.lost.values())
            if held > margin:
                yield Missing(passed.name, "received but not sent on (filtered or sampled)", held)
            last, sent = passed.name, passed.sent
        yield from _by_reason(stored.name, stored.discarded)
        if stored.items < sent:
            yield Missing(f"between {last} and {stored.name}", _NOT_STORED, sent - stored.items)
        yield Missing("unknown", "no reason counted", service.items)


def percent(share: float) -> str:
    """Return a share as a percentage that never rounds a loss away."""
    return "100 %" if share == 1 else f"{min(share * 100, 99.9999):.4f} %"


def as_data(account: Account) -> dict[str, Any]:
    """Return everything for programs. `completeness` is a share from 0 to 1, `newest` seconds since the epoch."""
    recorded, stored = account.recorded, account.stored
    return {
        "signal": account.signal,
        "unit": account.unit,
        "recorded": recorded.items,
        "confirmed": recorded.confirmed,
        "lost_by_reason": dict(recorded.lost),
        "waiting": recorded.waiting,
        "margin": recorded.margin,
        "collector": asdict(account.passed) if account.passed else None,
        "store": stored.name,
        "stored": stored.items,
        "discarded": dict(stored.discarded),
        "twice": account.twice,
        "newest": stored.newest,
        "completeness": account.completeness,
        "on_its_way": account.on_its_way,
        "lost": account.lost,
        "missing": [asdict(one) for one in account.missing()],
    }


def from_data(data: Mapping[str, Any]) -> Account:
    """Return the account that `data` was made from by `as_data`; raises KeyError or TypeError."""
    recorded = Recorded(
        items=data["recorded"],
        confirmed=data["confirmed"],
        lost=data["lost_by_reason"],
        waiting=data["waiting"],
        margin=data["margin"],
        unit=data["unit"],
    )
    collector = data["collector"]
    passed = Passed(**collector) if collector else None
    known = Stored(data["store"], data["stored"], None, data["newest"], data["discarded"])
    account = Account(data["signal"], recorded, passed, known)
    return replace(account, stored=replace(known, twice=data["twice"] - account.surplus))


def _by_reason(where: str, lost: Mapping[str, int]) -> Iterator[Missing]:
    for reason, items in sorted(lost.items(), key=lambda one: -one[1]):
        yield Missing(where, reason, items)
