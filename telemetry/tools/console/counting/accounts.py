"""How much of what the senders recorded has arrived, by mode and signal, in the form of `manage.py audit`."""

from collections.abc import Sequence
from dataclasses import replace

from telemetry.config import Signal
from telemetry.tools.account import ITEMS, Account, Recorded, Stored, percent
from telemetry.tools.console.counting.counts import Fates, ModeTotals
from telemetry.tools.console.counting.senders import Sender
from telemetry.tools.console.receiving.scraper import TargetState
from telemetry.tools.console.storage.store import Store

_NAME = "the console"


def accounts(store: Store, targets: Sequence[TargetState] = ()) -> dict[str, list[Account]]:
    """Return the accounts of each mode; a signal that no sender counts has none, nor scrapes without `targets`.

    The senders' counts come with their metrics, later than the items. What has arrived beyond them is left out, so an
    account is of the moment of the last metrics.
    """
    totals, fates, senders = store.totals(), store.fates(), store.senders()
    return {
        mode: list(_of_mode(counted, fates.get(mode, Fates()), [one for one in senders if one.mode == mode], targets))
        for mode, counted in totals.items()
    }


def stored_share(found: Sequence[Account]) -> str | None:
    """Return the share that is stored of the signal of which least is, as a percentage; None where nothing is known."""
    known = [share for account in found if (share := account.completeness) is not None]
    return percent(min(known)) if known else None


def _of_mode(totals: ModeTotals, fates: Fates, senders: list[Sender], targets: Sequence[TargetState]) -> list[Account]:
    arrived: dict[Signal, tuple[int, int | None]] = {
        "traces": (totals.spans, totals.duplicate_spans),
        "logs": (totals.log_records, None),
    }
    found = []
    for signal, (items, twice) in arrived.items():
        name = ITEMS[signal]
        if name in fates.made:
            stored = Stored(_NAME, items - fates.before.get(name, 0), twice, _newest(senders, signal))
            found.append(_account(signal, fates, fates.made[name], stored))
    ended = fates.signals.get(ITEMS["metrics"])
    if ended is not None:
        stored = Stored(_NAME, totals.data_points, None, _newest(senders, "metrics"))
        found.append(_account("metrics", fates, ended.total(), stored))
    elif totals.scraped_samples and targets:
        found.append(_scraped(targets))
    return found


def _account(signal: Signal, fates: Fates, made: int, stored: Stored) -> Account:
    name = ITEMS[signal]
    confirmed, lost = fates.delivered(name) or 0, fates.lost(name)
    account = Account(signal, Recorded(made, confirmed, lost, fates.waiting(name)), None, stored)
    return replace(account, stored=replace(stored, items=account.distinct))


def _scraped(targets: Sequence[TargetState]) -> Account:
    brought, failed = sum(one.scrapes - one.failures for one in targets), sum(one.missed for one in targets)
    newest = max((target.last_scrape_ns for target in targets if target.up), default=0) / 1e9
    lost = {"scrape failed": failed} if failed else {}
    stored = Stored(_NAME, brought, None, newest or None)
    return Account("metrics", Recorded(brought + failed, brought, lost, unit="scrapes"), None, stored)


def _newest(senders: list[Sender], signal: Signal) -> float | None:
    """Return when the signal came last, in seconds since the epoch."""
    newest = max((sender.signals.get(signal, 0) for sender in senders), default=0)
    return newest / 1e9 or None
