"""The share of the senders' recorded items that has arrived, by mode and signal, in the form of `manage.py audit`."""

from collections.abc import Iterator, Sequence
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

    The senders' counts arrive with their metrics, later than the items. Items beyond these counts are left out, so an
    account describes the moment of the last metrics.
    """
    fates, senders = store.fates(), store.senders()
    return {
        mode: list(_of_mode(totals, fates.get(mode, Fates()), [one for one in senders if one.mode == mode], targets))
        for mode, totals in store.totals().items()
    }


def stored_share(found: Sequence[Account]) -> str | None:
    """Return the smallest stored share among the signals, as a percentage; None if none is known."""
    known = [share for account in found if (share := account.completeness) is not None]
    return percent(min(known)) if known else None


def _of_mode(
    totals: ModeTotals, fates: Fates, senders: list[Sender], targets: Sequence[TargetState]
) -> Iterator[Account]:
    ended = fates.signals.get(ITEMS["metrics"])
    made = fates.made if ended is None else {**fates.made, ITEMS["metrics"]: ended.total()}
    arrived: dict[Signal, tuple[int, int | None]] = {
        "traces": (totals.spans, totals.duplicate_spans),
        "logs": (totals.log_records, None),
        "metrics": (totals.data_points, None),
    }
    for signal, (items, twice) in arrived.items():
        name = ITEMS[signal]
        if name in made:
            recorded = Recorded(made[name], fates.delivered(name) or 0, fates.lost(name), fates.waiting(name))
            # When the signal last arrived, in seconds since the epoch.
            newest = max((sender.signals.get(signal, 0) for sender in senders), default=0) / 1e9 or None
            stored = Stored(_NAME, items - fates.before.get(name, 0), twice, newest)
            account = Account(signal, recorded, None, stored)
            yield replace(account, stored=replace(stored, items=account.distinct))
    if ended is None and totals.scraped_samples and targets:
        brought, failed = sum(one.scrapes - one.failures for one in targets), sum(one.missed for one in targets)
        newest = max((target.last_scrape_ns for target in targets if target.up), default=0) / 1e9 or None
        recorded = Recorded(brought + failed, brought, {"scrape failed": failed} if failed else {}, unit="scrapes")
        yield Account("metrics", recorded, None, Stored(_NAME, brought, None, newest))
